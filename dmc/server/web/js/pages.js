// Lists that the server gives out page by page: asked anew when something changed, and what was shown stays.

import { read } from "./api.js";
import { html, useEffect, useRef, useState } from "./ui.js";
import { t } from "./words.js";

const PAGE = 60;
const MOST = 200; // What one answer may hold.
const SETTLE_MS = 400;
const AGAIN_MS = 3000;

/** The items at `path` that fit `query`, the newest first; asked anew when one of `changes` is another, and every so often. */
export function usePages(path, query, changes, everyMs = 0) {
  const [list, setList] = useState({ query: null, items: [], cursor: null, total: null, problem: "" });
  const [mark, setMark] = useState(0);
  const [faults, setFaults] = useState(0);
  const loading = useRef(false);
  const shown = useRef(list);
  shown.current = list;
  const ask = async (cursor, limit = PAGE) => {
    const page = await read(`${path}?${query}&limit=${limit}${cursor ? `&cursor=${cursor}` : ""}`);
    return { items: page.items, cursor: page.cursor ?? null, total: page.total ?? page.items.length };
  };
  useEffect(() => {
    let alive = true;
    const look = async () => {
      try {
        const before = shown.current.query === query ? shown.current.items.length : 0;
        const page = await ask(null, Math.min(MOST, Math.max(PAGE, before))); // As many as there were: the place in the list stays.
        if (!alive) return;
        setList((old) => behind(old.query === query ? old : { items: [] }, { query, ...page, problem: "" }));
        setMark((number) => number + 1);
      } catch (problem) {
        if (alive) setList((now) => ({ ...now, problem: problem.message }));
      }
    };
    const soon = setTimeout(look, shown.current.query === query ? SETTLE_MS : 0);
    const again = everyMs && setInterval(() => document.hidden || look(), everyMs);
    return () => {
      alive = false;
      clearTimeout(soon);
      clearInterval(again);
    };
  }, [query, ...changes]);
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
  const drop = (id) => setList((now) => ({ ...now, items: now.items.filter((item) => item.item_id !== id) }));
  return { ...list, mark, faults, more, drop };
}

// The new first page, and behind it what was shown beyond it: ids say which that is.
function behind(old, page) {
  const last = page.items.at(-1)?.item_id;
  const rest = page.cursor ? old.items.filter((item) => item.item_id < last) : [];
  return { ...page, items: [...page.items, ...rest], cursor: rest.length ? old.cursor : page.cursor };
}

const unique = (items) => [...new Map(items.map((item) => [item.item_id, item])).values()];

/** Loads the next page of a list when its button comes near; the button is there for who uses keys. */
export function More({ list }) {
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
      <button type="button" class="button" onClick=${() => list.more()}>${t("list.more", { shown: list.items.length, total: list.total })}</button>
    </div>`;
}
