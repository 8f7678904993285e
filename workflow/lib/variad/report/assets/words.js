"use strict";

// Words of the field, explained where they stand: a button that opens a note, by mouse, touch or keyboard; Escape closes it.

const WORDS = {
  cell: "One training set, scored by one detector, in one scenario of one category. Each cell is a line of the table of results for each metric.",
  shot: "A good photograph that a detector is trained on: one of them in one-shot, a few in few-shot, all there are in full-shot.",
  scenario: "How many good photographs there are to train on: one (one-shot), a few (few-shot) or all (full-shot).",
  training_set: "What a detector is trained on: the shots, and what a recipe adds to them. “original” is the shots alone.",
  detector: "The method that gives an image its score and its anomaly map. It sees good images alone when it is trained.",
  run: "One repetition, with shots of its own and another random start. Tables have the mean over runs; scores and maps here are of one run.",
  accepted: "An added image that its recipe's limits let pass, or a photograph that was taken as good. Only accepted ones are trained on; where a recipe has no limits, all are.",
  published: "What the published method prints for the same cell, where it does; nothing of it was measured here, and data and settings may differ.",
  metric: "How well scores or maps tell defects from good ones, in percent. image_auroc: the chance that an image with a defect scores higher than a good one (50 is chance). pixel_auroc: the same of pixels. ap: average precision. f1_max: the best balance of misses and false alarms. aupro: how much of each defect the maps cover.",
  gain: "The mean less that of “original” (the shots alone) of the same runs, in percentage points, with its 95 % interval. If the interval holds 0, it may be chance. The link of a gain leads to the images whose verdict changed most.",
  score: "How anomalous the detector finds an image: higher is more anomalous. Scores of two detectors, or of two training sets, are in different units.",
  threshold: "An image that scores above it is called a defect. Here it is the one that makes the fewest mistakes among these test images. It has seen their labels, so a threshold for photographs to come makes more of them; the targets predict and bundle set one without labels.",
  wrong_first: "Images on the wrong side of the threshold, the farthest from it first; then the right ones, the closest first.",
  limit: "Photographs are taken as good from the lowest score up to here. Nobody's label is used.",
  similarity: "Cosine of the encoder's unit embeddings of prompt and image, from -1 to 1.",
  distance: "Root mean square difference to the image that it was made from, from 0 to 1.",
};
let explained = 0;

function word(key, shown, name = key.replace(/_/g, " ")) {
  const id = `word-${(explained += 1)}`;
  const button = el("button", { type: "button", className: shown === "?" ? "word ask" : "word", popovertarget: id }, shown);
  if (shown === "?") button.setAttribute("aria-label", `What is this: ${name}?`);
  const note = el("span", { id, popover: "auto", className: "note" }, el("b", {}, `${name[0].toUpperCase()}${name.slice(1)}. `), WORDS[key]);
  note.addEventListener("toggle", (event) => {
    if (event.newState !== "open") return;
    const at = button.getBoundingClientRect();
    const below = at.bottom + 6 + note.offsetHeight <= innerHeight || at.top < note.offsetHeight + 6;
    note.style.left = `${Math.max(8, Math.min(at.left, document.documentElement.clientWidth - note.offsetWidth - 8))}px`;
    note.style.top = `${below ? at.bottom + 6 : at.top - note.offsetHeight - 6}px`;
  });
  return el("span", { className: "explained" }, button, note);
}

// What the page has as plain text, in elements that name a word.
function explain(root) {
  for (const node of root.querySelectorAll("[data-word]")) node.replaceWith(word(node.dataset.word, node.textContent));
}
