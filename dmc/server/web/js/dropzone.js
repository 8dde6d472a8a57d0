// Where files come in: dropped anywhere on the page, chosen, or pasted; and what they shall become.

import { inWords } from "./api.js";
import { fromDrop, fromList, fromPicker } from "./gather.js";
import { Icon } from "./icons.js";
import { mediumName } from "./items.js";
import { loadTypes } from "./refresh.js";
import { notice, store, useStore } from "./store.js";
import { html, useEffect, useRef, useState } from "./ui.js";
import { bytes, t } from "./words.js";

const MEDIA = ["video", "audio", "image"];
const CHOICE = "dmc-type";

/** The conversion type that was chosen for a medium. */
export function chosenType(medium, types) {
  const remembered = localStorage.getItem(`${CHOICE} ${medium}`);
  return types.types.some((type) => type.name === remembered && type.media_types.includes(medium)) ? remembered : types.defaults[medium];
}

/** What `file` shall become; "" for a file of no medium that the server knows. */
export function typeFor(file, types) {
  const medium = types.endings[file.name.split(".").pop().toLowerCase()] ?? file.type.split("/")[0];
  return MEDIA.includes(medium) ? chosenType(medium, types) : "";
}

export function DropZone({ uploads }) {
  const types = useStore((state) => state.types);
  const server = useStore((state) => state.server);
  const [over, setOver] = useState(false);
  const files = useRef();
  const folder = useRef();
  const take = (found) => takeFiles(uploads, found).catch((problem) => notice(inWords(problem), "bad"));
  useEffect(() => listenForFiles(take, setOver), []);
  const choose = async () => {
    const found = await fromPicker();
    if (found) take(found);
    else files.current.click();
  };
  const chosen = (event) => {
    take(fromList(event.target.files));
    event.target.value = "";
  };
  const full = server && !server.accepting;
  return html`
    <div class="card drop ${over ? "over" : ""}">
      <div class="drop-main">
        <span class="drop-icon"><${Icon} name="upload" /></span>
        <div>
          <h2>${t(over ? "drop.over" : "drop.title")}</h2>
          <p class="quiet">
            ${full ? html`<strong class="bad">${t("drop.full")}</strong>` : t("drop.text")}
            ${!full && server?.free_bytes != null && ` ${t("drop.room", { free: bytes(server.free_bytes) })}`}
          </p>
        </div>
        <div class="row">
          <button type="button" id="choose" class="button main" disabled=${full} onClick=${choose}><${Icon} name="upload" />${t("drop.files")}</button>
          <button type="button" class="button" disabled=${full} onClick=${() => folder.current.click()}><${Icon} name="folder" />${t("drop.folder")}</button>
        </div>
        <input ref=${files} id="files" type="file" multiple hidden onChange=${chosen} />
        <input ref=${folder} id="folder" type="file" webkitdirectory hidden onChange=${chosen} />
      </div>
      ${types && html`<${Types} types=${types} />`}
    </div>`;
}

function Types({ types }) {
  const [, draw] = useState(0);
  const choose = (medium) => (event) => {
    localStorage.setItem(`${CHOICE} ${medium}`, event.target.value);
    draw((number) => number + 1);
  };
  return html`
    <fieldset class="types">
      <legend class="unseen">${t("types.legend")}</legend>
      ${MEDIA.map((medium) => html`
        <label key=${medium} class="type">
          <span class="type-head"><${Icon} name=${medium} />${t("types.to", { medium: mediumName(medium) })}</span>
          <select id=${`type-${medium}`} value=${chosenType(medium, types)} onChange=${choose(medium)}>
            ${types.types.filter((type) => type.media_types.includes(medium)).map((type) => html`
              <option key=${type.name} value=${type.name} selected=${type.name === chosenType(medium, types)}>${type.name}</option>`)}
          </select>
          <span class="quiet">${types.types.find((type) => type.name === chosenType(medium, types))?.summary}</span>
        </label>`)}
    </fieldset>`;
}

// Says early, before the first byte, what will not fit.
async function takeFiles(uploads, found) {
  if (!found.length) return;
  if (!store.get().types) await loadTypes(); // Whoever is quicker than the page loses nothing.
  const { types, server } = store.get();
  const wanted = found.reduce((sum, { file }) => sum + file.size, 0);
  if (server?.free_bytes != null && wanted > server.free_bytes) {
    notice(t("drop.tooMuch", { wanted: bytes(wanted), free: bytes(server.free_bytes) }), "bad");
    return;
  }
  const fitting = found.filter(({ file }) => !server?.max_file_size || file.size <= server.max_file_size);
  if (fitting.length < found.length) {
    notice(t("drop.tooLarge", { count: found.length - fitting.length, most: bytes(server.max_file_size) }), "bad");
  }
  if (location.hash !== "#/queue") location.hash = "#/queue";
  await uploads.add(fitting, (file) => typeFor(file, types));
}

// The whole window takes files: a drop beside the zone would else open the file in place of the page.
function listenForFiles(take, setOver) {
  const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let depth = 0;
  const heard = {
    dragenter: (event) => carriesFiles(event) && setOver((depth += 1) > 0),
    dragover: (event) => carriesFiles(event) && event.preventDefault(),
    dragleave: (event) => carriesFiles(event) && setOver((depth -= 1) > 0),
    drop: async (event) => {
      event.preventDefault();
      setOver(Boolean((depth = 0)));
      try {
        take(await fromDrop(event.dataTransfer));
      } catch (problem) {
        notice(t("drop.unreadable", { problem: problem.message }), "bad");
      }
    },
    paste: (event) => event.clipboardData?.files.length && take(fromList(event.clipboardData.files)),
  };
  for (const [kind, hear] of Object.entries(heard)) document.addEventListener(kind, hear);
  return () => Object.entries(heard).forEach(([kind, hear]) => document.removeEventListener(kind, hear));
}
