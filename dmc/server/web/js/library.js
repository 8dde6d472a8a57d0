// The library of results: everything the server holds, filtered and paged by the server.

import { ITEMS, STATISTICS, read, readIfThere } from "./api.js";
import { Detail } from "./detail.js";
import { Filters, emptyFilters, fromAddress, queryOf, toAddress } from "./filters.js";
import { Icon } from "./icons.js";
import { mediumOf, outcomeText, posterOf, statusOf, toneOf } from "./items.js";
import { Thumb, useLoaded } from "./parts.js";
import { Sprite } from "./sprite.js";
import { useStore } from "./store.js";
import { html, useEffect, useMemo, useRef, useState } from "./ui.js";
import { count, length, t, when } from "./words.js";

const PAGE = 60;
const SETTLE_MS = 400;
const AGAIN_MS = 3000;

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

// Pages of the list; asked anew when something was finished or deleted meanwhile.
function useList(query) {
  const live = useStore((state) => state.items);
  const gone = useStore((state) => state.gone);
  const [list, setList] = useState({ query: null, items: [], cursor: null, total: null, problem: "" });
  const [mark, setMark] = useState(0);
  const finished = useMemo(() => [...live.values()].filter((item) => item.status.startsWith("finished")).map((item) => item.item_id + item.status).sort().join(), [live]);
  const loading = useRef(false);
  const [faults, setFaults] = useState(0);
  const ask = async (cursor, limit = PAGE) => {
    const page = await read(`${ITEMS}?${query}&limit=${limit}${cursor ? `&cursor=${cursor}` : ""}`);
    return { items: page.items, cursor: page.cursor ?? null, total: page.total ?? page.items.length };
  };
  useEffect(() => {
    let alive = true;
    const again = list.query === query;
    const timer = setTimeout(async () => {
      try {
        // As many as were shown already, up to what one answer may hold: the place in the list stays.
        const page = await ask(null, again ? Math.min(200, Math.max(PAGE, list.items.length)) : PAGE);
        const rest = again && page.cursor ? list.items.slice(page.items.length) : [];
        if (alive) setList({ query, ...page, items: [...page.items, ...rest], cursor: rest.length ? list.cursor : page.cursor, problem: "" });
        if (alive) setMark((number) => number + 1);
      } catch (problem) {
        if (alive) setList((now) => ({ ...now, problem: problem.message }));
      }
    }, again ? SETTLE_MS : 0);
    return () => {
      alive = false;
      clearTimeout(timer);
    };
  }, [query, finished, gone]);
  const more = async () => {
    if (loading.current || !list.cursor || list.query !== query) return;
    loading.current = true;
    try {
      const page = await ask(list.cursor);
      setList((now) => (now.query === query ? { ...now, items: unique([...now.items, ...page.items]), cursor: page.cursor, total: page.total } : now));
    } catch {
      setTimeout(() => setFaults((number) => number + 1), AGAIN_MS); // The button looks again whether it is near.
    } finally {
      loading.current = false;
    }
  };
  const items = list.items.map((item) => {
    const now = live.get(item.item_id);
    return now && now.version >= item.version ? now : item;
  });
  return { items, total: list.total, cursor: list.cursor, problem: list.problem, mark, faults, more };
}

const unique = (items) => [...new Map(items.map((item) => [item.item_id, item])).values()];

// Loads the next page when its button comes near; the button is there for who uses keys.
function More({ list }) {
  const element = useRef();
  const more = useRef();
  more.current = list.more;
  useEffect(() => {
    if (!list.cursor) return undefined;
    const watcher = new IntersectionObserver(([seen]) => seen.isIntersecting && more.current(), { rootMargin: "600px" });
    watcher.observe(element.current);
    return () => watcher.disconnect();
  }, [list.cursor, list.faults]);
  if (!list.cursor) return null;
  return html`
    <div class="more" ref=${element}>
      <button type="button" class="button" onClick=${() => list.more()}>${t("library.more", { shown: list.items.length, total: list.total })}</button>
    </div>`;
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
