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
  byRun.set(run, [...(byRun.get(run) || []), item]);
}
const runsOfCandidates = [...byRun.values()].map((items) => {
  const sorted = items.sort((a, b) => a.score - b.score);
  const kept = sorted.filter((item) => item.accepted), rest = sorted.filter((item) => !item.accepted);
  const near = Math.min(8, Math.ceil(sorted.length / 10));
  kept.forEach((item, place) => { item.band = place >= kept.length - near && rest.length ? "last" : "taken"; });
  rest.forEach((item, place) => { item.band = place < near ? "first" : "left"; });
  sorted.forEach((item, place) => Object.assign(item, { kind: "unlabelled", image: item.parent, rank: place + 1, of: sorted.length }));
  return { kept, rest, candidates: sorted };
});
const unlabelled = runsOfCandidates.flatMap((entry) => entry.candidates);

const tests = data.cells.flatMap((cell, number) => {
  const order = cell.score.map((_, index) => index).sort((a, b) => cell.score[b] - cell.score[a]);
  const rank = [];
  order.forEach((index, place) => { rank[index] = place + 1; });
  return cell.image.map((image, index) => ({
    kind: "test", cell, number, index, image, run: cell.run, scenario: cell.scenario, trainingSet: cell.training_set,
    detector: cell.detector, label: cell.label[index], score: cell.score[index], rank: rank[index],
    defect: data.images.defect[image] || "unlabelled",
  }));
});

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
  return [map, el("span", { className: "text" }, el("span", { className: "score" }, score(item.score)), el("span", {}, item.trainingSet),
    el("span", { className: "faint" }, `rank ${item.rank} of ${item.cell.image.length}`))].filter((node) => node !== null);
}

function testCard(item) {
  const name = imageName(item.image);
  const map = item.cell.maps ? mapPicture(item, `Anomaly map of ${name}`) : null;
  return [el("span", { className: "pair" }, real(item.image), map),
    el("span", { className: "text" },
      el("span", { className: "split" }, el("span", { className: "score" }, score(item.score)), label(item.label)),
      el("span", {}, name),
      el("span", { className: "faint" }, `${item.trainingSet} · ${item.detector}`),
      el("span", { className: "faint" }, `${scenarioName(item.scenario)}, rank ${item.rank} of ${item.cell.image.length}`))];
}
