"use strict";

// A list of cards with filters, sorting and pages, so that only one page of thousands is in the document.

const PAGE_SIZE = 60;
const by = (key, sign) => (a, b) => {
  const left = a[key], right = b[key];
  if (left === null || right === null) return (left === null) - (right === null);
  return sign * (left - right);
};
const SORTS = {
  order: ["in order", null],
  score_down: ["score, highest first", by("score", -1)],
  score_up: ["score, lowest first", by("score", 1)],
  similarity_down: ["similarity, highest first", by("similarity", -1)],
  similarity_up: ["similarity, lowest first", by("similarity", 1)],
  distance_down: ["distance, highest first", by("distance", -1)],
  distance_up: ["distance, lowest first", by("distance", 1)],
};
const FILTERS = {
  scenario: ["scenario", scenarioName],
  trainingSet: ["training set", String],
  detector: ["detector", String],
  run: ["run", String],
  accepted: ["verdict", (value) => (value ? "accepted" : "rejected")],
  band: ["verdict", (value) => BANDS[value]],
  label: ["label", labelName],
  defect: ["defect", String],
};

function distinct(items, key) {
  const found = [...new Set(items.map((item) => item[key]))];
  const order = key === "scenario" ? Object.keys(SCENARIOS) : null;
  if (order) return found.sort((a, b) => order.indexOf(a) - order.indexOf(b));
  return found.every((value) => typeof value === "number") ? found.sort((a, b) => a - b) : found;
}

function choice(name, options, chosen, change) {
  const select = el("select", {}, ...options.map(([value, text]) => new Option(text, value, false, value === chosen)));
  select.addEventListener("change", () => change(select.value));
  return el("label", {}, name, select);
}

function collection(items, filters, sorts, first, wide) {
  const state = { chosen: { ...first }, sort: sorts[0], page: 0 };
  const root = el("div");

  function selected() {
    const wanted = Object.entries(state.chosen).filter(([, value]) => value !== "");
    const kept = items.filter((item) => wanted.every(([key, value]) => String(item[key]) === value));
    const compare = SORTS[state.sort][1];
    return compare ? kept.sort(compare) : kept;
  }

  function bar() {
    const controls = filters.map((key) => {
      const values = distinct(items, key).map((value) => [String(value), FILTERS[key][1](value)]);
      return choice(FILTERS[key][0], [["", "all"], ...values], state.chosen[key] || "", (value) => { state.chosen[key] = value; refresh(0); });
    });
    const order = sorts.map((key) => [key, SORTS[key][0]]);
    if (order.length > 1) controls.push(choice("sort", order, state.sort, (value) => { state.sort = value; refresh(0); }));
    return el("div", { className: "filters" }, ...controls);
  }

  function pages(kept) {
    const last = Math.max(0, Math.ceil(kept.length / PAGE_SIZE) - 1);
    const go = (text, page, disabled, name) => el("button", { type: "button", disabled, onclick: () => { refresh(page); root.scrollIntoView(); }, "aria-label": name }, text);
    const count = el("span", { className: "faint", "aria-live": "polite" }, `${kept.length} of ${items.length} ${items[0].kind === "test" ? "scores" : "images"}, page ${state.page + 1} of ${last + 1}`);
    return el("div", { className: "pages" }, go("«", 0, state.page === 0, "First page"), go("‹ Previous", state.page - 1, state.page === 0, "Previous page"),
      go("Next ›", state.page + 1, state.page >= last, "Next page"), go("»", last, state.page >= last, "Last page"), count);
  }

  const body = el("div");
  function refresh(page) {
    state.page = page;
    const kept = selected();
    const start = page * PAGE_SIZE;
    const cards = kept.slice(start, start + PAGE_SIZE).map((item, at) => el("li", {}, cardButton(item, CARDS[item.kind], () => show(kept, start + at))));
    const cells = new Set(kept.map((item) => item.cell));
    const scale = cells.size === 1 && kept[0].cell && kept[0].cell.maps ? legend(kept[0].cell) : null;
    body.replaceChildren(...[pages(kept), scale,
      cards.length ? el("ul", { className: wide ? "grid wide" : "grid" }, ...cards) : el("p", { className: "empty" }, "No image fits these filters."),
      cards.length > 12 ? pages(kept) : null].filter((node) => node !== null));
  }

  root.append(bar(), body);
  refresh(0);
  return root;
}
