
const STATES = {
  "healthy": "no sign of a drop in accuracy",
  "drifted": "labels prove a drop in accuracy",
  "suspected": "an estimate suggests a drop in accuracy",
  "too little data": "too little data to judge its accuracy",
};
const percent = (share) => share === null ? "–" : (100 * share).toFixed(1) + "%";
const number = (tag, text) => element(tag, text, { className: "n" });

function noted(tag, text, note) {
  const made = element(tag, text);
  if (note) made.append(element("div", note, { className: "faint" }));
  return made;
}

function bar(share, name) {
  const cell = element("td");
  if (share !== null) cell.append(element("meter", "", { value: share, ariaLabel: name }));
  return cell;
}

function fill(id, rows) {
  find(id).replaceChildren();
  for (const cells of rows) find(id).insertRow().append(...cells);
}

function show(monitoring) {
  const { accuracy, classes, latency, versions, words } = monitoring;
  say(`${monitoring.model}:${monitoring.version}: ${STATES[monitoring.state]}`);
  fill("accuracy", accuracy.map((row) => [noted("td", row.name, row.note), number("td", percent(row.value))]));
  fill("classes", [
    [element("th", "class"), element("td"), number("th", "now"), number("th", "before")],
    ...classes.map((row) => [
      element("td", row.name), bar(row.now, row.name), number("td", percent(row.now)), number("td", percent(row.before)),
    ]),
  ]);
  find("latency").replaceChildren(...latency.flatMap((row) =>
    [element("dt", row.name), element("dd", row.seconds === null ? "–" : `${1000 * row.seconds} ms at most`)]));
  find("versions").replaceChildren(...versions.flatMap((row) =>
    [element("dt", row.when.slice(0, 16).replace("T", " ") + " UTC"), noted("dd", row.what, row.why)]));
  find("words").replaceChildren(...words.map((text) => element("li", text)));
  find("monitoring").hidden = false;
}

attempt(async () => show(await getJson("drift.json")));
