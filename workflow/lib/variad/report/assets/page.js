"use strict";

// The prompts and the tabs.

function promptTable() {
  const head = ["scenario", "encoder", "words from", "run", "best prompt", "similarity", "worst prompt", "similarity"];
  const rows = data.prompts.flatMap((entry) => entry.runs.map((run) => [scenarioName(entry.scenario), entry.encoder, entry.word_source, run.run,
    run.best.prompt, number(run.best.similarity), run.worst.prompt, number(run.worst.similarity)]));
  const numeric = (column) => (column === 3 || column === 5 || column === 7 ? "number" : column === 4 || column === 6 ? "prompt" : "");
  const line = (tag, cells) => el("tr", {}, ...cells.map((cell, column) => el(tag, { className: numeric(column) }, String(cell))));
  return [el("p", { className: "faint" }, `Class name: “${data.prompts[0].class_name}”. Similarity is the cosine of the encoder's unit embeddings of prompt and shots.`),
    el("div", { className: "scroll" }, el("table", {}, el("thead", {}, line("th", head)), el("tbody", {}, ...rows.map((row) => line("td", row)))))];
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

function photographsTaken() {
  const lines = runsOfCandidates.map(({ kept, rest, candidates: [one] }) => {
    const limit = !rest.length || !kept.length ? "" : `; the limit lies between the scores ${score(kept.at(-1).score)} and ${score(rest[0].score)}`;
    return [`${one.trainingSet}, ${scenarioName(one.scenario).toLowerCase()}, run ${one.run}`, `${kept.length} of ${one.of} taken as good${limit}`];
  });
  const [{ candidates: [first] }] = runsOfCandidates;
  return el("div", {}, el("p", {}, "Photographs that nobody has sorted, chosen without any label: the lower the score, the more normal. "), objection(),
    el("details", { open: lines.length <= 5 }, el("summary", {}, "How many were taken"), facts(lines)),
    collection(unlabelled, ["scenario", "trainingSet", "run", "band"], ["score_up", "score_down"],
      { scenario: first.scenario, trainingSet: first.trainingSet, run: String(first.run) }, false));
}

const photographs = new Set(unlabelled.map((item) => item.image)).size;
const tested = new Set(tests.map((item) => item.image)).size;

const views = [
  { key: "tests", name: "Test images", items: tests, count: tested, draw: () => collection(tests, ["scenario", "trainingSet", "detector", "label", "defect"],
    ["score_down", "score_up", "order"], firstCell(), true) },
  { key: "added", name: "Added images", items: added, draw: () => collection(added, ["scenario", "trainingSet", "run", "accepted"],
    ["order", "similarity_down", "similarity_up", "distance_down", "distance_up"], {}, false) },
  ...(unlabelled.length ? [{ key: "unlabelled", name: "Unlabelled", items: unlabelled, count: photographs, draw: photographsTaken }] : []),
  { key: "shots", name: "Shots", items: shots, draw: () => collection(shots, ["scenario", "run"], ["order"], {}, false) },
  { key: "prompts", name: "Prompts", items: data.prompts, draw: () => el("div", {}, el("h2", {}, "Prompts"), ...promptTable()) },
  { key: "files", name: "Files", items: data.inventory, draw: () => el("div", {}, ...inventory()) },
];

// The whole list of scores would mix cells; start with one and let the filters open it.
function firstCell() {
  const cell = data.cells.find((entry) => entry.training_set === "generated_tuned") || data.cells.find((entry) => entry.training_set === "generated") || data.cells[0];
  return cell ? { scenario: cell.scenario, trainingSet: cell.training_set, detector: cell.detector } : {};
}

const tabs = document.querySelector(".tabs");
const main = document.getElementById("view");

function openTab(view) {
  for (const button of tabs.children) {
    const selected = button.dataset.key === view.key;
    button.setAttribute("aria-selected", String(selected));
    button.tabIndex = selected ? 0 : -1;
  }
  view.node = view.node || (view.items.length ? view.draw() : el("p", { className: "empty" }, `No ${view.name.toLowerCase()} in this category.`));
  main.replaceChildren(view.node);
}

for (const view of views) {
  const count = view.key === "prompts" || view.key === "files" ? "" : ` (${view.count ?? view.items.length})`;
  const button = el("button", { type: "button", role: "tab", id: `tab-${view.key}`, "aria-controls": "view" }, view.name + count);
  button.dataset.key = view.key;
  button.addEventListener("click", () => { history.replaceState(null, "", `#${view.key}`); openTab(view); });
  tabs.append(button);
}
tabs.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by) return;
  const at = [...tabs.children].indexOf(document.activeElement);
  const next = tabs.children[(at + by + views.length) % views.length];
  next.focus();
  next.click();
});

const accepted = added.filter((item) => item.accepted).length;
document.getElementById("counts").textContent =
  `${tested} test images scored in ${data.cells.length} cells; ${added.length} added images, ${accepted} accepted${photographs ? `; ${photographs} unlabelled photographs to choose from` : ""}`;
const wanted = views.find((view) => `#${view.key}` === location.hash);
openTab(wanted || views.find((view) => view.items.length) || views[0]);

// The target `predict` brings a script that links its page here; until it has run there is none, and nothing happens.
const link = document.createElement("script");
link.src = `../${encodeURIComponent(data.category)}.predictions.js`;
document.head.append(link);
