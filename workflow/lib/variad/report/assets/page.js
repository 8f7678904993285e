"use strict";

// The prompts, the tabs, and what the address says of them.

function promptTable() {
  const head = ["scenario", "encoder", "words from", "run", "best prompt", "similarity", "worst prompt", "similarity"];
  const rows = data.prompts.flatMap((entry) => entry.runs.map((run) => [scenarioName(entry.scenario), entry.encoder, entry.word_source,
    link(addressOf("shots", [["scenario", entry.scenario], ["run", String(run.run)]]), String(run.run)),
    run.best.prompt, number(run.best.similarity), run.worst.prompt, number(run.worst.similarity)]));
  const kinds = { 3: "number", 5: "number", 7: "number", 4: "prompt", 6: "prompt" };
  const line = (tag, cells) => el("tr", {}, ...cells.map((cell, column) => el(tag, { className: kinds[column] || "", "data-label": head[column] }, cell)));
  return [el("p", { className: "faint" }, `Class name: “${data.prompts[0].class_name}”. Similarity is the cosine of the encoder's unit embeddings of prompt and shots.`),
    el("div", { className: "scroll" }, el("table", { className: "stacked" }, el("thead", {}, line("th", head)), el("tbody", {}, ...rows.map((row) => line("td", row)))))];
}

function inventory() {
  const [counts, ...remarks] = data.inventory;
  return [el("h2", {}, "Files"), el("p", {}, counts), el("ul", {}, ...remarks.map((remark) => el("li", {}, remark))),
    el("p", { className: "faint" }, "Every file, used or not, is in inventory.csv of this category's folder of results.")];
}

// How a person can object to what was taken as good; where labels are known there is nothing to object to.
function objection() {
  const known = unlabelled.every((item) => data.images.label[item.image] !== null);
  return el("p", {}, ...(known ? ["The labels of this pile are known. They are shown here, and were not used to choose."] : [
    "One that was taken is not good? In a folder of your own, write its file's name on a line of ", el("code", {}, "not_good.txt"),
    " in the category's folder, beside ", el("code", {}, "unlabelled"), ", and run again: only what depends on it is made anew."]));
}

function photographsTaken(list) {
  const lines = runsOfCandidates.map(({ kept, rest, candidates: [one] }) => {
    const limit = !rest.length || !kept.length ? "" : `; the limit lies between the scores ${score(kept.at(-1).score)} and ${score(rest[0].score)}`;
    const values = [["scenario", one.scenario], ["training_set", one.trainingSet], ["run", String(one.run)]];
    return [`${one.trainingSet}, ${scenarioName(one.scenario).toLowerCase()}, run ${one.run}`, link(addressOf("unlabelled", values), `${kept.length} of ${one.of} taken as good${limit}`)];
  });
  return el("div", {}, el("p", {}, "Photographs that nobody has sorted, chosen without any label: the lower the score, the more normal. "), objection(),
    el("details", { open: lines.length <= 5 }, el("summary", {}, "How many were taken"), facts(lines)), list.root);
}

// What one cell makes of its test images, with a link to each kind.
function cellSummary(kept) {
  const cell = kept.length && kept[0].cell;
  if (!cell || kept.some((item) => item.cell !== cell)) return null;
  const where = [["scenario", cell.scenario], ["training_set", cell.training_set], ["detector", cell.detector]];
  const counted = (name, what, said) => {
    const count = cell.items.filter((item) => item.verdict === name).length;
    return link(addressOf("tests", [...where, ["verdict", name]]), `${count} ${what}${what && count !== 1 ? "s" : ""}${said}`);
  };
  const auroc = cell.auroc === null ? null : `Image AUROC of this run: ${(100 * cell.auroc).toFixed(2)} %. `;
  const several = cell.runs > 1 ? `It is run ${cell.run}; tables have the mean of ${cell.runs} runs. ` : null;
  const counts = cell.threshold === null ? [withoutThreshold(cell)] : ["With the ", word("threshold", "threshold"), ` at ${score(cell.threshold)}: `,
    ...(cell.auroc === null ? [counted("above", "", "above it"), ", ", counted("below", "", "below it"), "."]
      : [counted("missed", "defect", " missed"), ", ", counted("alarm", "false alarm", ""), "; ", counted("found", "defect", " found"), ", ", counted("passed", "good image", " passed"), "."])];
  return el("div", { className: "about" }, el("p", {}, el("strong", {}, `${cell.training_set}, ${cell.detector}, ${scenarioName(cell.scenario).toLowerCase()}. `), ...[auroc, several, ...counts].filter((part) => part !== null)),
    el("div", { className: "side" }, cellLine(cell), cell.maps ? legend(cell) : null));
}

const photographs = new Set(unlabelled.map((item) => item.image)).size;
const tested = new Set(tests.map((item) => item.image)).size;
const candidate = runsOfCandidates.length ? runsOfCandidates[0].candidates[0] : null;

// The whole list of scores would mix cells; start with one and let the filters open it.
function firstCell() {
  const cell = data.cells.find((entry) => entry.training_set === "generated_tuned") || data.cells.find((entry) => entry.training_set === "generated") || data.cells[0];
  return cell ? { scenario: cell.scenario, trainingSet: cell.training_set, detector: cell.detector } : {};
}

const views = [
  { key: "tests", name: "Test images", items: tests, count: tested, options: () => ({
    filters: ["scenario", "trainingSet", "detector", "verdict", "change", "label", "defect"], orders: ["wrong_first", "score_down", "score_up", "changed_first", "in_order"],
    first: firstCell(), wide: true, about: cellSummary }) },
  { key: "added", name: "Added images", items: added, options: () => ({
    filters: ["scenario", "trainingSet", "run", "accepted"], orders: ["in_order", "similarity_down", "similarity_up", "distance_down", "distance_up"] }) },
  ...(candidate ? [{ key: "unlabelled", name: "Unlabelled", items: unlabelled, count: photographs, around: photographsTaken, options: () => ({
    filters: ["scenario", "trainingSet", "run", "band"], orders: ["score_up", "score_down"],
    first: { scenario: candidate.scenario, trainingSet: candidate.trainingSet, run: String(candidate.run) } }) }] : []),
  { key: "shots", name: "Shots", items: shots, options: () => ({ filters: ["scenario", "run"], orders: ["in_order"] }) },
  { key: "prompts", name: "Prompts", items: data.prompts, draw: () => el("div", {}, el("h2", {}, "Prompts"), ...promptTable()) },
  { key: "files", name: "Files", items: data.inventory, draw: () => el("div", {}, ...inventory()) },
];

const tabs = document.querySelector(".tabs");
const panelOfTab = byId("view");
let current = null;

function drawTab(view) {
  if (!view.items.length) return el("p", { className: "empty" }, `No ${view.name.toLowerCase()} in this category.`);
  if (view.draw) return view.draw();
  view.list = collection(view.key, view.items, view.options());
  return view.around ? view.around(view.list) : view.list.root;
}

function openTab(view) {
  for (const button of tabs.children) {
    const selected = button.dataset.key === view.key;
    button.setAttribute("aria-selected", String(selected));
    button.tabIndex = selected ? 0 : -1;
  }
  current = view;
  view.node = view.node || drawTab(view);
  panelOfTab.setAttribute("aria-labelledby", `tab-${view.key}`);
  panelOfTab.replaceChildren(view.node);
  byId("notice").hidden = true;
}

const addressNow = () => addressOf(current.key, current.list ? current.list.values() : []);

// An image of another tab, as of a strip in the viewer, is told by its own tab.
function addressTo(item) {
  const tab = TABS[item.kind];
  if (current.key === tab) return addressOf(tab, [...current.list.values(), ...current.list.pointTo(item)]);
  return addressOf(tab, [["in", placeOf(item)], ["image", nameOf(item)]]);
}

function follow() {
  const { tab, values } = readAddress();
  const view = views.find((one) => one.key === tab) || views.find((one) => one.items.length) || views[0];
  openTab(view);
  if (view.list) view.list.apply(values);
  if (viewer.open) viewer.close();
  const name = values.get("image");
  if (name === undefined || (view.list && view.list.open(name, values.get("in")))) return;
  byId("notice").textContent = `The address names image “${name}”, which is not among the ${view.name.toLowerCase()} here.`;
  byId("notice").hidden = false;
}

for (const view of views) {
  const count = view.key === "prompts" || view.key === "files" ? "" : ` (${view.count ?? view.items.length})`;
  const button = el("button", { type: "button", role: "tab", id: `tab-${view.key}`, "aria-controls": "view" }, view.name + count);
  button.dataset.key = view.key;
  button.addEventListener("click", () => { openTab(view); tell(addressNow()); });
  tabs.append(button);
}
tabs.addEventListener("keydown", (event) => {
  const at = [...tabs.children].indexOf(document.activeElement);
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: views.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const next = tabs.children[(to + views.length) % views.length];
  next.focus();
  next.click();
});

const accepted = added.filter((item) => item.accepted).length;
byId("counts").append(link("#tests", `${tested} test images`), ` scored in ${data.cells.length} `, word("cell", data.cells.length === 1 ? "cell" : "cells"), "; ",
  link("#added", `${added.length} added images`), ", ", link("#added&accepted=true", String(accepted)), " ", word("accepted", "accepted"),
  ...(photographs ? ["; ", link("#unlabelled", `${photographs} unlabelled photographs`), " to choose from"] : []), "; ", word("shot", "shots"), " in a tab of their own");
follow();
window.addEventListener("hashchange", follow);

// The target `predict` brings a script that links its page here; until it has run, the script has nothing in it.
document.head.append(el("script", { src: `../${encodeURIComponent(data.category)}.predictions.js` }));
