// Pause, drain and resume: one menu; and why nothing is converted just now.

import { SERVER, post } from "./api.js";
import { Icon } from "./icons.js";
import { Act, Dialog, Note } from "./parts.js";
import { store, useStore } from "./store.js";
import { html, useState } from "./ui.js";
import { exactly, sentence, t } from "./words.js";
import { refreshServer } from "./refresh.js";

const mayControl = (session) => session?.scopes.includes("admin");

async function control(what, until) {
  await post(`${SERVER}/${what}`, until ? { until } : {});
  await refreshServer();
}

/** The next time that the clock shows `time` ("07:00"), RFC 3339. */
export function nextTime(time, now = new Date()) {
  const [hours, minutes] = time.split(":").map(Number);
  const moment = new Date(now);
  moment.setHours(hours, minutes, 0, 0);
  if (moment <= now) moment.setDate(moment.getDate() + 1);
  return moment.toISOString().replace(/\.\d+Z$/, "Z");
}

const isHeld = (server) => ["paused", "draining", "drained", "pause", "drain"].includes(server?.waiting?.code) || (server?.mode && server.mode !== "run");

export function Control() {
  const session = useStore((state) => state.session);
  const server = useStore((state) => state.server);
  const [open, setOpen] = useState(false);
  if (!mayControl(session) || !server || !("waiting" in server)) return null;
  if (isHeld(server)) return html`<${Act} act=${() => control("resume")} icon="play" label=${t("control.resume")} kind="main" />`;
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
        <${Act} act=${and(() => control("drain", until()))} icon="clock" label=${t("control.drain")} kind="main" />
        <${Act} act=${and(() => control("pause", until()))} icon="pause" label=${t("control.now")} />
      </div>
    <//>`;
}

/** The sentence of the server about why nothing begins; and whether the page itself is heard. */
export function Waiting() {
  const server = useStore((state) => state.server);
  const waiting = server?.waiting;
  if (!waiting) return null;
  return html`
    <${Note} kind="warn" icon="pause">
      <p>${sentence(waiting.message ?? t("wait.queue"))} ${waiting.until && t("control.resumes", { time: exactly(waiting.until) })}</p>
    <//>`;
}

