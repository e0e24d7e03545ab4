// What pages gain from a script beyond htmx: pausing what is live, and keys. Without it they read as well.
"use strict";

document.documentElement.dataset.script = "on";

const pause = document.getElementById("pause");
const keys = document.getElementById("keys");
let live = document.getElementById("live");
let connection = null;
let paused = false;

document.addEventListener("htmx:sse:after:connection", (event) => {
  connection = event.detail.connection;
});

// A paused page asks for nothing at all: its stream is closed, and nothing opens another one.
function togglePause() {
  paused = !paused;
  if (paused) {
    live.remove();
    connection?.abortController?.abort();
    connection = null;
  } else {
    const again = document.createElement("div");
    for (const { name, value } of live.attributes) {
      if (name !== "data-htmx-powered") again.setAttribute(name, value);
    }
    live = again;
    document.getElementById("main").prepend(live);
    htmx.process(live);
  }
  showPause();
}

function showPause() {
  pause.hidden = false;
  pause.setAttribute("aria-pressed", String(paused));
  pause.querySelector(".label").textContent = paused ? "Paused" : "Live";
}

function step(by) {
  const rows = [...document.querySelectorAll(".rows tbody tr")];
  const current = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[Math.min(rows.length - 1, Math.max(0, current + by))];
  next?.querySelector("a")?.focus();
}

const actions = {
  "/": () => {
    const search = document.getElementById("search");
    if (search) search.focus();
    else window.location.assign("/jobs#search");
  },
  j: () => step(1),
  k: () => step(-1),
  p: () => pause && togglePause(),
  "?": () => keys.open || keys.showModal(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea, dialog");
  if (!keys || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

document.addEventListener("htmx:before:request", (event) => {
  if (paused && event.target.id === "content") event.preventDefault();
});

if (pause) {
  pause.addEventListener("click", togglePause);
  showPause();
}
if (window.location.hash === "#search") document.getElementById("search")?.focus();
