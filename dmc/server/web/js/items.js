// What the page says about one item, and what can be done with it.

import { ITEMS, call, post } from "./api.js";
import { store } from "./store.js";
import { bytes, change, hasText, left, sentence, t } from "./words.js";

const IMAGE_PREVIEW_UP_TO = 1_500_000;

/** "video", "audio", "image" or null, of the item as the worker saw it, else by its name. */
export function mediumOf(item, types) {
  return item.media_type ?? types?.endings[item.file_name.split(".").pop().toLowerCase()] ?? null;
}

/** Where a small picture of an item is; null if there is none. */
export function posterOf(item) {
  if (item.previews?.poster_url) return item.previews.poster_url;
  const small = item.result && item.result.file_size <= IMAGE_PREVIEW_UP_TO;
  return small && /\.(webp|png|jpe?g|gif|avif)$/i.test(item.result.file_name) ? item.result.url : null;
}

/** Its status in a word or two. */
export function statusOf(item) {
  if (item.wish) return t(`wish.${item.wish}`);
  if (item.status === "finished_with_errors" && item.errors.at(-1)?.code === "cancelled") return t("status.cancelled");
  return t(`status.${item.outcome ?? item.status}`);
}

export const toneOf = (item) =>
  ({ finished_successful: "good", finished_with_errors: isCancelled(item) ? "" : "bad", in_progress: "busy" })[item.status] ?? "";

export const isCancelled = (item) => item.status === "finished_with_errors" && item.errors.at(-1)?.code === "cancelled";

const ORDINARY = ["no-free-worker", "resting", "twin-in-progress"];

/** Did somebody ask the queue to stop? */
export const isSteered = (server) => ["paused", "draining"].includes(server?.waiting?.code);

/** Does the whole queue stand still, for a reason that is not just work? */
export const isHeld = (server) => Boolean(server?.waiting) && !ORDINARY.includes(server.waiting.code);

/** How long it still takes, honestly: nothing before it is known, "finishing" when only the end of the file is missing. */
export function progressText(item, server) {
  const { progress } = item;
  if (server?.waiting?.code === "paused") return t("progress.held", { percent: `${Math.floor((progress?.fraction ?? 0) * 100)}\u00a0%` });
  if (!progress || progress.fraction === 0) return t("progress.starting");
  if (progress.fraction >= 0.995) return t("progress.finishing");
  const percent = `${Math.floor(progress.fraction * 100)}\u00a0%`;
  const parts = [percent];
  if (progress.eta_s !== null && progress.eta_s !== undefined) parts.push(left(progress.eta_s));
  if (progress.speed) parts.push(t("progress.speed", { speed: progress.speed >= 10 ? String(Math.round(progress.speed)) : progress.speed.toFixed(1) }));
  return parts.join(" · ");
}

/** Why it does not run: its place, or what the whole queue waits for. */
export function waitText(item, server) {
  if (isHeld(server)) return t("wait.queue");
  if (item.queue_position === 1) return t("wait.next");
  return item.queue_position ? t("wait.place", { place: item.queue_position }) : t("wait.some");
}

/** What became of it: "4.3 MB → 1.9 MB, 56 % smaller", or why its original was kept. */
export function outcomeText(item) {
  if (item.result) {
    const sizes = `${bytes(item.file_size)} → ${bytes(item.result.file_size)}`;
    const part = change(item.file_size, item.result.file_size);
    return part ? `${sizes}, ${part}` : sizes;
  }
  return item.reason ? sentence(item.reason) : bytes(item.file_size);
}

/** Why it failed, in words; the server wrote them. */
export function failureText(item) {
  const last = item.errors.at(-1);
  return last ? `${sentence(last.message)} ${last.hint ?? ""}`.trim() : t("failure.unknown");
}

export const typeName = (name, types) => {
  const known = types?.types.find((type) => type.name === name);
  return { name, summary: known?.summary ?? "" };
};

export const mediumName = (medium) => (hasText(`medium.${medium}`) ? t(`medium.${medium}`) : t("medium.unknown"));

// --- Wishes ---

const here = (item) => `${ITEMS}/${item.item_id}`;

export const cancel = (item) => post(`${here(item)}/cancel`);
export const retry = (item) => post(`${here(item)}/retry`);
export const restore = (item) => post(`${here(item)}/restore`);
export const remove = async (item) => (await call("DELETE", here(item))).json();
export const removeForGood = (item) => call("DELETE", `${here(item)}?for_good=true`);
export const receiptOf = async (item) => (await call("GET", `${here(item)}/receipt`)).json();
export const originalOf = (item) => `${here(item)}/original`;
/** May whoever is signed in change anything? */
export const mayWrite = () => Boolean(store.get().session?.scopes.some((scope) => scope === "write" || scope === "admin"));

export const mayCancel = (item) => mayWrite() && !item.wish && ["to_do", "in_progress"].includes(item.status);
export const mayRetry = (item) => mayWrite() && !item.wish && item.status === "finished_with_errors";
export const mayDelete = (item) => mayWrite() && item.wish !== "delete" && item.status.startsWith("finished");
