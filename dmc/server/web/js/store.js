// What the page knows, in one place; views read parts of it and are drawn again when these parts change.

import { useEffect, useRef, useState } from "./ui.js";

export const store = newStore({
  session: undefined, // undefined: not asked yet; null: nobody is signed in
  link: "connecting", // connecting, live, polling, broken
  types: null,
  server: null,
  items: new Map(), // by id: what is under way, and the newest of what is finished
  itemsKnown: false,
  more: false, // more is under way than `items` holds
  gone: 0, // how many items were heard to be deleted: lists that show others than `items` ask again
  uploads: [],
  notices: [],
});

function newStore(initial) {
  let state = initial;
  const hearers = new Set();
  return {
    get: () => state,
    set(changes) {
      state = { ...state, ...changes };
      for (const hear of [...hearers]) hear();
    },
    subscribe(hear) {
      hearers.add(hear);
      return () => hearers.delete(hear);
    },
  };
}

/** A part of the store; `select` must give the same object while nothing changed. */
export function useStore(select) {
  const [, draw] = useState(0);
  const latest = useRef();
  latest.current = { select, value: select(store.get()) };
  useEffect(() => {
    const look = () => {
      if (latest.current.select(store.get()) !== latest.current.value) draw((number) => number + 1);
    };
    look();
    return store.subscribe(look);
  }, []);
  return latest.current.value;
}

/** Say something to a screen reader, once, without moving anybody's focus. */
export function say(text) {
  document.getElementById("news").textContent = text;
}

let notices = 0;

/**
 * Show a short notice at the edge of the page, and say it; how long it stays is in parts.js. `undo`: {label, act}, for a button that takes
 * back what the notice tells of.
 */
export function notice(text, kind = "plain", undo = null) {
  const made = { id: (notices += 1), text, kind, undo };
  store.set({ notices: [...store.get().notices.slice(-2), made] });
  say(text);
}

export const dismiss = (id) => store.set({ notices: store.get().notices.filter((one) => one.id !== id) });
