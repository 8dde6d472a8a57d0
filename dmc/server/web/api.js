// Talks to the server: one place for the session's write token and for errors in words.

import { sentence } from "/web/text.js";

export const API = "/api/v1";

let csrf = "";

/** An answer that is no success; `hint` says what to do. */
export class Problem extends Error {
  constructor(status, { code = "", message = "", hint = "" } = {}) {
    super(message || `the server answered ${status}`);
    Object.assign(this, { status, code, hint });
  }

  get inWords() {
    return this.hint ? `${sentence(this.message)} ${this.hint}` : sentence(this.message);
  }
}

/** Header fields that a write of this page carries. */
export const writing = (fields = {}) => ({ ...fields, "X-Dmc-Csrf": csrf });

/** One request; resolves to the Response or throws a Problem. */
export async function call(method, path, { body, headers = {} } = {}) {
  const isWrite = method !== "GET" && method !== "HEAD";
  const answer = await fetch(path, { method, body, headers: isWrite ? writing(headers) : headers });
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

export const json = async (method, path, value) =>
  (await call(method, path, value === undefined ? {} : { body: JSON.stringify(value), headers: { "Content-Type": "application/json" } })).json();

async function problemOf(answer) {
  try {
    return new Problem(answer.status, (await answer.json()).error);
  } catch {
    return new Problem(answer.status);
  }
}

/** Who is signed in: {client_id, name, scopes}, or null. */
export async function whoIsHere() {
  const answer = await call("GET", `${API}/session`);
  return answer.status === 204 ? null : remember(await answer.json());
}

/** Sign in with {code} or {token}. */
export const signIn = async (secret) => remember(await json("POST", `${API}/session`, secret));

export const signOut = () => call("DELETE", `${API}/session`);

function remember(session) {
  csrf = session.csrf;
  return session;
}
