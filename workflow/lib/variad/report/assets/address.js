"use strict";

// What a page shows stands in its address, behind the "#": `tests&scenario=one_shot&label=1&image=test/crack/003`.

const addressKey = (key) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

// The part before the first value is the tab; values are a Map of texts.
function readAddress() {
  const [first, ...rest] = location.hash.slice(1).split("&");
  const named = first.includes("=") ? [first, ...rest] : rest;
  return { tab: first.includes("=") ? "" : first, values: new Map(new URLSearchParams(named.join("&"))) };
}

function addressOf(tab, values) {
  const told = new URLSearchParams(values).toString().replace(/%2F/g, "/");
  return `#${[tab, told].filter((part) => part !== "").join("&")}`;
}

// Not a new page for the button "back": it leads to where one came from.
const tell = (address) => history.replaceState(null, "", address);
