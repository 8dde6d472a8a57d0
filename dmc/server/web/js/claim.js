// Which tab of this browser sends which upload: two tabs must not send the same one.

const CHANNEL = "dmc-claims";
const ANSWER_MS = 400;

export class Claims {
  #channel = new BroadcastChannel(CHANNEL);
  #held = new Map();
  #asked = new Map();

  constructor() {
    this.#channel.onmessage = ({ data: { kind, id } }) => {
      if (kind === "whose" && this.#held.has(id)) this.#channel.postMessage({ kind: "mine", id });
      if (kind === "mine") this.#asked.get(id)?.(false);
    };
  }

  /** Becomes true if this tab may send the upload `id` from now on. */
  async take(id) {
    if (this.#held.has(id)) return true;
    const got = navigator.locks ? await this.#lock(id) : await this.#ask(id);
    return got;
  }

  /** Let another tab have it. */
  give(id) {
    this.#held.get(id)?.();
    this.#held.delete(id);
  }

  #lock(id) {
    return new Promise((resolve) => {
      navigator.locks.request(`dmc-upload ${id}`, { ifAvailable: true }, (lock) => {
        if (!lock) return resolve(false);
        return new Promise((release) => {
          this.#held.set(id, release);
          resolve(true);
        });
      });
    });
  }

  // Without locks (plain http from another machine): ask around, and take it if nobody has it.
  #ask(id) {
    return new Promise((resolve) => {
      const settle = (free) => {
        if (!this.#asked.delete(id)) return;
        if (free) this.#held.set(id, () => undefined);
        resolve(free);
      };
      this.#asked.set(id, settle);
      this.#channel.postMessage({ kind: "whose", id });
      setTimeout(() => settle(true), ANSWER_MS);
    });
  }
}
