"use strict";
const percent = (share) => share === null || share === undefined ? "–" : (100 * share).toFixed(1) + " %";
const find = (id) => document.getElementById(id);

function fill(id, head, rows) {
  const table = find(id);
  table.replaceChildren();
  for (const [tag, cells] of [["th", head], ...rows.map((row) => ["td", row])]) {
    const line = table.insertRow();
    for (const text of cells) {
      const cell = document.createElement(tag);
      cell.textContent = text === null || text === undefined ? "" : text;
      line.append(cell);
    }
  }
}

function show(told) {
  find("state").textContent = `${told.model}:${told.version} is ${told.state}`;
  fill("accuracy", ["", "accuracy", ""], told.accuracy.map((row) => [row.name, percent(row.value), row.note]));
  fill("classes", ["class", "now", "held-out"], told.classes.map((row) => [row.name, percent(row.now), percent(row.before)]));
  fill("latency", ["", "at most"], told.latency.map((row) => [row.name, row.seconds === null ? "–" : 1000 * row.seconds + " ms"]));
  fill("versions", ["when (UTC)", "what", "why"], told.versions.map((row) => [row.when.slice(0, 19), row.what, row.why]));
  find("words").replaceChildren(...told.words.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
}

async function ask(token) {
  const answer = await fetch("drift.json", token ? { headers: { Authorization: "Bearer " + token } } : {});
  find("token").hidden = answer.status !== 401;
  const told = await answer.json();
  if (answer.ok) show(told);
  else find("state").textContent = told.detail || told.title;
}

find("token").addEventListener("submit", (event) => {
  event.preventDefault();
  ask(event.target.querySelector("input").value);
});
ask("").catch((error) => { find("state").textContent = String(error); });
