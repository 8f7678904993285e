"use strict";

// The table's filters, which stand in the address; the words of the page; and the pages of other targets.

(() => {
  const rows = [...document.querySelectorAll("#summary tbody tr")];
  const names = { dataset: "dataset", category: "category", detector: "detector", scenario: "scenario", trainingSet: "training set", metric: "metric" };
  const scenarios = { one_shot: "One-shot", few_shot: "Few-shot", full_shot: "Full-shot" };
  const selects = {};
  const count = el("span", { className: "faint", "aria-live": "polite" });
  const nothing = el("p", { className: "empty", hidden: true }, "No row of the table fits these filters.");

  function values(key) {
    const found = [...new Set(rows.map((row) => row.dataset[key]))];
    return key === "scenario" ? Object.keys(scenarios).filter((value) => found.includes(value)) : found;
  }

  function refresh() {
    let shown = 0;
    for (const row of rows) {
      row.hidden = Object.entries(selects).some(([key, select]) => select.value !== "" && row.dataset[key] !== select.value);
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${rows.length} rows`;
    nothing.hidden = shown > 0 || rows.length === 0;
  }

  const first = { metric: values("metric").includes("image_auroc") ? "image_auroc" : "" };

  // What the address says, and for what it does not say, what is shown at first.
  function follow() {
    const told = readAddress().values;
    for (const [key, select] of Object.entries(selects)) {
      const value = told.get(addressKey(key)) ?? first[key] ?? "";
      if (![...select.options].some((option) => option.value === value)) select.append(new Option(`${value} (none here)`, value));
      select.value = value;
    }
    refresh();
    if (told.size && location.hash.includes("=")) byId("table").scrollIntoView();
  }

  const bar = byId("filters");
  for (const [key, name] of Object.entries(names)) {
    const select = el("select", { id: `choose-${key}` }, new Option("all", ""), ...values(key).map((value) => new Option(key === "scenario" ? scenarios[value] : value, value)));
    select.addEventListener("change", () => {
      refresh();
      tell(addressOf("", Object.entries(selects).filter(([one, { value }]) => value !== (first[one] ?? "")).map(([one, { value }]) => [addressKey(one), value])));
    });
    selects[key] = select;
    bar.append(el("div", { className: "field" }, el("label", { for: select.id }, name), select));
  }
  bar.append(count);
  document.querySelector("#summary").after(nothing);
  explain(document);
  follow();
  window.addEventListener("hashchange", follow);

  // Pages of other targets bring a script that links them here; until they are made it has nothing in it.
  for (const name of ["selection", "exposure"]) document.head.append(el("script", { src: `./${name}.js` }));

  const figure = byId("figure");
  figure.addEventListener("click", () => figure.classList.toggle("full"));
})();
