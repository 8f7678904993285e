"use strict";

// A list of cards with filters, an order and pages, so that only one page of thousands is in the document. All of it is told in the address.

const PAGE_SIZE = 60;
const by = (key, sign) => (a, b) => {
  const left = a[key], right = b[key];
  if (left === null || right === null) return (left === null) - (right === null);
  return sign * (left - right);
};
const byScore = by("score", -1);
const ORDERS = {
  wrong_first: ["wrong ones first", (a, b) => by("wrong", -1)(a, b) || byScore(a, b), "wrong_first"],
  changed_first: ["most changed first", (a, b) => by("moved", -1)(a, b) || byScore(a, b)],
  in_order: ["in order", null],
  score_down: ["score, highest first", byScore, "score"],
  score_up: ["score, lowest first", by("score", 1), "score"],
  similarity_down: ["similarity, highest first", by("similarity", -1), "similarity"],
  similarity_up: ["similarity, lowest first", by("similarity", 1), "similarity"],
  distance_down: ["distance, highest first", by("distance", -1), "distance"],
  distance_up: ["distance, lowest first", by("distance", 1), "distance"],
};
const FILTERS = {
  scenario: ["scenario", scenarioName, "scenario"],
  trainingSet: ["training set", String, "training_set"],
  detector: ["detector", String, "detector"],
  run: ["run", String, "run"],
  accepted: ["verdict", (value) => (value ? "accepted" : "rejected"), "accepted"],
  band: ["verdict", (value) => BANDS[value], "limit"],
  verdict: ["verdict", (value) => VERDICTS[value], "threshold"],
  change: ["against original", (value) => ({ better: "better: now right", worse: "worse: now wrong", same: "the same" })[value], "gain"],
  label: ["label", labelName],
  defect: ["defect", String],
};

function distinct(items, key) {
  const values = new Set();
  for (const item of items) values.add(item[key]);
  const found = [...values].filter((value) => value !== null || key === "label");
  const order = key === "scenario" ? Object.keys(SCENARIOS) : null;
  if (order) return found.sort((a, b) => order.indexOf(a) - order.indexOf(b));
  return found.every((value) => typeof value === "number") ? found.sort((a, b) => a - b) : found;
}

// A field's name, what it means, and the values to choose from.
function choice(key, name, explains, options, change) {
  const id = `choose-${key}`;
  const select = el("select", { id }, ...options.map(([value, text]) => new Option(text, value)));
  select.addEventListener("change", () => change(select.value));
  const node = el("div", { className: "field" },
    el("span", {}, el("label", { for: id }, name), explains ? word(explains, "?", explains === "wrong_first" ? "wrong ones first" : undefined) : null), select);
  const choose = (value) => {
    if (![...select.options].some((option) => option.value === value)) select.append(new Option(`${value} (none here)`, value));
    select.value = value;
  };
  return { node, choose };
}

// `about`, if given, makes what stands above the cards from those that the filters leave.
function collection(tab, items, { filters, orders, first = {}, wide = false, about = () => null }) {
  const state = { chosen: {}, order: orders[0], page: 0, kept: [] };
  const root = el("div"), body = el("div"), fields = {};

  function select() {
    const wanted = Object.entries(state.chosen).filter(([, value]) => value !== "");
    state.kept = items.filter((item) => wanted.every(([key, value]) => String(item[key]) === value));
    const compare = ORDERS[state.order][1];
    if (compare) state.kept.sort(compare);
  }

  function values() {
    const told = filters.filter((key) => state.chosen[key] !== "" || first[key]).map((key) => [addressKey(key), state.chosen[key]]);
    if (state.order !== orders[0]) told.push(["order", state.order]);
    if (state.page) told.push(["page", String(state.page + 1)]);
    return told;
  }

  function choose(key, value) {
    if (key === "order") state.order = value;
    else state.chosen[key] = value;
    select();
    turn(0);
  }

  function turn(page) {
    draw(page);
    tell(addressOf(tab, values()));
  }

  function pages() {
    const last = Math.max(0, Math.ceil(state.kept.length / PAGE_SIZE) - 1);
    const go = (text, page, disabled, name) => el("button", { type: "button", disabled, onclick: () => { turn(page); root.scrollIntoView(); }, "aria-label": name }, text);
    const unit = items[0].kind === "test" ? "scores" : "images";
    return el("div", { className: "pages" }, go("«", 0, state.page === 0, "First page"), go("‹ Previous", state.page - 1, state.page === 0, "Previous page"),
      go("Next ›", state.page + 1, state.page >= last, "Next page"), go("»", last, state.page >= last, "Last page"),
      el("span", { className: "faint", "aria-live": "polite" }, `${state.kept.length} of ${items.length} ${unit}, page ${state.page + 1} of ${last + 1}`));
  }

  function draw(page) {
    state.page = Math.max(0, Math.min(page, Math.ceil(state.kept.length / PAGE_SIZE) - 1));
    const { kept } = state, start = state.page * PAGE_SIZE;
    const cards = kept.slice(start, start + PAGE_SIZE).map((item, at) => el("li", {}, cardButton(item, CARDS[item.kind], () => show(kept, start + at))));
    body.replaceChildren(...[about(kept), pages(),
      cards.length ? el("ul", { className: wide ? "grid wide" : "grid" }, ...cards) : el("p", { className: "empty" }, "No image fits these filters."),
      cards.length > 12 ? pages() : null].filter((node) => node !== null));
  }

  // What an address says, and for what it does not say, what is shown at first.
  function apply(told) {
    for (const key of filters) {
      state.chosen[key] = told.get(addressKey(key)) ?? first[key] ?? "";
      fields[key].choose(state.chosen[key]);
    }
    state.order = orders.includes(told.get("order")) ? told.get("order") : orders[0];
    if (fields.order) fields.order.choose(state.order);
    select();
    draw(Math.floor(Number(told.get("page")) || 1) - 1);
  }

  // Enlarge the image that an address names; false if there is none.
  function open(name, place) {
    const fits = (item) => nameOf(item) === name && (place === undefined || placeOf(item) === place);
    const at = state.kept.findIndex(fits), other = at < 0 ? items.find(fits) : null;
    if (at >= 0) show(state.kept, at);
    else if (other) show([other], 0);
    return at >= 0 || Boolean(other);
  }

  // What an address needs beside `values`, so that it leads to this image.
  function pointTo(item) {
    const clear = state.kept.find((other) => nameOf(other) === nameOf(item)) === item;
    return [...(clear ? [] : [["in", placeOf(item)]]), ["image", nameOf(item)]];
  }

  for (const key of filters) {
    const options = distinct(items, key).map((value) => [String(value), FILTERS[key][1](value)]);
    if (options.length) fields[key] = choice(key, FILTERS[key][0], FILTERS[key][2], [["", "all"], ...options], (value) => choose(key, value));
    else filters = filters.filter((other) => other !== key);
  }
  if (orders.length > 1) {
    fields.order = choice("order", "order", ORDERS[orders[0]][2], orders.map((key) => [key, ORDERS[key][0]]), (value) => choose("order", value));
  }
  // folded on a phone, where they would take the first screen
  root.append(el("details", { className: "chosen", open: matchMedia("(min-width: 641px)").matches }, el("summary", {}, "Filters and order"),
    el("div", { className: "filters" }, ...Object.values(fields).map((field) => field.node))), body);
  apply(new Map());
  return { root, apply, values, open, pointTo };
}
