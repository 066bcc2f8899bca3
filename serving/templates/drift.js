
const percent = (share) => share === null || share === undefined ? "–" : (100 * share).toFixed(1) + " %";

function fill(id, head, rows) {
  const table = find(id);
  table.replaceChildren();
  for (const [tag, cells] of [["th", head], ...rows.map((row) => ["td", row])])
    table.insertRow().append(...cells.map((text) => element(tag, text ?? "")));
}

function show(monitoring) {
  const { accuracy, classes, latency, versions, words } = monitoring;
  say(`${monitoring.model}:${monitoring.version}: ${monitoring.state}`);
  fill("accuracy", ["of", "accuracy", "note"], accuracy.map((row) => [row.name, percent(row.value), row.note]));
  fill("classes", ["class", "now", "held-out"], classes.map((row) => [row.name, percent(row.now), percent(row.before)]));
  fill("latency", ["quantile", "at most"], latency.map((row) => [row.name, row.seconds === null ? "–" : 1000 * row.seconds + " ms"]));
  fill("versions", ["when (UTC)", "what", "why"], versions.map((row) => [row.when.slice(0, 16).replace("T", " "), row.what, row.why]));
  find("monitoring").hidden = false;
  find("words").replaceChildren(...words.map((text) => element("li", text)));
}

attempt(async () => show(await getJson("drift.json")));
