// What failed, grouped by its cause, with one button for the group.

import { FAILURES, post, readIfThere } from "./api.js";
import { isCancelled, mayWrite } from "./items.js";
import { Act, Section, useLoaded } from "./parts.js";
import { notice } from "./store.js";
import { html, useMemo } from "./ui.js";
import { sentence, t } from "./words.js";

const CANCELLED = "cancelled";

export function Failures({ items }) {
  // Asked again whenever something failed, or failed no more.
  const mark = useMemo(
    () => [...items.values()].filter((item) => item.status === "finished_with_errors" && !isCancelled(item)).map((item) => `${item.item_id} ${item.version}`).sort().join(),
    [items],
  );
  const found = useLoaded(() => (mark ? readIfThere(FAILURES) : Promise.resolve({ groups: [] })), [mark]);
  const groups = (found?.groups ?? []).filter((group) => group.code !== CANCELLED);
  if (!groups.length) return null;
  return html`
    <${Section} id="failures" title=${t("failure.title")} count=${groups.reduce((sum, group) => sum + group.count, 0)}>
      <ul class="list">${groups.map((group) => html`<${Group} key=${group.cause} group=${group} />`)}</ul>
    <//>`;
}

function Group({ group }) {
  const retry = async () => {
    let retried = 0;
    for (let left = 1; left > 0; ) {
      const answer = await post(`${FAILURES}/${encodeURIComponent(group.cause)}/retry`);
      retried += answer.retried;
      left = answer.retried ? answer.left : 0;
    }
    notice(t("failure.retried", { count: retried }));
  };
  // What is said of one file stands for all of them.
  const message = group.message.replace(`${group.file_names[0]}: `, "").replace(group.file_names[0], t("failure.file"));
  const names = group.file_names.slice(0, 3).join(", ");
  const more = group.count - Math.min(3, group.file_names.length);
  return html`
    <li class="item failure">
      <div class="item-main">
        <p class="name"><span class="count bad">${t("failure.files", { count: group.count })}</span> ${sentence(message)}</p>
        ${group.hint && html`<p>${group.hint}</p>`}
        <p class="quiet">${names}${more > 0 && ` ${t("failure.more", { count: more })}`}</p>
      </div>
      <div class="item-actions">
        <a class="button" href="#/library?status=finished_with_errors">${t("failure.look")}</a>
        ${mayWrite() && html`<${Act} act=${retry} icon="retry" label=${group.count === 1 ? t("action.retry") : t("failure.retry", { count: group.count })} />`}
      </div>
    </li>`;
}
