// Uploads from this browser: what waits, what is sent, and what goes on after a reload. tus-js-client does the sending.

import "../vendor/tus.min.js";

import { Claims } from "./claim.js";
import { Keep } from "./keep.js";
import { giveUp, sender } from "./send.js";
import { notice, store } from "./store.js";
import { t } from "./words.js";

const AT_ONCE = 3; // Of the six connections that a browser has for a server, one is the stream of events.
const DRAW_MS = 250;
const OVER = new Set(["done"]);

/** Same file, as far as a browser can tell without reading it. */
const sameFile = (record, file) => record.name === file.name && record.size === file.size && record.lastModified === file.lastModified;

export class Uploads {
  #jobs = [];
  #keep = new Keep();
  #claims = new Claims();
  #drawing = 0;
  #arrived = 0;

  constructor() {
    window.addEventListener("online", () => this.nudge());
    window.addEventListener("beforeunload", (event) => {
      if (this.#jobs.some((job) => job.state !== "refused" && !job.record.copy && !job.record.handle && job.file)) event.preventDefault();
    });
  }

  /** Take files: [{file, path, handle}]; `typeOf(file)` names the conversion type, or is "" for a file of no known medium. */
  async add(found, typeOf) {
    let leftOut = 0;
    let continued = 0;
    for (const { file, path, handle } of found) {
      if (this.#goOnWith(file)) continued += 1;
      else if (this.#jobs.some((job) => sameFile(job.record, file) && job.record.path === path)) continue;
      else if (!typeOf(file)) leftOut += 1;
      else this.#begin(file, path, handle, typeOf(file));
    }
    if (leftOut) notice(t("upload.leftOut", { count: leftOut }));
    if (continued) notice(t("upload.continued", { count: continued }));
    this.#next();
  }

  /** Go on with what an earlier page began. */
  async restore() {
    const mine = store.get().session?.client_id;
    for (const record of await this.#keep.all()) {
      if (record.clientId !== mine || this.#jobs.some((job) => job.record.id === record.id)) continue;
      if (!(await this.#claims.take(record.id))) continue;
      const job = this.#newJob(record, record.copy ?? null);
      if (!job.file) job.state = record.handle ? await this.#permission(job, "queryPermission") : "needs-file";
      this.#jobs.push(job);
    }
    this.#draw();
    this.#next();
  }

  /** Ask the browser once more for the files that it may read again; needs a click. */
  async allow() {
    for (const job of this.#jobs.filter((one) => one.state === "needs-permission")) {
      job.state = await this.#permission(job, "requestPermission");
    }
    this.#draw();
    this.#next();
  }

  /** Take an upload back, here and on the server. */
  async cancel(id) {
    const job = this.#jobs.find((one) => one.record.id === id);
    if (!job) return;
    this.#drop(job);
    await job.sending?.upload.abort();
    if (job.record.url) await giveUp(job.record.url);
    this.#next();
  }

  cancelAll() {
    return Promise.all(this.#jobs.map((job) => this.cancel(job.record.id)));
  }

  /** Try again what was refused. */
  again(id) {
    const job = this.#jobs.find((one) => one.record.id === id);
    if (!job) return;
    Object.assign(job, { state: job.file ? "waiting" : "needs-file", problem: "" });
    this.#draw();
    this.#next();
  }

  /** The server may be there again: do not wait any longer. */
  nudge() {
    for (const job of this.#jobs.filter((one) => one.state === "retrying")) {
      job.sending.upload.abort().catch(() => undefined);
      job.sending = null;
      job.state = "waiting";
    }
    this.#next();
  }

  // --- Jobs ---

  #begin(file, path, handle, type) {
    const record = {
      id: randomId(), key: `page-${randomId()}`, clientId: store.get().session?.client_id, name: file.name, path,
      size: file.size, lastModified: file.lastModified, type, handle, url: null,
    };
    const job = this.#newJob(record, file);
    this.#jobs.push(job);
    this.#claims.take(record.id);
    job.kept = this.#keep.put(record, file);
    this.#draw();
  }

  #newJob(record, file) {
    return { record, file, state: "waiting", sent: 0, rate: 0, problem: "", sending: null, kept: Promise.resolve() };
  }

  #goOnWith(file) {
    const job = this.#jobs.find((one) => !one.file && sameFile(one.record, file));
    if (!job) return false;
    Object.assign(job, { file, state: "waiting" });
    return true;
  }

  // What a handle still gives: "waiting" if its file can be read, else what stands in the way.
  async #permission(job, how) {
    try {
      if ((await job.record.handle[how]({ mode: "read" })) !== "granted") return "needs-permission";
      const file = await job.record.handle.getFile();
      if (!sameFile(job.record, file)) {
        job.problem = t("upload.changed");
        return "refused";
      }
      job.file = file;
      return "waiting";
    } catch {
      return "needs-file";
    }
  }

  #next() {
    for (const job of this.#jobs) {
      if (this.#jobs.filter((one) => one.sending).length >= AT_ONCE) return;
      if (job.state === "waiting" && job.file && !job.sending) this.#send(job);
    }
  }

  #send(job) {
    job.state = "sending";
    job.sending = { upload: null, meter: newMeter() };
    const upload = sender(job, {
      url: (url) => {
        job.record.url = url;
        job.kept = job.kept.then(() => this.#keep.note(job.record.id, { url }));
      },
      progress: (sent) => {
        job.sent = sent;
        job.rate = job.sending?.meter(sent) ?? 0;
        job.state = sent < job.record.size ? "sending" : "checking";
        job.problem = "";
        this.#draw();
      },
      retry: () => {
        Object.assign(job, { state: "retrying", rate: 0 });
        this.#draw();
      },
      done: () => this.#done(job),
      refused: (problem, isSignedOut) => {
        job.sending = null;
        Object.assign(job, { state: isSignedOut ? "waiting" : "refused", problem });
        if (isSignedOut) store.set({ session: null });
        else this.#next();
        this.#draw();
      },
      smaller: () => {
        job.sending = null;
        job.state = "waiting";
        this.#next();
      },
    });
    job.sending.upload = upload;
    upload.start();
    this.#draw();
  }

  #done(job) {
    job.state = "done";
    this.#drop(job);
    this.#arrived += 1;
    // One notice for all that came together, however many these are.
    if (!this.#jobs.some((one) => one.sending || one.state === "waiting")) {
      notice(this.#arrived === 1 ? t("upload.done", { name: job.record.name }) : t("upload.allDone", { count: this.#arrived }), "good");
      this.#arrived = 0;
    }
    this.#next();
  }

  #drop(job) {
    this.#jobs = this.#jobs.filter((one) => one !== job);
    this.#claims.give(job.record.id);
    job.kept.then(() => this.#keep.forget(job.record.id));
    this.#draw();
  }

  #draw() {
    if (this.#drawing) return;
    this.#drawing = setTimeout(() => {
      this.#drawing = 0;
      store.set({ uploads: this.#jobs.filter((job) => !OVER.has(job.state)).map(shown) });
    }, DRAW_MS);
  }
}

function shown({ record, state, sent, rate, problem }) {
  const { id, name, path, size, type } = record;
  return { id, name, path, size, type, state, sent, rate, problem };
}

// Bytes per second over the last ten seconds or so; 0 while that is not known.
function newMeter() {
  const seen = [];
  return (sent) => {
    const now = performance.now();
    seen.push([now, sent]);
    while (seen.length > 2 && now - seen[0][0] > 10_000) seen.shift();
    const [[then, before]] = seen;
    return now - then > 1500 ? ((sent - before) / (now - then)) * 1000 : 0;
  };
}

const randomId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
