// What the library shows: kept in the address, so that a view can be shared, reloaded and gone back to.

import { Icon } from "./icons.js";
import { mediumName } from "./items.js";
import { html, useEffect, useRef, useState } from "./ui.js";
import { count, month, t } from "./words.js";

const MEDIA = ["video", "audio", "image"];
const STATUSES = ["finished_successful", "finished_with_errors", "in_progress", "to_do", "any"];
const TYPING_MS = 250;

export const emptyFilters = { q: "", media_type: "", status: "finished_successful", client_id: "", conversion_type: "", month: "" };

/** The filters that an address names. */
export const fromAddress = (query) =>
  Object.fromEntries(Object.entries(emptyFilters).map(([name, normal]) => [name, query.get(name) ?? normal]));

/** The address of these filters, and of the item that is open. */
export function toAddress(filters, id = "") {
  const query = new URLSearchParams(Object.entries(filters).filter(([name, value]) => value !== emptyFilters[name]));
  const text = query.toString();
  return `#/library${id ? `/${id}` : ""}${text ? `?${text}` : ""}`;
}

/** The question to the server. */
export function queryOf(filters) {
  const query = new URLSearchParams();
  for (const name of ["q", "media_type", "client_id", "conversion_type"]) {
    if (filters[name]) query.set(name, filters[name]);
  }
  if (filters.status !== "any") query.set("status", filters.status);
  if (filters.month) {
    query.set("since", filters.month);
    query.set("until", after(filters.month));
  }
  return query.toString();
}

/** "2026-12" → "2027-01" */
function after(text) {
  const [year, number] = text.split("-").map(Number);
  return number === 12 ? `${year + 1}-01` : `${year}-${String(number + 1).padStart(2, "0")}`;
}

export function Filters({ filters, statistics, onChange }) {
  const clients = Object.keys(statistics?.clients ?? {});
  const types = Object.keys(statistics?.conversion_types ?? {});
  const months = Object.keys(statistics?.months ?? {});
  const pick = (name) => (event) => onChange({ [name]: event.target.value });
  return html`
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Search} text=${filters.q} onChange=${(q) => onChange({ q })} />
      <div class="chips" role="group" aria-label=${t("filter.medium")}>
        ${["", ...MEDIA].map((medium) => html`
          <button key=${medium} type="button" class="chip" aria-pressed=${filters.media_type === medium} onClick=${() => onChange({ media_type: medium })}>
            ${medium && html`<${Icon} name=${medium} />`}${medium ? mediumName(medium) : t("filter.all")}
            ${medium && statistics?.media_types[medium] > 0 && html`<span class="count">${count(statistics.media_types[medium])}</span>`}
          </button>`)}
      </div>
      <div class="selects">
        <${Pick} name="status" value=${filters.status} options=${STATUSES} word=${(status) => t(`filter.${status}`)} onChange=${pick("status")} />
        <${Pick} name="conversion_type" value=${filters.conversion_type} options=${["", ...types]} word=${(type) => type || t("filter.types")} onChange=${pick("conversion_type")} />
        <${Pick} name="month" value=${filters.month} options=${["", ...months]} word=${(each) => (each ? month(each) : t("filter.months"))} onChange=${pick("month")} />
        ${(clients.length > 1 || filters.client_id) && html`
          <${Pick} name="client_id" value=${filters.client_id} options=${["", ...clients]} word=${(client) => client || t("filter.clients")} onChange=${pick("client_id")} />`}
      </div>
    </form>`;
}

function Pick({ name, value, options, word, onChange }) {
  const known = options.includes(value) ? options : [...options, value];
  return html`
    <select value=${value} aria-label=${t(`filter.name.${name}`)} class=${value === emptyFilters[name] ? "" : "set"} onChange=${onChange}>
      ${known.map((option) => html`<option key=${option} value=${option} selected=${option === value}>${word(option)}</option>`)}
    </select>`;
}

function Search({ text, onChange }) {
  const [typed, setTyped] = useState(text);
  // What comes back is often what was typed a moment ago: only another text, of a link or of the way back, replaces it.
  const told = useRef(text);
  useEffect(() => {
    if (text !== told.current) setTyped(text);
    told.current = text;
  }, [text]);
  useEffect(() => {
    if (typed === told.current) return undefined;
    const timer = setTimeout(() => {
      told.current = typed;
      onChange(typed);
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return html`
    <label class="search">
      <${Icon} name="search" /><span class="unseen">${t("filter.search")}</span>
      <input id="search" type="search" value=${typed} placeholder=${t("filter.search")} autocomplete="off" onInput=${(event) => setTyped(event.target.value)} />
    </label>`;
}
