// One item, opened: its picture or sound, its receipt in plain words, and what can be done with it.

import { ITEMS, read } from "./api.js";
import { Icon } from "./icons.js";
import {
  cancel, failureText, mayCancel, mayDelete, mayRetry, originalOf, outcomeText, progressText, receiptOf, retry, statusOf, toneOf, waitText,
} from "./items.js";
import { Player } from "./player.js";
import { Act, Bar, Confirm, Dialog, Note, useLoaded } from "./parts.js";
import { inPlainWords } from "./receipt.js";
import { useStore } from "./store.js";
import { hasTrash, putAway } from "./trash.js";
import { html, useRef, useState } from "./ui.js";
import { bytes, exactly, length, t } from "./words.js";

export function Detail({ id, item: given, onClose }) {
  const live = useStore((state) => state.items.get(id));
  const leaving = useRef(false); // What is being deleted is not asked for once more.
  const asked = useLoaded(() => (given || leaving.current ? Promise.resolve(given) : read(`${ITEMS}/${id}`).catch(() => "gone")), [id, live?.version]);
  const item = newest(live, given, asked === "gone" ? null : asked);
  const server = useStore((state) => state.server);
  const [sure, setSure] = useState(false);
  if (!item) {
    return asked === "gone" ? html`<${Dialog} title=${t("detail.gone")} onClose=${onClose}><p>${t("detail.goneText")}</p><//>` : null;
  }
  const deleted = async () => {
    leaving.current = true;
    await putAway(item).catch((problem) => {
      leaving.current = false;
      throw problem;
    });
    onClose();
  };
  if (sure) {
    return html`<${Confirm} title=${t("delete.title")} text=${t("delete.text", { name: item.file_name })} label=${t("action.delete")}
      act=${deleted} onClose=${() => setSure(false)} />`;
  }
  const done = item.status === "finished_successful";
  return html`
    <${Dialog} title=${item.result?.file_name ?? item.file_name} onClose=${onClose} wide>
      ${item.status.startsWith("finished") && html`<${Player} item=${item} />`}
      <p class="headline"><span class="tone ${toneOf(item)}">${statusOf(item)}</span> ${done && outcomeText(item)}</p>
      ${item.status === "in_progress" && html`<p>${progressText(item, server)}</p><${Bar} value=${item.progress?.fraction} label=${t("progress.of", { name: item.file_name })} />`}
      ${item.status === "to_do" && html`<p>${waitText(item, server)}</p>`}
      ${item.status === "finished_with_errors" && html`<${Note} kind="bad" icon="warning"><p>${failureText(item)}</p><//>`}
      <div class="row">
        ${item.result && html`<a class="button main" href=${item.result.url} download=${item.result.file_name}><${Icon} name="download" />${t("action.download")}</a>`}
        ${item.status.startsWith("finished") && html`<a class="button" href=${originalOf(item)} download=${item.file_name}><${Icon} name="download" />${t("action.original")}</a>`}
        ${mayRetry(item) && html`<${Act} act=${() => retry(item)} icon="retry" label=${t("action.retry")} kind="main" />`}
        ${mayCancel(item) && html`<${Act} act=${() => cancel(item)} icon="close" label=${t("action.cancel")} />`}
        ${mayDelete(item) && (hasTrash()
          ? html`<${Act} act=${deleted} icon="trash" label=${t("action.delete")} kind="delete" />`
          : html`<button type="button" class="button delete" onClick=${() => setSure(true)}><${Icon} name="trash" />${t("action.delete")}</button>`)}
      </div>
      ${done && html`<${Receipt} item=${item} />`}
      <${Facts} item=${item} />
    <//>`;
}

const newest = (...items) => items.filter(Boolean).sort((one, other) => other.version - one.version)[0];

function Receipt({ item }) {
  const receipt = useLoaded(() => receiptOf(item).catch(() => null), [item.item_id, item.version]);
  if (!receipt) return null;
  const words = inPlainWords(receipt);
  const of = (kind) => words.lines.filter((line) => line.kind === kind);
  return html`
    <section class="receipt" aria-labelledby="receipt-title">
      <h3 id="receipt-title">${t("receipt.title")}</h3>
      ${words.check && html`<p class="check ${words.passed ? "good" : "bad"}"><${Icon} name=${words.passed ? "check" : "warning"} />${words.check}</p>`}
      <dl>
        ${["kept", "changed", "lost"].filter((kind) => kind === "lost" || of(kind).length).map((kind) => html`
          <div key=${kind}>
            <dt>${t(`receipt.${kind}`)}</dt>
            <dd>${of(kind).length ? html`<ul>${of(kind).map((line) => html`<li>${line.text}</li>`)}</ul>` : t("receipt.nothing")}</dd>
          </div>`)}
        ${words.notes.length > 0 && html`<div><dt>${t("receipt.notes")}</dt><dd><ul>${words.notes.map((note) => html`<li>${note}</li>`)}</ul></dd></div>`}
      </dl>
      ${words.took && html`<p class="quiet">${words.took}</p>`}
      <details><summary>${t("receipt.raw")}</summary><pre tabindex="0">${JSON.stringify(receipt, null, 2)}</pre></details>
    </section>`;
}

function Facts({ item }) {
  const { facts } = item;
  const rows = [
    ["facts.original", `${item.file_name}, ${bytes(item.file_size)}`],
    ["facts.type", item.conversion_type],
    ["facts.client", item.client_id],
    ["facts.added", exactly(item.created_at)],
    ["facts.finished", item.finished_at && exactly(item.finished_at)],
    ["facts.attempt", item.attempt > 1 && String(item.attempt)],
    ["facts.length", facts?.duration_s > 0 && length(facts.duration_s)],
    ["facts.picture", facts?.width > 0 && `${facts.width} × ${facts.height}`],
    ["facts.codecs", [facts?.video_codec, facts?.audio_codec].filter(Boolean).join(", ")],
    ["facts.recorded", facts?.recorded_at && exactly(facts.recorded_at)],
    ["facts.sha512", (item.result ?? item).sha512_checksum],
  ];
  return html`
    <section class="facts" aria-labelledby="facts-title">
      <h3 id="facts-title">${t("facts.title")}</h3>
      <dl>${rows.filter(([, value]) => value).map(([key, value]) => html`
        <div key=${key}><dt>${t(key)}</dt><dd class=${key === "facts.sha512" ? "digest" : ""}>${value}</dd></div>`)}</dl>
      ${item.result?.sidecars?.length > 0 && html`
        <p>${t("facts.sidecars")}</p>
        <ul>${item.result.sidecars.map((each) => html`<li><a href=${each.url} download=${each.file_name}>${each.file_name}</a></li>`)}</ul>`}
    </section>`;
}
