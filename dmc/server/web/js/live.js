// The live state of all items, over one stream of events for the whole browser.
//
// Of the visible tabs one leads: it holds a lock, has the stream, and tells the others what it hears. Hidden tabs have
// nothing open. Where the browser has no locks (plain http from another machine), each visible tab has its own stream.
// Where a stream does not come through (some proxies hold it back), the page asks every five seconds.

import { EVENTS, ITEMS, read, whoIsHere } from "./api.js";
import { say, store } from "./store.js";
import { t } from "./words.js";

const SILENCE_MS = 40_000; // The server says something every 15 s.
const POLL_MS = 5_000;
const STREAM_AGAIN_MS = 30_000;
const REOPEN_MS = 2_000;
const FAULTS = 3;
const FLUSH_MS = 250;
const FINISHED_KEPT = 400;
const RECENT = "status=finished_successful&status=finished_with_errors&limit=50";
const CHANNEL = "dmc-live";

export class Live {
  #channel = new BroadcastChannel(CHANNEL);
  #stream = null;
  #faults = 0;
  #heard = 0;
  #timers = new Set();
  #contest = null;
  #release = null;
  #waiting = [];
  #flushing = false;

  constructor() {
    this.#channel.onmessage = ({ data }) => this.#fromOtherTab(data);
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#rest() : this.start()));
    window.addEventListener("online", () => this.#stream === null && this.#release && this.#open());
  }

  /** Follow, as long as somebody looks and is signed in. */
  start() {
    if (document.hidden || this.#contest || !store.get().session) return;
    this.#contest = new AbortController();
    this.#channel.postMessage({ kind: "hello" });
    const lead = () => new Promise((release) => {
      this.#release = release;
      this.#open();
    });
    if (!navigator.locks) lead();
    else navigator.locks.request(CHANNEL, { signal: this.#contest.signal }, lead).catch((problem) => {
      if (problem.name !== "AbortError") throw problem;
    });
  }

  /** Follow no more, and forget what is known. */
  stop() {
    this.#rest();
    store.set({ items: new Map(), itemsKnown: false, link: "connecting" });
  }

  #rest() {
    this.#contest?.abort();
    this.#contest = null;
    this.#close();
    this.#release?.();
    this.#release = null;
  }

  #close() {
    this.#stream?.close();
    this.#stream = null;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #later(act, ms) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }

  // --- Leading ---

  #open() {
    this.#close();
    const stream = (this.#stream = new EventSource(EVENTS));
    for (const kind of ["snapshot", "item", "progress", "gone", "ping"]) {
      stream.addEventListener(kind, (event) => {
        this.#heard = Date.now();
        this.#faults = 0;
        this.#tell({ kind: "link", data: "live" });
        if (kind === "snapshot") this.#snapshot(JSON.parse(event.data));
        else if (kind !== "ping") this.#tell({ kind, data: JSON.parse(event.data) });
      });
    }
    stream.onopen = () => {
      this.#heard = Date.now();
      this.#tell({ kind: "link", data: "live" });
    };
    stream.onerror = () => this.#fault(stream);
    this.#watch();
  }

  // The browser tries again by itself, unless the answer was a refusal: the session ended, or the server is starting.
  #fault(stream) {
    if (stream !== this.#stream) return;
    this.#faults += 1;
    this.#tell({ kind: "link", data: "broken" });
    if (this.#faults > FAULTS) this.#poll();
    else if (stream.readyState === EventSource.CLOSED) this.#later(() => this.#checkSession(), REOPEN_MS);
  }

  #watch() {
    this.#later(async () => {
      if (this.#heard && Date.now() - this.#heard > SILENCE_MS) return this.#poll();
      await this.#renewPlaces().catch(() => undefined);
      if (this.#stream) this.#watch();
    }, POLL_MS);
  }

  // An item's place in the queue changes without the item: the stream does not tell that.
  async #renewPlaces() {
    const waiting = [...store.get().items.values()].some((item) => item.status === "to_do");
    if (waiting) this.#tell({ kind: "recent", data: await read(`${ITEMS}?status=to_do`) });
  }

  async #checkSession() {
    const session = await whoIsHere().catch(() => undefined);
    if (session === null) return this.#signedOut();
    if (this.#release) this.#open();
  }

  #signedOut() {
    this.#tell({ kind: "signed-out" });
  }

  #poll() {
    this.#close();
    const streamAgain = Date.now() + STREAM_AGAIN_MS;
    const ask = async () => {
      try {
        this.#tell({ kind: "snapshot", data: { items: await this.#asked() } });
        this.#tell({ kind: "link", data: "polling" });
      } catch (problem) {
        if (problem.status === 401) return this.#signedOut();
        this.#tell({ kind: "link", data: "broken" });
      }
      if (!this.#release) return;
      if (Date.now() > streamAgain) this.#open();
      else this.#later(ask, POLL_MS);
    };
    ask();
  }

  async #asked() {
    const pages = await Promise.all(["status=in_progress", "status=to_do", RECENT].map((query) => read(`${ITEMS}?${query}`)));
    return pages.flatMap((page) => page.items);
  }

  // A snapshot is what is under way; what was finished lately is asked for beside it.
  async #snapshot(data) {
    this.#tell({ kind: "snapshot", data });
    const recent = await read(`${ITEMS}?${RECENT}`).catch(() => ({ items: [] }));
    this.#tell({ kind: "recent", data: recent });
  }

  // --- Hearing, as leader or from the leader ---

  #tell(message) {
    this.#channel.postMessage(message);
    this.#hear(message);
  }

  #fromOtherTab(message) {
    if (message.kind !== "hello") this.#hear(message);
    else if (this.#release && store.get().itemsKnown) {
      this.#channel.postMessage({ kind: "snapshot", data: { items: [...store.get().items.values()], more: store.get().more } });
      this.#channel.postMessage({ kind: "link", data: store.get().link });
    }
  }

  #hear(message) {
    if (message.kind === "signed-out") {
      this.stop();
      store.set({ session: null });
    } else if (message.kind === "link") {
      if (store.get().link !== message.data) store.set({ link: message.data });
    } else {
      this.#waiting.push(message);
      if (!this.#flushing) {
        this.#flushing = true;
        setTimeout(() => this.#flush(), store.get().itemsKnown ? FLUSH_MS : 0);
      }
    }
  }

  // However many events come, the page is drawn four times a second at most.
  #flush() {
    this.#flushing = false;
    const before = store.get().items;
    const events = this.#waiting.splice(0);
    const after = applied(before, events);
    const snapshot = events.findLast(({ kind }) => kind === "snapshot");
    const gone = store.get().gone + events.filter(({ kind }) => kind === "gone").length;
    store.set({ items: pruned(after), gone, itemsKnown: true, more: Boolean(snapshot ? snapshot.data.more : store.get().more) });
    const news = newsOf(before, after);
    if (news) say(news);
  }
}

/** The items after these events. */
export function applied(items, events) {
  let made = new Map(items);
  for (const { kind, data } of events) {
    if (kind === "snapshot") made = new Map(data.items.map((item) => [item.item_id, item]));
    else if (kind === "gone") made.delete(data.item_id);
    else if (kind === "item" || kind === "recent") {
      for (const item of data.items ?? [data]) {
        if (!(made.get(item.item_id)?.version > item.version)) made.set(item.item_id, item);
      }
    } else if (kind === "progress") {
      const known = made.get(data.item_id);
      const { item_id: _, ...progress } = data;
      if (known?.status === "in_progress") made.set(data.item_id, { ...known, progress });
    }
  }
  return made;
}

/** Without the oldest of very many finished items: the library asks the server for these. */
function pruned(items) {
  const finished = [...items.values()].filter(isFinished);
  if (finished.length <= FINISHED_KEPT) return items;
  finished.sort(newestFirst);
  const kept = new Map(items);
  for (const item of finished.slice(FINISHED_KEPT)) kept.delete(item.item_id);
  return kept;
}

export const isFinished = (item) => item.status.startsWith("finished");

/** Finished last comes first. */
export const newestFirst = (one, other) => {
  const [a, b] = [one.finished_at ?? one.created_at, other.finished_at ?? other.created_at];
  return a < b ? 1 : a > b ? -1 : one.item_id < other.item_id ? 1 : -1;
};

/** What a person who does not see the page wants to hear of it: changes of status, never percentages. */
function newsOf(before, after) {
  const changed = [...after.values()].filter((item) => before.has(item.item_id) && before.get(item.item_id).status !== item.status);
  if (changed.length === 1) return t("news.item", { name: changed[0].file_name, status: t(`status.${changed[0].outcome ?? changed[0].status}`) });
  return changed.length ? t("news.items", { count: changed.length }) : "";
}
