// The page: sign-in, what is dropped, and the live list. Everything is text from the server set as text, never as markup.

import { API, Problem, json, signIn, signOut, whoIsHere } from "/web/api.js";
import { progress, remove, replaceAll, show } from "/web/items.js";
import { bytes } from "/web/text.js";
import { send } from "/web/upload.js";

const at = (id) => document.getElementById(id);
const MEDIA = { video: "Video", audio: "Sound", image: "Picture" };

let stream = null;
let endings = {};

async function start() {
  const code = new URLSearchParams(location.hash.slice(1)).get("sign-in");
  if (code) history.replaceState(null, "", location.pathname);
  let session = null;
  try {
    session = code ? await signIn({ code }) : await whoIsHere();
  } catch (problem) {
    at("sign-in-problem").textContent = inWords(problem);
    session = await whoIsHere().catch(() => null);
  }
  if (session) await enter(session);
  else leave();
}

async function enter(session) {
  at("sign-in").hidden = true;
  at("work").hidden = false;
  at("sign-out").hidden = false;
  at("sign-out").title = `Signed in as ${session.client_id}`;
  await fillTypes();
  await tellRoom();
  follow();
}

function leave() {
  stream?.close();
  stream = null;
  at("link").textContent = "";
  at("work").hidden = true;
  at("sign-out").hidden = true;
  at("sign-in").hidden = false;
  at("token").focus();
}

const inWords = (problem) => (problem instanceof Problem ? problem.inWords : "The server cannot be reached.");
const say = (text) => { if (text) at("news").textContent = text; };

// --- Conversion types ---

async function fillTypes() {
  const known = await json("GET", `${API}/types`);
  endings = known.endings;
  const made = Object.entries(MEDIA).map(([medium, title]) => chooser(medium, title, known));
  at("types").replaceChildren(at("types").querySelector("legend"), ...made);
}

function chooser(medium, title, known) {
  const label = document.createElement("label");
  const choice = document.createElement("select");
  choice.id = `type-${medium}`;
  for (const kind of known.types.filter((type) => type.media_types.includes(medium))) {
    const option = new Option(kind.name, kind.name);
    option.title = kind.summary;
    choice.add(option);
  }
  choice.value = localStorage.getItem(`dmc-type ${medium}`) ?? known.defaults[medium];
  if (!choice.value) choice.value = known.defaults[medium];
  choice.addEventListener("change", () => localStorage.setItem(`dmc-type ${medium}`, choice.value));
  label.append(title, choice);
  return label;
}

function typeFor(file) {
  const medium = endings[file.name.split(".").pop().toLowerCase()] ?? file.type.split("/")[0];
  return at(`type-${medium}`)?.value ?? "";
}

async function tellRoom() {
  const server = await json("GET", `${API}/server`).catch(() => null);
  if (server) at("room").textContent = server.accepting ? `${bytes(server.free_bytes)} free on the server` : "The server's disk is full; it takes no files now.";
}

// --- Sending ---

function sendAll(files) {
  for (const file of files) sendOne(file);
}

function sendOne(file) {
  const row = document.createElement("li");
  const name = document.createElement("p");
  const facts = document.createElement("p");
  const bar = document.createElement("progress");
  const problem = document.createElement("p");
  const actions = document.createElement("div");
  const button = document.createElement("button");
  name.className = "name";
  name.textContent = file.name;
  facts.className = "quiet";
  problem.className = "problem";
  actions.className = "actions";
  bar.max = file.size || 1;
  bar.setAttribute("aria-label", `Upload of ${file.name}`);
  Object.assign(button, { type: "button", textContent: "Cancel" });
  button.setAttribute("aria-label", `Cancel the upload of ${file.name}`);
  actions.append(button);
  row.append(name, facts, bar, problem, actions);
  at("sending").append(row);
  at("sending-part").hidden = false;
  const close = () => {
    row.remove();
    at("sending-part").hidden = at("sending").childElementCount === 0;
  };
  const upload = send(file, typeFor(file), (now) => {
    if (now.state === "done") {
      say(`${file.name}: on the server`);
      return close();
    }
    problem.textContent = now.problem ?? "";
    if (now.state === "refused") {
      bar.hidden = true;
      facts.textContent = "Not sent";
      button.textContent = "Dismiss";
      say(`${file.name}: ${now.problem}`);
    }
    if (now.sent !== undefined) {
      bar.value = now.sent;
      facts.textContent = now.state === "checking" ? "Being checked" : `${bytes(now.sent)} of ${bytes(now.size)}`;
    }
    return undefined;
  });
  button.addEventListener("click", () => {
    upload.stop();
    close();
  });
}

// --- The live list ---

function follow() {
  stream?.close();
  stream = new EventSource(`${API}/events`);
  const hear = (kind, act) => stream.addEventListener(kind, (event) => act(JSON.parse(event.data)));
  stream.onopen = () => { at("link").textContent = "Live"; };
  hear("snapshot", (all) => {
    replaceAll(all.items);
    at("more").hidden = !all.more;
  });
  hear("item", (item) => say(show(item)));
  hear("progress", progress);
  hear("gone", ({ item_id: id }) => remove(id));
  stream.onerror = () => {
    at("link").textContent = "Not connected; trying again";
    if (stream?.readyState === EventSource.CLOSED) setTimeout(checkSession, 3000);
  };
}

// A stream that the browser gave up was refused: either the session ended, or the server is starting.
async function checkSession() {
  try {
    if (await whoIsHere()) follow();
    else leave();
  } catch {
    setTimeout(checkSession, 3000);
  }
}

// --- Wiring ---

at("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  at("sign-in-problem").textContent = "";
  try {
    const session = await signIn({ token: at("token").value });
    at("token").value = "";
    await enter(session);
  } catch (problem) {
    at("sign-in-problem").textContent = inWords(problem);
  }
});

at("sign-out").addEventListener("click", async () => {
  await signOut().catch(() => undefined);
  leave();
});

at("files").addEventListener("change", () => {
  sendAll(at("files").files);
  at("files").value = "";
});

for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && stream) sendAll(event.dataTransfer.files);
  });
}

start();
