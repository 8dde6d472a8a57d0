// Numbers in words a person reads.

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** A capital letter in front. */
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** 1234567 → "1.2 MB" */
export function bytes(count) {
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** 125 → "2 min 5 s" */
export function duration(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** How much smaller: ", 48 % smaller", or nothing. */
export function saved(before, after) {
  const part = before ? Math.round((1 - after / before) * 100) : 0;
  return part >= 1 ? `, ${part} % smaller` : "";
}
