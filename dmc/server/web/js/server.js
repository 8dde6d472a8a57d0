// The server: room, work, clients, what it can make, and what it has done over time.

import { CLIENTS, PAIR_CODES, STATISTICS, post, readIfThere } from "./api.js";
import { Chart } from "./chart.js";
import { Control, Waiting } from "./control.js";
import { Icon } from "./icons.js";
import { isHeld, mediumName } from "./items.js";
import { Act, Section, useLoaded } from "./parts.js";
import { Running } from "./queue.js";
import { refreshServer } from "./refresh.js";
import { useStore } from "./store.js";
import { html, useEffect, useState } from "./ui.js";
import { ago, bytes, count, exactly, sentence, t } from "./words.js";

const EVERY_MS = 15_000;
const FOLLOWS_MS = 1000; // The broker gives a sign of life twice a second.
const MEDIA = ["video", "audio", "image"];

export function ServerView() {
  const server = useStore((state) => state.server);
  const items = useStore((state) => state.items);
  const statistics = useLoaded(() => readIfThere(STATISTICS), [], EVERY_MS);
  const running = [...items.values()].filter((item) => item.status === "in_progress");
  // How many are busy the server is asked for, what they do it tells by itself: the two shall fit.
  useEffect(() => {
    const timer = setTimeout(() => refreshServer().catch(() => undefined), FOLLOWS_MS);
    return () => clearTimeout(timer);
  }, [running.length]);
  return html`
    <div class="view-head"><h1 tabindex="-1">${t("server.title")}</h1><${Control} /></div>
    <${Waiting} />
    <div class="numbers">
      <${Number_} icon="server" label=${t("server.free")} value=${server ? bytes(server.free_bytes ?? 0) : "…"} note=${server && t(server.accepting ? "server.accepting" : "server.full")} />
      <${Number_} icon="play" label=${t("server.running")} value=${count(running.length)} note=${statistics && t("server.waiting", { count: statistics.statuses.to_do })} />
      <${Number_} icon="check" label=${t("server.converted")} value=${statistics ? count(statistics.converted) : "…"} note=${statistics && t("server.kept", { count: statistics.kept_original })} />
      <${Number_} icon="download" label=${t("server.saved")} value=${statistics ? bytes(statistics.saved_bytes) : "…"} note=${statistics && t("server.savedOf", { before: bytes(statistics.bytes_in), after: bytes(statistics.bytes_out) })} />
    </div>
    ${statistics && html`<${Throughput} statistics=${statistics} />`}
    <${Section} id="workers" title=${t("workers.title")} count=${server?.workers ? t("workers.count", { busy: server.workers.busy, count: server.workers.total }) : running.length}>
      <${Staffing} server=${server} />
      ${running.length > 0
        ? html`<ul class="list">${running.map((item) => html`<${Running} key=${item.item_id} item=${item} />`)}</ul>`
        : html`<p class="quiet">${t("workers.none")}</p>`}
    <//>
    <div class="columns">
      <${Clients} statistics=${statistics} />
      <${Types} />
    </div>
    ${server && html`<p class="quiet small-print">${t("server.version", { version: server.version ?? "", instance: server.instance.slice(0, 8) })}</p>`}`;
}

// Why there are so many workers, and what keeps some from work though something waits.
function Staffing({ server }) {
  const workers = server?.workers;
  if (!workers) return null; // Of a broker that does not work tells the note above.
  const { total, wanted, bound, busy } = workers;
  const idle = busy < total && server.waiting && !isHeld(server);
  return html`
    <p class="quiet">${t(`workers.bound.${bound}`, { count: total, wanted })}</p>
    ${idle && html`<p>${t("workers.idle", { count: total - busy, why: sentence(server.waiting.message) })}</p>`}`;
}

const Number_ = ({ icon, label, value, note }) => html`
  <div class="card number">
    <p class="quiet"><${Icon} name=${icon} />${label}</p>
    <p class="big">${value}</p>
    <p class="quiet">${note || " "}</p>
  </div>`;

function Throughput({ statistics }) {
  const [unit, setUnit] = useState("hours");
  const label = (span) => (unit === "hours"
    ? new Date(span.start).toLocaleString([], { weekday: "short", hour: "2-digit", minute: "2-digit" })
    : new Date(span.start).toLocaleDateString([], { day: "numeric", month: "short", timeZone: "UTC" }));
  const bars = statistics[unit].map((span) => ({
    label: label(span), value: span.converted, bad: span.failed,
    text: t("chart.bar", { when: label(span), converted: span.converted, failed: span.failed, before: bytes(span.bytes_in), after: bytes(span.bytes_out) }),
  }));
  const total = statistics[unit].reduce((sum, span) => sum + span.converted, 0);
  const volume = statistics[unit].reduce((sum, span) => sum + span.bytes_in, 0);
  const choice = ["hours", "days"].map((each) => html`
    <button type="button" class="chip" aria-pressed=${unit === each} onClick=${() => setUnit(each)}>${t(`chart.${each}`)}</button>`);
  return html`
    <${Section} id="throughput" title=${t("chart.title")} actions=${choice}>
      <div class="card">
        <p>${t("chart.sum", { count: total, volume: bytes(volume) })}</p>
        <${Chart} title=${t(`chart.describe.${unit}`)} bars=${bars} columns=${[t("chart.time"), t("chart.converted"), t("chart.failed")]} />
      </div>
    <//>`;
}

function Clients({ statistics }) {
  const session = useStore((state) => state.session);
  const isAdmin = session.scopes.includes("admin");
  const found = useLoaded(() => (isAdmin ? readIfThere(CLIENTS) : Promise.resolve(null)), [isAdmin], EVERY_MS);
  const known = new Map(Object.entries(statistics?.clients ?? {}).map(([client, items]) => [client, { items, seen: null }]));
  for (const { client_id: client, last_seen_at: seen } of found?.clients ?? []) known.set(client, { items: known.get(client)?.items ?? 0, seen });
  const rows = [...known].sort(([, one], [, other]) => (other.seen ?? "").localeCompare(one.seen ?? ""));
  return html`
    <${Section} id="clients" title=${t("clients.title")} actions=${found && html`<${Pairing} />`}>
      <div class="card">
        ${rows.length === 0 && html`<p class="quiet">${t("clients.none")}</p>`}
        <ul class="plain">${rows.map(([client, { items, seen }]) => html`
          <li key=${client} class="pair">
            <a href=${`#/library?client_id=${encodeURIComponent(client)}`}>${client}</a>
            <span class="quiet">${t("clients.items", { count: items })}${seen && ` · ${t("clients.seen", { time: ago(seen) })}`}</span>
          </li>`)}</ul>
      </div>
    <//>`;
}

// A short code that a new client is given: it gets a token of its own for it.
function Pairing() {
  const [offer, setOffer] = useState(null);
  if (!offer) return html`<${Act} act=${async () => setOffer(await post(PAIR_CODES, {}))} label=${t("pair.start")} />`;
  return html`
    <div class="pairing" role="status">
      <p>${t("pair.text")}</p>
      <p class="code">${offer.code}</p>
      <p class="quiet">${t("pair.until", { until: exactly(offer.expires_at) })}</p>
      ${offer.fingerprint && html`<p class="quiet digest">${t("pair.fingerprint", { fingerprint: offer.fingerprint })}</p>`}
      <button type="button" class="button" onClick=${() => setOffer(null)}>${t("action.close")}</button>
    </div>`;
}

function Types() {
  const types = useStore((state) => state.types);
  if (!types) return null;
  return html`
    <${Section} id="types" title=${t("types.title")}>
      <div class="card">
        ${MEDIA.map((medium) => html`
          <div key=${medium} class="type-group">
            <h3><${Icon} name=${medium} />${mediumName(medium)}</h3>
            <dl>${types.types.filter((type) => type.gives === medium).map((type) => html`
              <div key=${type.name}><dt><code>${type.name}</code>${types.defaults[medium] === type.name && html` <span class="count">${t("types.default")}</span>`}</dt><dd>${type.summary}</dd></div>`)}</dl>
          </div>`)}
      </div>
    <//>`;
}
