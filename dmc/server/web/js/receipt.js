// A receipt in plain words. Pure: the receipt's JSON in, lines out.

import { bytes, change, duration, length, sentence, t } from "./words.js";

/** What a person wants to know: {check, lines: [{kind: kept|changed|lost, text}], notes, took}. */
export function inPlainWords(receipt) {
  const streams = (receipt.streams ?? []).map((stream) => ({ kind: kindOf(stream), text: streamText(stream) }));
  const metadata = (receipt.metadata ?? []).map((entry) => ({
    kind: entry.outcome,
    text: entry.detail ? `${capital(entry.kind)}: ${entry.detail}` : capital(entry.kind),
  }));
  return {
    check: checkText(receipt.verification),
    passed: receipt.verification?.passed ?? false,
    size: receipt.result ? sizeText(receipt) : receipt.reason ? sentence(receipt.reason) : "",
    lines: [...streams, ...metadata],
    notes: (receipt.warnings ?? []).map(sentence),
    took: receipt.took_s ? t("receipt.took", { time: duration(receipt.took_s) }) : "",
  };
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const kindOf = (stream) => (stream.action === "copy" && stream.outcome !== "lost" ? "kept" : stream.outcome);

function sizeText({ source, result }) {
  const part = change(source.file_size, result.file_size);
  return `${bytes(source.file_size)} → ${bytes(result.file_size)}${part && ` (${part})`}`;
}

function streamText(stream) {
  const what = t("receipt.stream", { type: t(`stream.${stream.type}`), codec: stream.codec ?? t("receipt.unknownCodec") });
  const done = { copy: "receipt.copied", encode: "receipt.encoded", drop: "receipt.dropped", sidecar: "receipt.beside" }[stream.action];
  const codec = stream.after?.codec ?? "";
  const reason = sentence(stream.reason);
  // "flac becomes Opus" needs no "converted to opus" before it.
  return stream.action === "encode" && reason ? `${what}: ${reason}` : `${what}: ${t(done, { codec })}. ${reason}`.trim();
}

function checkText(check) {
  if (!check) return "";
  if (!check.passed) return t("receipt.notVerified");
  const drift = check.drift_s < 0.0005 ? "" : ` ${t("receipt.drift", { ms: String(Math.round(check.drift_s * 1000)) })}`;
  return t("receipt.verified", { frames: check.decoded_frames, time: length(check.decoded_s) }) + drift;
}
