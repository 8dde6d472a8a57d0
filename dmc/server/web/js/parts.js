// Small parts that several views are made of.

import { inWords } from "./api.js";
import { Icon } from "./icons.js";
import { dismiss, notice, useStore } from "./store.js";
import { html, useEffect, useRef, useState } from "./ui.js";
import { t } from "./words.js";

/** A button that does something at the server: it waits for the end, and says what went wrong. `about`: the id of what describes it. */
export function Act({ act, icon, label, title, kind = "", small = false, inside = null, about = null }) {
  const [busy, setBusy] = useState(false);
  const run = async (event) => {
    event.stopPropagation();
    setBusy(true);
    try {
      await act();
    } catch (problem) {
      notice(inWords(problem), "bad");
    } finally {
      setBusy(false);
    }
  };
  return html`
    <button type="button" class="button ${kind} ${small ? "small" : ""}" onClick=${run} disabled=${busy} aria-label=${title ?? null}
      ref=${inside} aria-describedby=${about} title=${small ? title : null}>
      ${icon && html`<${Icon} name=${icon} />`}${!small && html`<span>${label}</span>`}
    </button>`;
}

/** A real dialog: Escape closes it, the focus stays in it and comes back afterwards. */
export function Dialog({ title, onClose, children, wide = false }) {
  const element = useRef();
  const leaving = useRef(false);
  useEffect(() => {
    const dialog = element.current;
    dialog.showModal();
    return () => {
      leaving.current = true; // Its closing is heard a moment later, when another dialog may stand in its place.
      if (dialog.open) dialog.close();
    };
  }, []);
  const closed = () => leaving.current || onClose();
  const outside = (event) => event.target === element.current && onClose();
  return html`
    <dialog ref=${element} class=${wide ? "wide" : ""} aria-labelledby="dialog-title" onClose=${closed} onClick=${outside}>
      <div class="sheet">
        <header class="sheet-head">
          <h2 id="dialog-title">${title}</h2>
          <button type="button" class="button quiet small" aria-label=${t("action.close")} onClick=${onClose}><${Icon} name="close" /></button>
        </header>
        ${children}
      </div>
    </dialog>`;
}

/** Asks before something that cannot be taken back. */
export function Confirm({ title, text, label, act, onClose }) {
  const confirmed = async () => {
    await act();
    onClose();
  };
  return html`
    <${Dialog} title=${title} onClose=${onClose}>
      <p>${text}</p>
      <div class="row end">
        <button type="button" class="button" onClick=${onClose}>${t("action.back")}</button>
        <${Act} act=${confirmed} label=${label} icon="trash" kind="danger" />
      </div>
    <//>`;
}

/** How far something is; `value` of 0..1, or undefined for not known. */
export const Bar = ({ value, label }) =>
  html`<progress max="1" value=${value ?? null} aria-label=${label}></progress>`;

/** What stands in for a picture, and the picture over it once it is there. */
export function Thumb({ medium, url, blur, children }) {
  const [seen, setSeen] = useState({});
  const state = seen.url === url ? seen.state : "coming";
  return html`
    <span class="thumb ${medium ?? "unknown"} ${url ? state : "none"}">
      ${url && blur && state !== "none" ? html`<img class="blur" src=${blur} alt="" />` : html`<${Icon} name=${medium ?? "info"} />`}
      ${url && html`<img src=${url} alt="" loading="lazy" decoding="async" onLoad=${() => setSeen({ url, state: "here" })} onError=${() => setSeen({ url, state: "none" })} />`}
      ${children}
    </span>`;
}

/** A message that stays: kind is plain, good, warn or bad. */
export const Note = ({ kind = "plain", icon = "info", children }) =>
  html`<div class="note ${kind}"><${Icon} name=${icon} /><div class="note-text">${children}</div></div>`;

/** A heading with what belongs to it. */
export function Section({ title, count, actions, children, id }) {
  return html`
    <section class="section" aria-labelledby=${id}>
      <div class="section-head">
        <h2 id=${id}>${title}${count !== undefined && html` <span class="count">${count}</span>`}</h2>
        ${actions && html`<div class="row">${actions}</div>`}
      </div>
      ${children}
    </section>`;
}

const STAYS_MS = { bad: 12_000 };
const STAYS_SHORT_MS = 5000;
const STAYS_FOR_UNDO_MS = 30_000;

export function Notices() {
  const notices = useStore((state) => state.notices);
  if (!notices.length) return null;
  return html`<section class="notices" aria-label=${t("notices.label")}>${notices.map((one) => html`<${Notice} key=${one.id} one=${one} />`)}</section>`;
}

// It goes by itself, but never from under a pointer or the focus. A notice with a way back takes the focus: what had it is gone.
function Notice({ one: { id, text, kind, undo } }) {
  const [held, setHeld] = useState(false);
  const button = useRef();
  useEffect(() => {
    if (held) return undefined;
    const timer = setTimeout(() => dismiss(id), undo ? STAYS_FOR_UNDO_MS : STAYS_MS[kind] ?? STAYS_SHORT_MS);
    return () => clearTimeout(timer);
  }, [held]);
  useEffect(() => {
    if (undo) focusAfterDialog(() => button.current);
  }, []);
  const close = () => {
    if (held) document.querySelector("main h1")?.focus({ preventScroll: true });
    dismiss(id);
  };
  const back = async () => {
    await undo.act();
    close();
  };
  const hold = () => setHeld(true);
  const release = (event) => setHeld(event.currentTarget.contains(event.relatedTarget));
  return html`
    <div class="notice ${kind}" onFocusIn=${hold} onFocusOut=${release} onPointerEnter=${hold} onPointerLeave=${release}>
      <${Icon} name=${{ good: "check", bad: "warning" }[kind] ?? "info"} /><span id=${`notice-${id}`}>${text}</span>
      ${undo && html`<${Act} act=${back} icon="undo" label=${undo.label} kind="undo" inside=${button} about=${`notice-${id}`} />`}
      <button type="button" class="button quiet small" aria-label=${t("action.dismiss")} onClick=${close}><${Icon} name="close" /></button>
    </div>`;
}

// A dialog that is just closing gives the focus back to where it came from: wait for that.
function focusAfterDialog(find) {
  if (document.querySelector("dialog[open]")) requestAnimationFrame(() => focusAfterDialog(find));
  else find()?.focus();
}

/** Runs `load` now, again after `deps` change, and every `everyMs` while the page is looked at. */
export function useLoaded(load, deps = [], everyMs = 0) {
  const [value, setValue] = useState(null);
  useEffect(() => {
    let alive = true;
    const run = async () => {
      if (document.hidden) return;
      const loaded = await load().catch(() => undefined);
      if (alive && loaded !== undefined) setValue(loaded);
    };
    run();
    const timer = everyMs && setInterval(run, everyMs);
    return () => {
      alive = false;
      clearInterval(timer);
    };
  }, deps);
  return value;
}
