// Every word of the page, from one file; and numbers as a person reads them.

let strings = {};

/** Read the strings; nothing may be shown before. */
export async function loadStrings() {
  strings = await (await fetch(new URL("../strings.json", import.meta.url))).json();
}

/** The text called `key`, with its {places} filled. A text with a plural is {"one", "other"} and goes by `count`. */
export function t(key, values = {}) {
  const found = strings[key];
  const text = typeof found === "object" ? (values.count === 1 ? found.one : found.other) : found;
  return (text ?? key).replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? count(values[name]) : values[name] ?? ""));
}

/** Is there a text called `key`? */
export const hasText = (key) => key in strings;

/** 12345 → "12,345", as the reader writes it. */
export const count = (number) => number.toLocaleString();

/** A capital letter in front, unless it begins with the name of a file, and a full stop at the end. */
export function sentence(text) {
  const capital = /^\S+\.\w/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(capital) || !capital ? capital : `${capital}.`;
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** 1234567 → "1.2 MB" */
export function bytes(number) {
  let value = Math.abs(number);
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const shown = unit && value < 99.95 ? value.toFixed(1).replace(/\.0$/, "") : Math.round(value);
  return `${number < 0 ? "−" : ""}${shown}\u00a0${UNITS[unit]}`;
}

/** 3725 → "1 h 2 min", 125 → "2 min 5 s" */
export function duration(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 3600) return `${Math.round(whole / 60)} min`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** 13.2 → "0:13", 3725 → "1:02:05": the length of a film. */
export function length(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, String(whole % 60).padStart(2, "0")];
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** How long something still takes, no more exact than it is known: "about 4 min left". */
export function left(seconds) {
  if (seconds < 5) return t("time.moment");
  if (seconds < 55) return t("time.left", { time: `${Math.ceil(seconds / 5) * 5} s` });
  if (seconds < 3600) return t("time.left", { time: `${Math.round(seconds / 60) || 1} min` });
  return t("time.left", { time: duration(Math.round(seconds / 300) * 300) });
}

/** How much smaller a result is: "48 % smaller", "12 % larger", or "". */
export function change(before, after) {
  const part = before ? Math.round((1 - after / before) * 100) : 0;
  if (part === 0) return "";
  return part > 0 ? t("size.smaller", { percent: part }) : t("size.larger", { percent: -part });
}

/** A moment (RFC 3339) as the reader writes it: the time of today, the day of this year, else the date. */
export function when(text, now = new Date()) {
  const moment = new Date(text);
  if (moment.toDateString() === now.toDateString()) return moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const year = moment.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return moment.toLocaleDateString([], { day: "numeric", month: "short", year });
}

/** The same with the time of day, always. */
export const exactly = (text) =>
  new Date(text).toLocaleString([], { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });

/** "2026-11" → "November 2026" */
export const month = (text) => new Date(`${text}-15T12:00:00Z`).toLocaleDateString([], { month: "long", year: "numeric" });

/** How long ago a moment was: "3 min ago". */
export function ago(text, now = new Date()) {
  const seconds = (now - new Date(text)) / 1000;
  if (seconds < 60) return t("time.now");
  if (seconds < 48 * 3600) return t("time.ago", { time: seconds < 3600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h` });
  return when(text, now);
}
