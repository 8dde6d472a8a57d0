// The uploads of this browser as a list.

import { Icon } from "./icons.js";
import { Act, Bar, Note, Section } from "./parts.js";
import { useStore } from "./store.js";
import { html } from "./ui.js";
import { bytes, left, t } from "./words.js";

export function Sending({ uploads }) {
  const jobs = useStore((state) => state.uploads);
  if (!jobs.length) return null;
  const total = jobs.reduce((sum, job) => sum + job.size, 0);
  const sent = jobs.reduce((sum, job) => sum + job.sent, 0);
  const rate = jobs.reduce((sum, job) => sum + (job.state === "sending" ? job.rate : 0), 0);
  const asking = jobs.filter((job) => job.state === "needs-permission");
  const missing = jobs.filter((job) => job.state === "needs-file");
  const all = jobs.length > 1 && html`<${Act} act=${() => uploads.cancelAll()} icon="close" label=${t("upload.cancelAll")} />`;
  return html`
    <${Section} id="sending" title=${t("upload.title")} count=${jobs.length} actions=${all}>
      ${asking.length > 0 && html`
        <${Note} icon="folder">
          <p>${t("upload.permission", { count: asking.length })}</p>
          <${Act} act=${() => uploads.allow()} label=${t("upload.allow")} kind="main" />
        <//>`}
      ${missing.length > 0 && html`<${Note} icon="folder"><p>${t("upload.missing", { count: missing.length })}</p><//>`}
      ${jobs.length > 1 && html`
        <div class="total">
          <${Bar} value=${total ? sent / total : 0} label=${t("upload.total")} />
          <span class="quiet">${t("upload.sum", { sent: bytes(sent), total: bytes(total) })}${rate > 0 && ` · ${left((total - sent) / rate)}`}</span>
        </div>`}
      <ul class="list">${jobs.map((job) => html`<${Row} key=${job.id} job=${job} uploads=${uploads} />`)}</ul>
    <//>`;
}

function Row({ job, uploads }) {
  const bar = ["sending", "checking", "retrying", "waiting"].includes(job.state);
  return html`
    <li class="item" data-key=${job.id}>
      <span class="item-icon"><${Icon} name="upload" /></span>
      <div class="item-main">
        <p class="name">${job.path && html`<span class="quiet">${job.path}/</span>`}${job.name}</p>
        <p class="quiet">${t("item.to", { type: job.type })} · ${stateText(job)}</p>
        ${bar && html`<${Bar} value=${job.size ? job.sent / job.size : 0} label=${t("upload.progressOf", { name: job.name })} />`}
        ${job.problem && html`<p class="bad">${job.problem}</p>`}
      </div>
      <div class="item-actions">
        ${job.state === "refused" && html`<${Act} act=${async () => uploads.again(job.id)} icon="retry" label=${t("action.retry")} />`}
        <${Act} act=${() => uploads.cancel(job.id)} icon="close" title=${t("upload.cancelOf", { name: job.name })} small kind="quiet" />
      </div>
    </li>`;
}

function stateText(job) {
  const sizes = t("upload.sum", { sent: bytes(job.sent), total: bytes(job.size) });
  if (job.state !== "sending") return job.state === "retrying" ? `${t("upload.retrying")} · ${sizes}` : t(`upload.${job.state}`);
  if (!job.rate) return sizes;
  return `${sizes} · ${t("upload.rate", { rate: bytes(job.rate) })} · ${left((job.size - job.sent) / job.rate)}`;
}
