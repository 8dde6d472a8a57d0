// Deleting, and taking that back: at once by the notice, or for some days out of the trash.

import { TRASH } from "./api.js";
import { Icon } from "./icons.js";
import { mayWrite, mediumOf, remove, removeForGood, restore } from "./items.js";
import { More, usePages } from "./pages.js";
import { Act, Confirm, Section, Thumb } from "./parts.js";
import { notice, store, useStore } from "./store.js";
import { html, useState } from "./ui.js";
import { ago, bytes, count, t, when } from "./words.js";

const EVERY_MS = 15_000;
const DAY_MS = 24 * 3600 * 1000;

/** Can a deletion be undone at this server? */
export const hasTrash = () => store.get().server?.trash_days > 0;

/** Delete an item, and offer the way back where there is one. */
export async function putAway(item) {
  const after = await remove(item);
  forget(item);
  if (after.trashed_at && after.wish !== "delete") notice(t("trash.put", { name: item.file_name }), "plain", { label: t("action.undo"), act: () => takeBack(item) });
  else notice(t("detail.deleted", { name: item.file_name }));
}

/** Take an item out of the trash. */
export async function takeBack(item) {
  const after = await restore(item);
  const { items, gone } = store.get();
  store.set({ items: new Map(items).set(after.item_id, after), gone: gone + 1 });
  notice(t("trash.back", { name: item.file_name }), "good");
}

// The stream of events tells the same a moment later; it may be another tab's, or not come through.
function forget({ item_id: id }) {
  const items = new Map(store.get().items);
  items.delete(id);
  store.set({ items, gone: store.get().gone + 1 });
}

export function Trash() {
  const server = useStore((state) => state.server);
  const gone = useStore((state) => state.gone);
  const list = usePages(TRASH, "", [gone], EVERY_MS);
  const days = server?.trash_days;
  return html`
    <div class="view-head">
      <h1 tabindex="-1">${t("trash.title")}</h1>
      <a class="button" href="#/library"><${Icon} name="library" />${t("trash.library")}</a>
    </div>
    ${days === 0 && html`<p class="quiet">${t("trash.none")}</p>`}
    ${days > 0 && html`<p class="quiet">${t("trash.text", { count: days })}</p>`}
    ${list.problem && html`<p class="bad">${list.problem}</p>`}
    ${list.items.length > 0 && html`
      <${Section} id="trashed" title=${t("trash.items")} count=${count(list.total)}>
        <ul class="list">${list.items.map((item) => html`<${Row} key=${item.item_id} item=${item} days=${days} drop=${list.drop} />`)}</ul>
        <${More} list=${list} />
      <//>`}
    ${list.total === 0 && html`<div class="empty"><h2>${t("trash.empty")}</h2></div>`}`;
}

function Row({ item, days, drop }) {
  const types = useStore((state) => state.types);
  const [sure, setSure] = useState(false);
  const goes = new Date(Date.parse(item.trashed_at) + days * DAY_MS).toISOString();
  const size = item.file_size + (item.result?.file_size ?? 0);
  const end = item.wish === "delete" ? t("wish.delete") : t("trash.goes", { time: when(goes) });
  const name = item.result?.file_name ?? item.file_name;
  const back = async () => {
    await takeBack(item);
    drop(item.item_id);
  };
  const deleted = async () => {
    await removeForGood(item);
    forget(item);
    notice(t("detail.deleted", { name }));
  };
  return html`
    <li class="item trashed" data-key=${item.item_id}>
      <span class="item-thumb"><${Thumb} medium=${mediumOf(item, types)} /></span>
      <div class="item-main">
        <p class="name">${name}</p>
        <p class="quiet">${bytes(size)} · ${t("trash.since", { time: ago(item.trashed_at) })} · ${end}</p>
      </div>
      ${mayWrite() && item.wish !== "delete" && html`
        <div class="item-actions">
          <${Act} act=${back} icon="undo" label=${t("action.restore")} title=${t("trash.restoreOf", { name })} />
          <button type="button" class="button small quiet" aria-label=${t("trash.deleteOf", { name })} title=${t("trash.deleteOf", { name })}
            onClick=${() => setSure(true)}><${Icon} name="trash" /></button>
        </div>`}
      ${sure && html`<${Confirm} title=${t("delete.title")} text=${t("delete.text", { name })} label=${t("action.delete")} act=${deleted} onClose=${() => setSure(false)} />`}
    </li>`;
}
