// The frame around the views: navigation, the state of the connection, sign-out, notices.

import { signOut } from "./api.js";
import { Icon } from "./icons.js";
import { Help, listenForKeys } from "./keys.js";
import { Library } from "./library.js";
import { Notices, Note } from "./parts.js";
import { Queue } from "./queue.js";
import { ServerView } from "./server.js";
import { SignIn } from "./signin.js";
import { store, useStore } from "./store.js";
import { Trash } from "./trash.js";
import { html, useEffect, useMemo, useRef, useState } from "./ui.js";
import { t } from "./words.js";

const VIEWS = { queue: Queue, library: Library, server: ServerView, trash: Trash };
const SHOWN = { queue: ["queue"], library: ["library", "trash"], server: ["server"] }; // Which views stand behind each place of the navigation.

/** "#/library/ID?q=x" → {view, id, query} */
export function routeOf(hash) {
  const [path, query] = hash.replace(/^#\/?/, "").split("?");
  const [view, id] = path.split("/");
  return { view: view in VIEWS ? view : "queue", id: id ?? "", query: new URLSearchParams(query ?? "") };
}

function useRoute() {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const hear = () => setHash(location.hash);
    window.addEventListener("hashchange", hear);
    hear(); // It may have changed since the page was drawn.
    return () => window.removeEventListener("hashchange", hear);
  }, []);
  return useMemo(() => routeOf(hash), [hash]);
}

export function App({ uploads, problem, onSignedIn, onSignedOut }) {
  const session = useStore((state) => state.session);
  if (session === undefined) return html`<main class="loading"><p class="quiet" role="status">${problem || t("app.connecting")}</p></main>`;
  if (session === null) return html`<${SignIn} problem=${problem} onSignedIn=${onSignedIn} /><${Notices} />`;
  return html`<${Shell} uploads=${uploads} session=${session} onSignedOut=${onSignedOut} />`;
}

function Shell({ uploads, session, onSignedOut }) {
  const route = useRoute();
  const [help, setHelp] = useState(false);
  const main = useRef();
  const first = useRef(true);
  useEffect(() => listenForKeys(() => setHelp(true)), []);
  useEffect(() => {
    document.title = t("app.titleOf", { view: t(`nav.${route.view}`) });
    // A new view begins at its heading, for eyes and for ears; the first one where the browser is.
    const isTaken = main.current !== document.activeElement && main.current.contains(document.activeElement);
    if (!first.current && !isTaken) main.current.querySelector("h1")?.focus({ preventScroll: true });
    if (!first.current) window.scrollTo(0, 0);
    first.current = false;
  }, [route.view]);
  const View = VIEWS[route.view];
  return html`
    <a class="skip" href="#main" onClick=${(event) => skip(event, main)}>${t("app.skip")}</a>
    <header class="top">
      <a class="brand" href="#/queue" aria-label=${t("app.home")}><span class="mark"><${Icon} name="retry" /></span>dmc</a>
      <nav aria-label=${t("nav.label")}>
        ${Object.entries(SHOWN).map(([view, behind]) => html`
          <a key=${view} href=${`#/${view}`} aria-current=${route.view === view ? "page" : behind.includes(route.view) ? "true" : null}><${Icon} name=${view} /><span>${t(`nav.${view}`)}</span></a>`)}
      </nav>
      <${Link} />
      <button type="button" class="button quiet" aria-label=${t("app.help")} onClick=${() => setHelp(true)}>?</button>
      <button type="button" class="button quiet leave" title=${t("app.signedIn", { name: session.client_id })} onClick=${() => leave(onSignedOut)}>${t("app.signOut")}</button>
    </header>
    <main id="main" ref=${main} tabindex="-1">
      <${Unsafe} />
      <${View} uploads=${uploads} route=${route} />
    </main>
    <${Notices} />
    ${help && html`<${Help} onClose=${() => setHelp(false)} />`}`;
}

function skip(event, main) {
  event.preventDefault();
  main.current.focus();
}

async function leave(onSignedOut) {
  await signOut().catch(() => undefined);
  onSignedOut();
}

function Link() {
  const link = useStore((state) => state.link);
  return html`<p class="link ${link}" role="status"><span class="dot" aria-hidden="true"></span><span class="link-text">${t(`link.${link}`)}</span></p>`;
}

// Plain http to another machine: whoever is on the way reads along.
function Unsafe() {
  const known = useStore((state) => state.server);
  if (!known || location.protocol === "https:" || /^(localhost|127\.|\[::1\])/.test(location.hostname)) return null;
  return html`<${Note} kind="warn" icon="warning"><p>${t("app.unsafe")}</p><//>`;
}

export const signedOut = () => store.set({ session: null });
