// Talks to the server: one place for the session's write token and for errors in words.

import { sentence, t } from "./words.js";

// This file is /web/VERSION/js/api.js of the server, which may stand below a path of a proxy.
export const API = new URL("../../../api/v1", import.meta.url).pathname;
export const ITEMS = `${API}/items`;
export const UPLOADS = `${API}/uploads`;
export const EVENTS = `${API}/events`;
export const SERVER = `${API}/server`;
export const SESSION = `${API}/session`;
export const TYPES = `${API}/types`;
export const CLIENTS = `${API}/clients`;
export const PAIR_CODES = `${API}/pair/codes`;
export const STATISTICS = `${API}/statistics`;
export const FAILURES = `${API}/failures`;
export const TRASH = `${API}/trash`;

/** Status of an answer that never came. */
export const UNREACHABLE = 0;

let csrf = "";

/** An answer that is no success; `hint` says what to do. */
export class Problem extends Error {
  constructor(status, { code = "", message = "", hint = "" } = {}) {
    super(message || t(status === UNREACHABLE ? "problem.unreachable" : "problem.status", { status: String(status) }));
    Object.assign(this, { status, code, hint });
  }

  get inWords() {
    return this.hint ? `${sentence(this.message)} ${this.hint}` : sentence(this.message);
  }
}

/** What went wrong, as a sentence. */
export const inWords = (problem) => (problem instanceof Problem ? problem.inWords : sentence(String(problem?.message ?? problem)));

/** The header field that a write of this page carries. */
export const csrfField = () => ["X-Dmc-Csrf", csrf];

/** One request; resolves to the Response or throws a Problem. */
export async function call(method, path, { body, headers = {}, signal } = {}) {
  const [name, value] = csrfField();
  const fields = method === "GET" ? headers : { ...headers, [name]: value };
  let answer;
  try {
    answer = await fetch(path, { method, body, headers: fields, signal });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Problem(UNREACHABLE);
  }
  if (!answer.ok) throw new Problem(answer.status, await errorIn(answer));
  return answer;
}

async function errorIn(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return {};
  }
}

/** The JSON of a GET. */
export const read = async (path, options) => (await call("GET", path, options)).json();

/** The JSON of a POST with `value` as its body; null for an answer without one. */
export async function post(path, value) {
  const sent = value === undefined ? {} : { body: JSON.stringify(value), headers: { "Content-Type": "application/json" } };
  const answer = await call("POST", path, sent);
  return answer.status === 204 ? null : answer.json();
}

/** The JSON of a GET, or null where this server does not have such a thing, or not for us. */
export async function readIfThere(path, options) {
  try {
    return await read(path, options);
  } catch (problem) {
    if ([403, 404, 405].includes(problem.status)) return null;
    throw problem;
  }
}

// --- Sessions ---

/** Who is signed in: {client_id, name, scopes}, or null. */
export async function whoIsHere() {
  const answer = await call("GET", SESSION);
  return answer.status === 204 ? null : remember(await answer.json());
}

/** Sign in with {code} or {token}. */
export const signIn = async (secret) => remember(await post(SESSION, secret));

export const signOut = () => call("DELETE", SESSION);

function remember(session) {
  csrf = session.csrf;
  return session;
}
