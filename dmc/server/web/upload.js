// Sends files by tus 1.0: the whole rest in one PATCH; after any fault asks where the server stands and goes on from there.

import { API, Problem, call, writing } from "/web/api.js";

const TUS = { "Tus-Resumable": "1.0.0" };
const OFFSET_TYPE = "application/offset+octet-stream";
const MOST_AT_ONCE = 2;
const LONGEST_WAIT_MS = 30_000;
const FINAL = new Set([400, 401, 403, 413, 415, 460, 507]);

const waiting = [];
let running = 0;

/** Put a file into the queue. `tell(state)` hears {sent, size, state, problem}. Returns {stop}, which takes it back. */
export function send(file, conversionType, tell) {
  const job = { file, conversionType, tell, stopped: false, request: null, url: null };
  waiting.push(job);
  tell({ sent: 0, size: file.size, state: "waiting" });
  next();
  return { stop: () => stop(job) };
}

function next() {
  while (running < MOST_AT_ONCE && waiting.length) {
    running += 1;
    run(waiting.shift()).finally(() => {
      running -= 1;
      next();
    });
  }
}

async function run(job) {
  for (let attempt = 0; !job.stopped; attempt += 1) {
    try {
      job.url ??= await create(job);
      const start = await offsetOf(job);
      if (start < job.file.size) await patch(job, start, () => { attempt = 0; });
      forget(job);
      job.tell({ sent: job.file.size, size: job.file.size, state: "done" });
      return;
    } catch (problem) {
      if (job.stopped) return;
      if (problem.status === 404 || problem.status === 410) {
        job.url = null;
        forget(job);
      }
      if (FINAL.has(problem.status)) {
        forget(job);
        job.tell({ state: "refused", problem: problem instanceof Problem ? problem.inWords : String(problem) });
        return;
      }
      job.tell({ state: "retrying", problem: "The connection broke. Trying again." });
      await new Promise((wake) => setTimeout(wake, Math.random() * Math.min(LONGEST_WAIT_MS, 1000 * 2 ** Math.min(attempt, 10))));
    }
  }
}

async function create(job) {
  const known = { filename: job.file.name, conversion_type: job.conversionType, idempotency_key: keyOf(job) };
  const metadata = Object.entries(known).filter(([, value]) => value).map(([key, value]) => `${key} ${base64(value)}`).join(",");
  const headers = { ...TUS, "Upload-Length": String(job.file.size), "Upload-Metadata": metadata };
  const location = (await call("POST", `${API}/uploads`, { headers })).headers.get("Location");
  return new URL(location, window.location).pathname; // Whatever a proxy makes of the host, it is this server.
}

async function offsetOf(job) {
  return Number((await call("HEAD", job.url, { headers: TUS })).headers.get("Upload-Offset"));
}

// XMLHttpRequest, since fetch cannot tell how much of a body was sent.
function patch(job, start, onBytes) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    job.request = request;
    request.open("PATCH", job.url);
    const headers = writing({ ...TUS, "Upload-Offset": String(start), "Content-Type": OFFSET_TYPE });
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => {
      onBytes();
      job.tell({ sent: start + event.loaded, size: job.file.size, state: event.loaded < event.total ? "sending" : "checking" });
    };
    request.onload = () => (request.status === 204 ? resolve() : reject(new Problem(request.status, errorIn(request.responseText))));
    request.onerror = () => reject(new Problem(0, { message: "the connection broke" }));
    request.onabort = request.onerror;
    request.send(job.file.slice(start));
  });
}

function errorIn(text) {
  try {
    return JSON.parse(text).error;
  } catch {
    return {};
  }
}

async function stop(job) {
  job.stopped = true;
  const place = waiting.indexOf(job);
  if (place >= 0) waiting.splice(place, 1);
  job.request?.abort();
  forget(job);
  if (job.url) await call("DELETE", job.url, { headers: TUS }).catch(() => undefined);
}

// The same file dropped again after a reload goes on where it stopped: its key is remembered until it is sent.
const memoryName = ({ file, conversionType }) => `dmc-upload ${conversionType} ${file.size} ${file.lastModified} ${file.name}`;

function keyOf(job) {
  const name = memoryName(job);
  let key = localStorage.getItem(name);
  if (!key) {
    key = `page-${Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    localStorage.setItem(name, key);
  }
  return key;
}

const forget = (job) => localStorage.removeItem(memoryName(job));

const base64 = (text) => btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(""));
