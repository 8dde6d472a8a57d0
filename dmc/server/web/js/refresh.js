// What the server says about itself, asked again from time to time while somebody looks.

import { SERVER, TYPES, read } from "./api.js";
import { store } from "./store.js";

const EVERY_MS = 15_000;

export const refreshServer = async () => store.set({ server: await read(SERVER) });

export async function loadTypes() {
  store.set({ types: await read(TYPES) });
}

/** Ask now, and again as long as the page is looked at. */
export function keepAsking() {
  const ask = () => {
    if (!document.hidden && store.get().session) refreshServer().catch(() => undefined);
  };
  setInterval(ask, EVERY_MS);
  document.addEventListener("visibilitychange", ask);
}
