"use strict";

// One object for every shot, added image and scored image, and the card that shows it.

const shots = data.shots.flatMap((entry) =>
  entry.image.map((image, place) => ({ kind: "shot", scenario: entry.scenario, run: entry.run, image, place })));

const all = data.sets.flatMap((set, number) => set.run.map((run, index) => ({
  kind: "added", set, number, index, run, scenario: set.scenario, trainingSet: set.training_set,
  parent: set.parent[index], prompt: set.prompt[index], seed: set.seed[index],
  similarity: set.similarity[index], distance: set.distance[index], accepted: set.accepted[index],
  score: set.score ? set.score[index] : null, picture: set.picture ? set.picture[index] : index,
})));

const added = all.filter((item) => item.score === null);

// The candidates of a run by their score, and on which side of the limit: borderline are a tenth of them, at most eight, on each side.
const BANDS = { taken: "✓ taken as good", last: "✓ just taken", first: "✕ just left out", left: "✕ left out" };
const byRun = new Map();
for (const item of all.filter((one) => one.score !== null)) {
  const run = `${item.number} ${item.run}`;
  if (!byRun.has(run)) byRun.set(run, []);
  byRun.get(run).push(item);
}
const runsOfCandidates = [...byRun.values()].map((items) => {
  const sorted = items.sort((a, b) => a.score - b.score);
  const kept = sorted.filter((item) => item.accepted), rest = sorted.filter((item) => !item.accepted);
  const near = Math.min(8, Math.ceil(sorted.length / 10));
  kept.forEach((item, place) => { item.band = place >= kept.length - near && rest.length ? "last" : "taken"; });
  rest.forEach((item, place) => { item.band = place < near ? "first" : "left"; });
  sorted.forEach((item, place) => Object.assign(item, { kind: "unlabelled", image: item.parent, rank: place + 1, of: sorted.length }));
  const limit = kept.length && rest.length ? (kept.at(-1).score + rest[0].score) / 2 : null;
  const found = { kept, rest, limit, candidates: sorted };
  sorted.forEach((item) => { item.pile = found; });
  return found;
});
const unlabelled = runsOfCandidates.flatMap((entry) => entry.candidates);

// Which side of the threshold an image lies on, and how wrong that is: from 1 to 2 on the wrong side, from -1 to 0 on the right one.
const VERDICTS = { missed: "✕ missed, below threshold", alarm: "✕ false alarm, above threshold", found: "✓ found, above threshold", passed: "✓ passed, below threshold",
  above: "above threshold", below: "below threshold" };
const CHANGES = { 1: "better", 0: "same", "-1": "worse" };
const isWrong = (item) => item.verdict === "missed" || item.verdict === "alarm";

function verdictOf(known, value, threshold, spread) {
  if (threshold === null) return { verdict: null, wrong: null };
  const over = value > threshold;
  if (known === null) return { verdict: over ? "above" : "below", wrong: null };
  const margin = Math.abs(value - threshold) / spread;
  return over === (known === 1) ? { verdict: over ? "found" : "passed", wrong: -margin } : { verdict: over ? "alarm" : "missed", wrong: 1 + margin };
}

const tests = data.cells.flatMap((cell, number) => {
  const order = cell.score.map((_, index) => index).sort((a, b) => cell.score[b] - cell.score[a]);
  const rank = [];
  order.forEach((index, place) => { rank[index] = place + 1; });
  const spread = order.length ? cell.score[order[0]] - cell.score[order.at(-1)] || 1 : 1;
  cell.items = cell.image.map((image, index) => ({
    kind: "test", cell, number, index, image, run: cell.run, scenario: cell.scenario, trainingSet: cell.training_set,
    detector: cell.detector, label: cell.label[index], score: cell.score[index], rank: rank[index],
    defect: data.images.defect[image] || "unlabelled", ...verdictOf(cell.label[index], cell.score[index], cell.threshold, spread),
  }));
  return cell.items;
});

// What a training set changed: the same image, scored by the same detector trained on the shots alone.
const BASELINE = "original";
for (const cell of data.cells) {
  const base = data.cells.find((one) => one.training_set === BASELINE && one.scenario === cell.scenario && one.detector === cell.detector);
  const before = base && base !== cell ? new Map(base.items.map((item) => [item.image, item])) : new Map();
  for (const item of cell.items) {
    const was = before.get(item.image);
    const known = was && was.wrong !== null && item.wrong !== null;
    item.was = known ? was : null;
    item.change = known ? CHANGES[Math.sign(isWrong(was) - isWrong(item))] : null;
    item.moved = known ? Math.abs(item.wrong - was.wrong) : null;
  }
}

// How an address names an image: by its name, or its number in its training set; and where, if that is not clear from the filters.
const TABS = { test: "tests", added: "added", unlabelled: "unlabelled", shot: "shots" };
const nameOf = (item) => (item.kind === "added" ? String(item.index) : imageName(item.image));
const placeOf = (item) => [item.scenario, item.trainingSet, item.detector, ...(item.kind === "shot" || item.kind === "unlabelled" ? [`run_${item.run}`] : [])]
  .filter((part) => part !== undefined).join("/");

const side = (item) => (item.verdict === null ? null : badge(!isWrong(item) && item.verdict !== "above", VERDICTS[item.verdict]));
const addedPicture = (item, alt) => picture(`added/${item.number}/${item.picture}.jpg`, alt);
const mapPicture = (item, alt) => picture(`maps/${item.number}/${item.index}.jpg`, alt);


function shotCard(item) {
  return [el("span", { className: "pair" }, real(item.image)), el("span", { className: "text" },
    el("span", {}, imageName(item.image)),
    el("span", { className: "faint" }, `${scenarioName(item.scenario)}, run ${item.run}`))];
}

function addedCard(item) {
  const guided = item.similarity !== null;
  return [el("span", { className: "pair" }, addedPicture(item, `Added image ${item.index} of ${item.trainingSet}`)),
    el("span", { className: "text" },
      verdict(item.accepted),
      el("span", {}, item.trainingSet),
      el("span", { className: "faint" }, `${scenarioName(item.scenario)}, run ${item.run}`),
      el("span", { className: "faint" }, guided ? `similarity ${number(item.similarity)}` : `distance ${number(item.distance)}`))];
}

function unlabelledCard(item) {
  const known = data.images.label[item.image];
  return [el("span", { className: "pair" }, real(item.image)),
    el("span", { className: "text" },
      badge(item.accepted, BANDS[item.band]),
      el("span", { className: "split" }, el("span", { className: "score" }, score(item.score)), el("span", { className: "faint" }, `${item.rank} of ${item.of}`)),
      el("span", {}, imageName(item.image).replace(/^unlabelled\//, "")),
      el("span", { className: "faint" }, `${item.trainingSet}, run ${item.run}`),
      known === null ? null : el("span", { className: "faint" }, `labelled ${labelName(known)}`))];
}

function otherCellCard(item) {
  const map = item.cell.maps ? el("span", { className: "pair" }, mapPicture(item, `Anomaly map with ${item.trainingSet}`)) : null;
  return [map, el("span", { className: "text" }, el("span", { className: "score" }, score(item.score)), side(item), el("span", {}, item.trainingSet),
    el("span", { className: "faint" }, `rank ${item.rank} of ${item.cell.image.length}`))].filter((node) => node !== null);
}

function testCard(item) {
  const name = imageName(item.image);
  const map = item.cell.maps ? mapPicture(item, `Anomaly map of ${name}`) : null;
  return [el("span", { className: "pair" }, real(item.image), map),
    el("span", { className: "text" },
      el("span", { className: "split" }, el("span", { className: "score" }, score(item.score)), el("span", {}, labelName(item.label))),
      side(item),
      el("span", {}, name),
      el("span", { className: "faint" }, `${item.trainingSet} · ${item.detector}`),
      el("span", { className: "faint" }, `${scenarioName(item.scenario)}, rank ${item.rank} of ${item.cell.image.length}`))];
}
