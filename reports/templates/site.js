"use strict";
// Sorting and filtering of the table of submissions; without this script it is a plain table.
(() => {
  const STEP = 60; // rows laid out at a time: a table of thousands takes seconds
  const table = document.getElementById("table"), [body, rest] = table.tBodies, form = document.getElementById("filters");
  const shown = document.getElementById("shown"), PR = 0, VERDICT = 2, RULES = 5;
  const number = (text) => (text ? Number(text.replace(/[#,]/g, "")) : NaN);
  // Read once: asking the document again for each row and key is what makes such tables slow.
  const rows = [...body.rows, ...(rest ? rest.rows : [])].map((element) => {
    const cells = [...element.cells].map((cell) => cell.textContent);
    return { element, cells, text: cells.join("\n").toLowerCase(), verdict: cells[VERDICT], rules: cells[RULES].split(" "),
      track: element.dataset.t, stands: "s" in element.dataset };
  });
  if (rest) rest.remove();
  const more = document.getElementById("more");
  let matching = rows, laid = 0;
  const lay = (count) => {
    body.append(...matching.slice(laid, laid + count).map((row) => row.element));
    laid = Math.min(laid + count, matching.length);
    more.hidden = laid >= matching.length;
    more.textContent = `Show ${Math.min(STEP, matching.length - laid)} more`;
  };
  const restart = () => { body.replaceChildren(); laid = 0; lay(STEP); };
  const heads = [...table.tHead.rows[0].cells];

  const filter = () => {
    const words = form.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const verdict = form.verdict.value, rule = form.rule.value, track = form.track.value, stands = form.stands.checked;
    matching = rows.filter((row) => words.every((word) => (/^#\d+$/.test(word) ? row.cells[PR] === word : row.text.includes(word)))
      && (!verdict || row.verdict === verdict) && (!rule || row.rules.includes(rule))
      && (!track || row.track === track) && (!stands || row.stands));
    restart();
    shown.textContent = `${matching.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} match`;
    remember();
  };
  // The address keeps the filters, so that a view can be sent to someone.
  const remember = () => {
    const state = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value) state.set(name, value);
    const text = state.toString();
    if (text !== location.hash.slice(1) && (text || location.hash.includes("="))) history.replaceState(null, "", text ? "#" + text : location.pathname);
  };
  const recall = () => {
    if (!location.hash.includes("=")) return;
    for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
      const field = form.elements[name];
      if (!field) continue;
      if (field.type === "checkbox") field.checked = value === "on"; else field.value = value;
    }
    filter();
  };
  const sort = (column, descending) => {
    const numeric = heads[column].dataset.kind === "n", sign = descending ? -1 : 1;
    const keyed = rows.map((row, i) => ({ row, i, key: numeric ? number(row.cells[column]) : row.cells[column].toLowerCase() }));
    keyed.sort((a, b) => {
      const empty = (one) => (numeric ? Number.isNaN(one.key) : !one.key); // what is not known comes last either way
      if (empty(a) !== empty(b)) return empty(a) ? 1 : -1;
      return (a.key < b.key ? -1 : a.key > b.key ? 1 : 0) * sign || a.i - b.i;
    });
    rows.splice(0, rows.length, ...keyed.map((one) => one.row));
    filter();
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
  };
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () =>
    sort(column, head.getAttribute("aria-sort") === "ascending")));
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => lay(STEP));
  new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) lay(STEP); }, { rootMargin: "600px" }).observe(more);
  restart();
  recall();
})();
