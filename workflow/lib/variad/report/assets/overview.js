"use strict";

(() => {
  const rows = [...document.querySelectorAll("#summary tbody tr")];
  const names = { dataset: "dataset", category: "category", detector: "detector", scenario: "scenario", trainingSet: "training set", metric: "metric" };
  const order = ["one_shot", "few_shot", "full_shot"];
  const selects = {};
  const count = document.createElement("span");
  count.className = "faint";
  count.setAttribute("aria-live", "polite");

  function values(key) {
    const found = [...new Set(rows.map((row) => row.dataset[key]))];
    return key === "scenario" ? order.filter((value) => found.includes(value)) : found;
  }

  function refresh() {
    let shown = 0;
    for (const row of rows) {
      row.hidden = Object.entries(selects).some(([key, select]) => select.value !== "" && row.dataset[key] !== select.value);
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${rows.length} rows`;
  }

  const bar = document.getElementById("filters");
  for (const [key, name] of Object.entries(names)) {
    const label = document.createElement("label");
    label.textContent = name;
    const select = document.createElement("select");
    select.append(new Option("all", ""));
    for (const value of values(key)) select.append(new Option(value.replace(/_/g, " "), value));
    select.addEventListener("change", refresh);
    selects[key] = select;
    label.append(select);
    bar.append(label);
  }
  bar.append(count);
  if (values("metric").includes("image_auroc")) selects.metric.value = "image_auroc";
  refresh();

  // Pages of other targets bring a script that links them here; until they are made there is none, and nothing happens.
  for (const name of ["selection", "exposure"]) {
    const link = document.createElement("script");
    link.src = `./${name}.js`;
    document.head.append(link);
  }

  const figure = document.getElementById("figure");
  figure.addEventListener("click", () => figure.classList.toggle("full"));
})();
