// The list of items: one element per item, changed in place as events come.

import { API, Problem, call } from "/web/api.js";
import { bytes, duration, saved, sentence } from "/web/text.js";

const STATUS = {
  to_do: "Waiting",
  in_progress: "Converting",
  finished_successful: "Converted",
  finished_with_errors: "Failed",
};
const OUTCOME = { "kept-original": "Original kept", skipped: "Nothing to do" };
const ASK_AGAIN_MS = 4000;

const shown = new Map();

/** Start with these items and no others. */
export function replaceAll(items) {
  for (const id of [...shown.keys()]) remove(id);
  items.forEach(show);
}

/** Show an item as it is now. Returns what there is to say about it, if its status changed. */
export function show(item) {
  const before = shown.get(item.item_id);
  if (before && before.item.version > item.version) return "";
  const row = before?.row ?? newRow(item);
  shown.set(item.item_id, { item, row });
  fill(row, item);
  updateEmpty();
  return before && before.item.status !== item.status ? `${item.file_name}: ${statusText(item)}` : "";
}

/** Show how far a worker is. */
export function progress({ item_id: id, ...now }) {
  const known = shown.get(id);
  if (known?.item.status !== "in_progress") return;
  known.item = { ...known.item, progress: now };
  fill(known.row, known.item);
}

export function remove(id) {
  shown.get(id)?.row.element.remove();
  shown.delete(id);
  updateEmpty();
}

function updateEmpty() {
  document.getElementById("empty").hidden = shown.size > 0;
}

function newRow(item) {
  const element = document.createElement("li");
  const row = {
    element,
    name: append(element, "p", "name"),
    facts: append(element, "p", "quiet"),
    bar: append(element, "progress"),
    problem: append(element, "p", "problem"),
    actions: append(element, "div", "actions"),
    actionKey: "",
  };
  row.bar.max = 1;
  const list = document.getElementById("items");
  const older = [...shown.values()].filter((other) => other.item.item_id < item.item_id);
  const next = older.reduce((best, other) => (!best || other.item.item_id > best.item.item_id ? other : best), null);
  list.insertBefore(element, next?.row.element ?? null);
  return row;
}

function append(parent, tag, className = "") {
  const element = parent.appendChild(document.createElement(tag));
  element.className = className;
  return element;
}

function fill(row, item) {
  row.name.textContent = item.file_name;
  row.facts.textContent = facts(item);
  row.facts.classList.toggle("good", item.status === "finished_successful");
  row.bar.hidden = item.status !== "in_progress";
  row.bar.setAttribute("aria-label", `Progress of ${item.file_name}`);
  if (item.progress) row.bar.value = item.progress.fraction;
  else row.bar.removeAttribute("value");
  row.problem.textContent = item.status === "finished_with_errors" ? problems(item) : "";
  const key = `${item.status} ${item.wish} ${item.result?.url}`;
  if (key !== row.actionKey) {
    row.actionKey = key;
    row.actions.replaceChildren(...actions(item));
  }
}

function statusText(item) {
  if (item.wish === "cancel") return "Being cancelled";
  if (item.wish === "delete") return "Being deleted";
  return OUTCOME[item.outcome] ?? STATUS[item.status];
}

function facts(item) {
  const parts = [`${statusText(item)} · ${item.conversion_type}`, bytes(item.file_size)];
  if (item.result) parts.push(`→ ${bytes(item.result.file_size)}${saved(item.file_size, item.result.file_size)}`);
  if (item.progress) {
    parts.push(`${Math.floor(item.progress.fraction * 100)} %`);
    if (item.progress.eta_s) parts.push(`${duration(item.progress.eta_s)} left`);
  }
  if (item.reason) parts.push(item.reason);
  return parts.join(" · ");
}

const problems = (item) => item.errors.slice(-1).map((error) => `${sentence(error.message)} ${error.hint}`.trim()).join(" ");

function actions(item) {
  const here = `${API}/items/${item.item_id}`;
  const made = [];
  if (item.result) made.push(link("Download", item.result.url, item.result.file_name));
  if (item.status === "finished_successful") made.push(button("Receipt", item, () => receipt(item)));
  if (item.wish) return made;
  if (item.status === "to_do" || item.status === "in_progress") made.push(button("Cancel", item, () => call("POST", `${here}/cancel`)));
  if (item.status === "finished_with_errors") made.push(button("Retry", item, () => call("POST", `${here}/retry`)));
  if (item.status.startsWith("finished")) made.push(askingTwice("Delete", item, () => call("DELETE", here)));
  return made;
}

function link(text, url, fileName) {
  const element = document.createElement("a");
  Object.assign(element, { textContent: text, href: url, download: fileName, className: "button main" });
  element.setAttribute("aria-label", `${text} ${fileName}`);
  return element;
}

function button(text, item, act) {
  const element = document.createElement("button");
  Object.assign(element, { type: "button", textContent: text });
  element.setAttribute("aria-label", `${text} ${item.file_name}`);
  element.addEventListener("click", async () => {
    element.disabled = true;
    try {
      await act(element);
    } catch (problem) {
      const row = shown.get(item.item_id)?.row;
      if (row) row.problem.textContent = problem instanceof Problem ? problem.inWords : "The server cannot be reached.";
    } finally {
      element.disabled = false;
    }
  });
  return element;
}

function askingTwice(text, item, act) {
  let sure = false;
  return button(text, item, async (element) => {
    if (sure) return act();
    sure = true;
    element.textContent = `Really ${text.toLowerCase()}?`;
    element.classList.add("sure");
    setTimeout(() => {
      sure = false;
      element.textContent = text;
      element.classList.remove("sure");
    }, ASK_AGAIN_MS);
    return undefined;
  });
}

async function receipt(item) {
  const answer = await call("GET", `${API}/items/${item.item_id}/receipt`);
  document.getElementById("receipt-title").textContent = `Receipt of ${item.file_name}`;
  document.getElementById("receipt-text").textContent = JSON.stringify(await answer.json(), null, 2);
  document.getElementById("receipt").showModal();
}
