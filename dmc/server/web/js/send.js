// One upload by tus 1.0: the whole rest of a file in one request; after any fault it asks where the server stands and goes on there.

import { UPLOADS, Problem, call, csrfField, inWords } from "./api.js";

const { tus } = window;

const WAITS_MS = [300, 1000, 2000, 4000, 8000, 15_000, ...new Array(500).fill(20_000)]; // About three hours, from the last byte on.
const FINAL = new Set([400, 401, 403, 413, 415, 460, 507]);
const CHUNKS = [50 * 1024 ** 2, 8 * 1024 ** 2, 1_000_000]; // The last one fits into what proxies take that nobody has told otherwise.
const CHUNK_MEMORY = "dmc-chunk";

/**
 * A tus upload of `job.file`, not started. `on` hears: url(address), progress(sent), retry(), done(), refused(words, isSignedOut),
 * smaller() when a proxy wants smaller requests: then begin again.
 *
 * No chunks by default: some browsers stall between two of them. Only a proxy that refuses a large request (413) makes us
 * cut, smaller each time, and the browser remembers it.
 */
export function sender(job, on) {
  const { record, file } = job;
  const chunk = chunkKnown();
  const upload = new tus.Upload(file, {
    endpoint: UPLOADS,
    uploadUrl: record.url,
    uploadSize: record.size,
    metadata: { filename: record.name, conversion_type: record.type, idempotency_key: record.key },
    chunkSize: chunk,
    retryDelays: WAITS_MS,
    storeFingerprintForResuming: false, // Our own record holds the address; see keep.js.
    httpStack: new OwnOrigin({}),
    onBeforeRequest: (request) => request.setHeader(...csrfField()),
    onShouldRetry: (problem) => {
      if (FINAL.has(statusOf(problem))) return false;
      on.retry();
      return true;
    },
    onUploadUrlAvailable: () => on.url(new URL(upload.url, window.location).pathname),
    onProgress: on.progress,
    onSuccess: on.done,
    onError: (problem) => {
      const smaller = isProxysLimit(problem) && CHUNKS.find((size) => size < Math.min(chunk, record.size));
      if (smaller) {
        // Several uploads learn it at once: the smallest counts.
        localStorage.setItem(CHUNK_MEMORY, String(Math.min(chunkKnown(), smaller)));
        return on.smaller();
      }
      return on.refused(wordsOf(problem), statusOf(problem) === 401);
    },
  });
  return upload;
}

const chunkKnown = () => Number(localStorage.getItem(CHUNK_MEMORY)) || Infinity;

/** Let the server forget an upload; it does so by itself after a day. */
export const giveUp = (url) => call("DELETE", url, { headers: { "Tus-Resumable": "1.0.0" } }).catch(() => undefined);

// Whatever a proxy makes of the host in a Location, it is this server.
class OwnOrigin extends tus.DefaultHttpStack {
  createRequest(method, address) {
    const { pathname, search } = new URL(address, window.location);
    return super.createRequest(method, pathname + search);
  }
}

const statusOf = (problem) => problem.originalResponse?.getStatus() ?? 0;

function errorOf(problem) {
  try {
    return JSON.parse(problem.originalResponse.getBody()).error;
  } catch {
    return null;
  }
}

// The server itself says TooLarge in its own words, before the first byte; a proxy answers with a page of its own.
const isProxysLimit = (problem) => statusOf(problem) === 413 && problem.originalRequest?.getMethod() === "PATCH" && !errorOf(problem);

const wordsOf = (problem) => inWords(new Problem(statusOf(problem), errorOf(problem) ?? {}));
