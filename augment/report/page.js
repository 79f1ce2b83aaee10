
// Sort a table by the column whose button was pressed; pressed again, the other way round.
for (const button of document.querySelectorAll("table.sortable th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const place = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[place].dataset.value ?? "";
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");  // unmeasured stays below
      const order = x.localeCompare(y, "en", { numeric: true });
      const numbers = x !== "" && y !== "" && !isNaN(x) && !isNaN(y);
      return (down ? -1 : 1) * (numbers ? x - y : order);
    };
    body.append(...[...body.rows].sort(compare));
  });
}
