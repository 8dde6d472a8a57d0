// The keyboard: u upload, / search, j and k through the list, Enter opens, x cancels, z undoes, 1 to 3 change the view, ? helps.

import { Dialog } from "./parts.js";
import { html } from "./ui.js";
import { t } from "./words.js";

export const KEYS = ["u", "/", "j", "k", "Enter", "x", "z", "1", "2", "3", "?"];

const VIEWS = { 1: "#/queue", 2: "#/library", 3: "#/server" };

/** Listens until the returned function is called. `showHelp()` opens the list of keys. */
export function listenForKeys(showHelp) {
  const hear = (event) => {
    const typing = event.target.closest("input, select, textarea, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const act = actions(showHelp)[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  document.addEventListener("keydown", hear);
  return () => document.removeEventListener("keydown", hear);
}

const actions = (showHelp) => ({
  u: () => whenThere("#/queue", "#choose", (button) => button.click()),
  "/": () => whenThere("#/library", "#search", (input) => input.focus()),
  j: () => move(1),
  k: () => move(-1),
  x: () => focused()?.querySelector(".cancel")?.click(),
  z: () => [...document.querySelectorAll(".notice .undo")].at(-1)?.click(),
  1: () => (location.hash = VIEWS[1]),
  2: () => (location.hash = VIEWS[2]),
  3: () => (location.hash = VIEWS[3]),
  "?": showHelp,
});

// Changes the view first where that is needed; the element is there once the view was drawn.
function whenThere(view, selector, act) {
  const found = document.querySelector(selector);
  if (found) return act(found);
  location.hash = view;
  const watcher = new MutationObserver(() => {
    const now = document.querySelector(selector);
    if (!now) return;
    watcher.disconnect();
    act(now);
  });
  watcher.observe(document.body, { childList: true, subtree: true });
  return undefined;
}

const focused = () => document.activeElement?.closest("[data-key]");

// Items are links or hold one: the focus itself is the selection, as a screen reader sees it too.
function move(step) {
  const all = [...document.querySelectorAll("[data-key]")];
  if (!all.length) return;
  const place = all.indexOf(focused());
  const next = all[place < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, place + step))];
  const target = next.matches("a") ? next : next.querySelector("a, button");
  target?.focus();
  next.scrollIntoView({ block: "nearest" });
}

export const Help = ({ onClose }) => html`
  <${Dialog} title=${t("keys.title")} onClose=${onClose}>
    <dl class="keys">${KEYS.map((key) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${t(`keys.${key}`)}</dd></div>`)}</dl>
  <//>`;
