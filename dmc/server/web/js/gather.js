// Files out of a drop, a picker or a paste, with the folders they came in: [{file, path, handle}].

const HIDDEN = /^(\.|Thumbs\.db$|desktop\.ini$|@eaDir$)/i;

/** What was dropped. Reads the event before its first await: afterwards the browser has emptied it. */
export async function fromDrop(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const files = [...transfer.files];
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? null);
  const handles = items.map((item) => item.getAsFileSystemHandle?.() ?? null);
  const found = [];
  for (const [place, entry] of entries.entries()) {
    const handle = await Promise.resolve(handles[place]).catch(() => null);
    if (handle) found.push(...(await inHandle(handle, "")));
    else if (entry) found.push(...(await inEntry(entry, "")));
    else if (files[place]) found.push({ file: files[place], path: "" });
  }
  return found;
}

/** What was chosen in a file input, or pasted. */
export const fromList = (files) =>
  [...files].map((file) => ({ file, path: file.webkitRelativePath.split("/").slice(0, -1).join("/") }))
    .filter(({ file, path }) => !HIDDEN.test(file.name) && !path.split("/").some((part) => HIDDEN.test(part)));

/** Let the person choose files; with handles where the browser has these. Resolves to null where it has no such dialog. */
export async function fromPicker() {
  if (!window.showOpenFilePicker) return null;
  try {
    const handles = await window.showOpenFilePicker({ multiple: true });
    return Promise.all(handles.map(async (handle) => ({ file: await handle.getFile(), path: "", handle })));
  } catch (problem) {
    if (problem.name === "AbortError") return [];
    return null;
  }
}

async function inHandle(handle, path) {
  if (handle.kind === "file") return [{ file: await handle.getFile(), path, handle }];
  const found = [];
  for await (const inside of handle.values()) {
    if (!HIDDEN.test(inside.name)) found.push(...(await inHandle(inside, joined(path, handle.name))));
  }
  return found;
}

async function inEntry(entry, path) {
  if (entry.isFile) return [{ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), path }];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // At most a hundred at once.
    if (!some.length) return found;
    for (const inside of some) {
      if (!HIDDEN.test(inside.name)) found.push(...(await inEntry(inside, joined(path, entry.name))));
    }
  }
}

const joined = (path, name) => (path ? `${path}/${name}` : name);
