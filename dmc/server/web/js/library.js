// The library of results: everything the server holds, filtered and paged by the server.

import { ITEMS, STATISTICS, readIfThere } from "./api.js";
import { Detail } from "./detail.js";
import { Filters, emptyFilters, fromAddress, queryOf, toAddress } from "./filters.js";
import { Icon } from "./icons.js";
import { mediumOf, outcomeText, posterOf, statusOf, toneOf } from "./items.js";
import { More, usePages } from "./pages.js";
import { Thumb, useLoaded } from "./parts.js";
import { Sprite } from "./sprite.js";
import { useStore } from "./store.js";
import { html, useMemo } from "./ui.js";
import { count, length, t, when } from "./words.js";

export function Library({ route }) {
  const filters = fromAddress(route.query);
  const query = queryOf(filters);
  const list = useList(query);
  const statistics = useLoaded(() => readIfThere(STATISTICS), [list.mark]);
  const opened = route.id && (list.items.find((item) => item.item_id === route.id) ?? null);
  const go = (changes) => {
    location.hash = toAddress({ ...filters, ...changes });
  };
  const close = () => {
    location.hash = toAddress(filters);
  };
  const filtered = query !== queryOf(emptyFilters);
  return html`
    <div class="view-head">
      <h1 tabindex="-1">${t("library.title")}</h1>
      <div class="row">
        <p class="quiet" role="status">${list.total !== null && t("library.total", { count: list.total })}</p>
        <a class="button" href="#/trash"><${Icon} name="trash" />${t("trash.title")}</a>
      </div>
    </div>
    <${Filters} filters=${filters} statistics=${statistics} onChange=${go} />
    ${list.problem && html`<p class="bad">${list.problem}</p>`}
    <ul class="grid">${list.items.map((item) => html`<${Card} key=${item.item_id} item=${item} filters=${filters} />`)}</ul>
    ${list.total === 0 && html`
      <div class="empty">
        <h2>${t(filtered ? "library.noneFits" : "library.empty")}</h2>
        ${filtered
          ? html`<a class="button" href="#/library">${t("library.all")}</a>`
          : html`<p class="quiet">${t("library.emptyText")}</p><a class="button main" href="#/queue">${t("library.first")}</a>`}
      </div>`}
    <${More} list=${list} />
    ${route.id && html`<${Detail} key=${route.id} id=${route.id} item=${opened} onClose=${close} />`}`;
}

// The list, asked anew when something was finished or deleted meanwhile; what is heard live goes before it.
function useList(query) {
  const live = useStore((state) => state.items);
  const gone = useStore((state) => state.gone);
  const finished = useMemo(() => [...live.values()].filter((item) => item.status.startsWith("finished")).map((item) => item.item_id + item.status).sort().join(), [live]);
  const list = usePages(ITEMS, query, [finished, gone]);
  const items = list.items.map((item) => {
    const now = live.get(item.item_id);
    return now && now.version >= item.version ? now : item;
  });
  return { ...list, items };
}

function Card({ item, filters }) {
  const types = useStore((state) => state.types);
  const medium = mediumOf(item, types);
  const facts = item.facts;
  const address = `${toAddress(filters, item.item_id)}`;
  return html`
    <li class="cell">
      <a class="tile" href=${address} data-key=${item.item_id}>
        <${Sprite} item=${item}>
          <${Thumb} medium=${medium} url=${posterOf(item) ?? (medium === "audio" ? item.previews?.waveform_url : null)} blur=${facts?.placeholder}>
            ${facts?.duration_s > 0 && html`<span class="badge">${length(facts.duration_s)}</span>`}
            ${item.status !== "finished_successful" && html`<span class="badge left ${toneOf(item)}">${statusOf(item)}</span>`}
          <//>
        <//>
        <span class="tile-text">
          <span class="name">${item.result?.file_name ?? item.file_name}</span>
          <span class="quiet">${outcomeText(item)}</span>
          <span class="quiet">${item.conversion_type} · ${when(item.finished_at ?? item.created_at)}</span>
        </span>
      </a>
    </li>`;
}
