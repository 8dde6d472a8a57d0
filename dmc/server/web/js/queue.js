// The queue: what comes in, what is converted, what waits and why, what needs a person, and what was just finished.

import { Control, Waiting } from "./control.js";
import { DropZone } from "./dropzone.js";
import { Failures } from "./failures.js";
import { Icon } from "./icons.js";
import {
  cancel, isCancelled, mayCancel, mayWrite, mediumOf, outcomeText, posterOf, progressText, statusOf, toneOf, waitText,
} from "./items.js";
import { isFinished, newestFirst } from "./live.js";
import { Act, Bar, Section, Thumb } from "./parts.js";
import { Sending } from "./sending.js";
import { useStore } from "./store.js";
import { html, useMemo } from "./ui.js";
import { bytes, count, t, when } from "./words.js";

const WAITING_SHOWN = 100;
const FINISHED_SHOWN = 6;

export function Queue({ uploads }) {
  const items = useStore((state) => state.items);
  const known = useStore((state) => state.itemsKnown);
  const sending = useStore((state) => state.uploads.length);
  const more = useStore((state) => state.more);
  const parts = useMemo(() => split(items), [items]);
  const nothing = known && !items.size && !sending;
  return html`
    <div class="view-head"><h1 tabindex="-1">${t("queue.title")}</h1><${Control} /></div>
    <${Waiting} />
    ${mayWrite() && html`<${DropZone} uploads=${uploads} />`}
    <${Sending} uploads=${uploads} />
    ${parts.running.length > 0 && html`
      <${Section} id="running" title=${t("queue.running")} count=${parts.running.length}>
        <ul class="list">${parts.running.map((item) => html`<${Running} key=${item.item_id} item=${item} />`)}</ul>
      <//>`}
    <${Failures} items=${items} />
    ${parts.waiting.length > 0 && html`
      <${Section} id="waiting" title=${t("queue.waiting")} count=${`${count(parts.waiting.length)}${more ? "+" : ""}`}>
        <ul class="list">${parts.waiting.slice(0, WAITING_SHOWN).map((item) => html`<${Queued} key=${item.item_id} item=${item} />`)}</ul>
        ${parts.waiting.length > WAITING_SHOWN && html`<p class="quiet">${t("queue.more", { count: parts.waiting.length - WAITING_SHOWN })}</p>`}
      <//>`}
    ${parts.finished.length > 0 && html`
      <${Section} id="finished" title=${t("queue.finished")} actions=${html`<a class="button" href="#/library"><${Icon} name="library" />${t("queue.all")}</a>`}>
        <ul class="list">${parts.finished.map((item) => html`<${Finished} key=${item.item_id} item=${item} />`)}</ul>
      <//>`}
    ${nothing && html`
      <div class="empty"><h2>${t("queue.empty")}</h2><p class="quiet">${t(mayWrite() ? "queue.emptyText" : "queue.emptyLook")}</p></div>`}`;
}

// Waiting items by their place; those beyond the counted places by age.
function split(items) {
  const all = [...items.values()];
  const place = (item) => item.queue_position ?? Infinity;
  const byAge = (one, other) => (one.item_id < other.item_id ? -1 : 1);
  return {
    running: all.filter((item) => item.status === "in_progress").sort(byAge),
    waiting: all.filter((item) => item.status === "to_do").sort((one, other) => place(one) - place(other) || byAge(one, other)),
    finished: all.filter((item) => isFinished(item) && (item.status === "finished_successful" || isCancelled(item)))
      .sort(newestFirst).slice(0, FINISHED_SHOWN),
  };
}

function Line({ item, children, note, actions }) {
  const types = useStore((state) => state.types);
  return html`
    <li class="item" data-key=${item.item_id}>
      <a class="item-thumb" href=${`#/library/${item.item_id}`} aria-label=${t("item.open", { name: item.file_name })}>
        <${Thumb} medium=${mediumOf(item, types)} url=${posterOf(item)} />
      </a>
      <div class="item-main">
        <p class="name">${item.file_name}</p>
        <p class="quiet">${note}</p>
        ${children}
      </div>
      <div class="item-actions">${actions}</div>
    </li>`;
}

const CancelButton = ({ item }) =>
  mayCancel(item) && html`<${Act} act=${() => cancel(item)} icon="close" title=${t("item.cancel", { name: item.file_name })} small kind="quiet cancel" />`;

export function Running({ item }) {
  const server = useStore((state) => state.server);
  const note = `${t("item.to", { type: item.conversion_type })} · ${item.wish ? statusOf(item) : progressText(item, server)}`;
  const finishing = item.progress && item.progress.fraction >= 0.995;
  return html`
    <${Line} item=${item} note=${note} actions=${html`<${CancelButton} item=${item} />`}>
      <${Bar} value=${finishing ? undefined : item.progress?.fraction} label=${t("progress.of", { name: item.file_name })} />
    <//>`;
}

function Queued({ item }) {
  const server = useStore((state) => state.server);
  const why = item.wish ? statusOf(item) : waitText(item, server);
  const note = `${t("item.to", { type: item.conversion_type })} · ${bytes(item.file_size)} · ${why}`;
  return html`<${Line} item=${item} note=${note} actions=${html`<${CancelButton} item=${item} />`} />`;
}

function Finished({ item }) {
  const download = item.result && html`
    <a class="button small quiet" href=${item.result.url} download=${item.result.file_name} aria-label=${t("item.download", { name: item.result.file_name })}>
      <${Icon} name="download" />
    </a>`;
  const note = html`<span class="tone ${toneOf(item)}">${statusOf(item)}</span> · ${outcomeText(item)} · ${when(item.finished_at ?? item.created_at)}`;
  return html`<${Line} item=${item} note=${note} actions=${download} />`;
}
