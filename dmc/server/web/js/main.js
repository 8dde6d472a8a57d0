// The beginning: words, who is here, then the page; and everything that lives as long as it.

import { inWords, signIn, whoIsHere } from "./api.js";
import { App } from "./app.js";
import { Live } from "./live.js";
import { keepAsking, loadTypes, refreshServer } from "./refresh.js";
import { notice, store } from "./store.js";
import { html, render } from "./ui.js";
import { Uploads } from "./uploads.js";
import { loadStrings } from "./words.js";

const AGAIN_MS = 3000;

async function main() {
  await loadStrings();
  const live = new Live();
  const uploads = new Uploads();
  const enter = async (session) => {
    store.set({ session });
    live.start();
    try {
      await Promise.all([loadTypes(), refreshServer()]);
    } catch (problem) {
      notice(inWords(problem), "bad");
    }
    await uploads.restore();
  };
  const leave = () => {
    live.stop();
    store.set({ session: null });
  };
  const draw = (problem) =>
    render(html`<${App} uploads=${uploads} problem=${problem} onSignedIn=${enter} onSignedOut=${leave} />`, document.getElementById("page"));
  draw("");
  keepAsking();
  // What waited for the server goes on as soon as it is heard again.
  let before = "";
  store.subscribe(() => {
    const { link, types } = store.get();
    if (link === "live" && before === "broken") {
      uploads.nudge();
      if (!types) loadTypes().catch(() => undefined);
    }
    before = link;
  });
  await begin(enter, draw);
}

// A one-time code in the address is used up and taken out of it, so that no history keeps it.
async function begin(enter, draw) {
  const code = new URLSearchParams(location.hash.slice(1)).get("sign-in");
  if (code) history.replaceState(null, "", location.pathname);
  let problem = "";
  for (;;) {
    try {
      const session = (code && !problem ? await signIn({ code }).catch((fault) => {
        problem = inWords(fault);
        if (!fault.status) throw fault;
        return null;
      }) : null) ?? (await whoIsHere());
      if (session) return enter(session);
      draw(problem);
      return store.set({ session: null });
    } catch (fault) {
      draw(inWords(fault));
      problem = "";
      await new Promise((wake) => setTimeout(wake, AGAIN_MS));
    }
  }
}

main();
