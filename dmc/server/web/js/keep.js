// What a reload must not forget: the uploads under way, in the browser's own database.
//
// A record holds what the upload is, and the file itself where the browser lets us: as a handle (asks for permission once
// more after a reload), or as a copy of a file that is not too big. Else the person is asked to choose the file again.

const DATABASE = "dmc";
const STORE = "uploads";
const COPY_UP_TO = 256 * 1024 ** 2;
const COPIES_UP_TO = 1024 ** 3;

export class Keep {
  #opened = null;
  #copied = 0;

  /** Every record; none where the browser keeps nothing. */
  async all() {
    return (await this.#do("readonly", (records) => records.getAll())) ?? [];
  }

  /** Remember an upload, with its file if there is a way. */
  async put(record, file) {
    const { handle, ...plain } = record;
    if (handle && (await this.#do("readwrite", (records) => records.put({ ...plain, handle })))) return;
    if (file && file.size <= COPY_UP_TO && this.#copied + file.size <= COPIES_UP_TO) {
      this.#copied += file.size;
      if (await this.#do("readwrite", (records) => records.put({ ...plain, copy: file }))) return;
    }
    await this.#do("readwrite", (records) => records.put(plain));
  }

  /** Note where the server takes this upload. */
  async note(id, changes) {
    const known = await this.#do("readonly", (records) => records.get(id));
    if (known) await this.#do("readwrite", (records) => records.put({ ...known, ...changes }));
  }

  async forget(id) {
    await this.#do("readwrite", (records) => records.delete(id));
  }

  // Resolves to the result, or to null where it does not work: a private window, no room, no such feature.
  async #do(mode, act) {
    try {
      this.#opened ??= open();
      const database = await this.#opened;
      return await new Promise((resolve, reject) => {
        const transaction = database.transaction(STORE, mode);
        const asked = act(transaction.objectStore(STORE));
        transaction.oncomplete = () => resolve(asked.result ?? true);
        transaction.onerror = transaction.onabort = () => reject(transaction.error);
      });
    } catch {
      return null;
    }
  }
}

function open() {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open(DATABASE, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(STORE, { keyPath: "id" });
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}
