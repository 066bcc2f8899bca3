// A click on a column's head sorts its table by it: numbers by size, with what has none at the end.
function value(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = parseFloat(text.replace("\u2212", "-").replaceAll(",", ""));
  return [number, text];
}

function compared(one, other, sign) {
  const [a, b] = [one[0], other[0]];
  if (Number.isNaN(a) !== Number.isNaN(b)) return Number.isNaN(a) ? 1 : -1;
  return sign * (a - b || one[1].localeCompare(other[1]));
}

function sort(head) {
  const table = head.closest("table"), rows = [...table.tBodies[0].rows];
  const falling = head.ariaSort === "ascending";
  for (const other of table.tHead.rows[0].cells) other.ariaSort = "none";
  head.ariaSort = falling ? "descending" : "ascending";
  rows.sort((a, b) => compared(value(a, head.cellIndex), value(b, head.cellIndex), falling ? -1 : 1));
  table.tBodies[0].append(...rows);
}

for (const head of document.querySelectorAll("thead th")) {
  head.ariaSort = "none";
  head.tabIndex = 0;
  head.addEventListener("click", () => sort(head));
  head.addEventListener("keydown", (event) => event.key === "Enter" && sort(head));
}
