// Pause, drain and resume: one menu; and why nothing is converted just now.

import { SERVER, post } from "./api.js";
import { Icon } from "./icons.js";
import { isHeld, isSteered } from "./items.js";
import { Act, Dialog, Note } from "./parts.js";
import { store, useStore } from "./store.js";
import { html, useState } from "./ui.js";
import { exactly, hasText, sentence, t } from "./words.js";
import { refreshServer } from "./refresh.js";

const PAUSE = `${SERVER}/pause`;
const DRAIN = `${SERVER}/drain`;
const RESUME = `${SERVER}/resume`;
const FOLLOWS_MS = 300;
const FOLLOWS_WITHIN = 10;

const mayControl = (session) => session?.scopes.includes("admin");

// The broker follows within a moment; the page waits for that, so that it shows what is and not what was asked for.
async function steer(path, until) {
  await post(path, until ? { until } : {});
  for (let tries = 0; tries < FOLLOWS_WITHIN; tries += 1) {
    await refreshServer();
    if (isSteered(store.get().server) === (path !== RESUME)) return;
    await new Promise((wake) => setTimeout(wake, FOLLOWS_MS));
  }
}

/** The next time that the clock shows `time` ("07:00"), RFC 3339. */
export function nextTime(time, now = new Date()) {
  const [hours, minutes] = time.split(":").map(Number);
  const moment = new Date(now);
  moment.setHours(hours, minutes, 0, 0);
  if (moment <= now) moment.setDate(moment.getDate() + 1);
  return moment.toISOString().replace(/\.\d+Z$/, "Z");
}

export function Control() {
  const session = useStore((state) => state.session);
  const server = useStore((state) => state.server);
  const [open, setOpen] = useState(false);
  if (!mayControl(session) || !server || !("waiting" in server)) return null;
  if (isSteered(server)) return html`<${Act} act=${() => steer(RESUME)} icon="play" label=${t("control.resume")} kind="main" />`;
  return html`
    <button type="button" class="button" onClick=${() => setOpen(true)}><${Icon} name="pause" />${t("control.pause")}</button>
    ${open && html`<${PauseDialog} onClose=${() => setOpen(false)} />`}`;
}

function PauseDialog({ onClose }) {
  const [time, setTime] = useState("07:00");
  const [ends, setEnds] = useState(false);
  const until = () => (ends && time ? nextTime(time) : undefined);
  const and = (act) => async () => {
    await act();
    onClose();
  };
  return html`
    <${Dialog} title=${t("control.title")} onClose=${onClose}>
      <p class="quiet">${t("control.text")}</p>
      <div class="until">
        <label class="check"><input type="checkbox" checked=${ends} onChange=${(event) => setEnds(event.target.checked)} /> ${t("control.until")}</label>
        <input type="time" value=${time} disabled=${!ends} aria-label=${t("control.time")} onInput=${(event) => setTime(event.target.value)} />
      </div>
      <div class="choices">
        <${Act} act=${and(() => steer(DRAIN, until()))} icon="clock" label=${t("control.drain")} kind="main" />
        <${Act} act=${and(() => steer(PAUSE, until()))} icon="pause" label=${t("control.now")} />
      </div>
    <//>`;
}

/** The sentence of the server about why nothing begins; and whether the page itself is heard. */
export function Waiting() {
  const server = useStore((state) => state.server);
  const waiting = server?.waiting;
  if (!isHeld(server)) return null;
  return html`
    <${Note} kind="warn" icon="pause">
      <p>${hasText(`hold.${waiting.code}`) ? t(`hold.${waiting.code}`) : sentence(waiting.message)} ${waiting.until && t("control.resumes", { time: exactly(waiting.until) })}</p>
    <//>`;
}

