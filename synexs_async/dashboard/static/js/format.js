/* Numbers, spans of time and sizes as people read them. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export const count = (value) => whole.format(value);
export const number = (value) => (Math.abs(value) >= 1000 ? whole.format(value) : three.format(value));
/* How far a run is, in percent: cut off, so that 100 is the end. */
export const done = ({ progress_percent: share }) => (share < 100 ? (Math.floor(10 * share) / 10).toFixed(1) : "100");
export const percent = (part, all) => (all ? `${((100 * part) / all).toFixed(1)}%` : "–");

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  const total = Math.round(seconds);
  if (total < 60) return `${total} s`;
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => total >= size);
  const [size, unit] = parts[first];
  const rest = Math.floor((total % size) / parts[first + 1][0]);
  return `${Math.floor(total / size)} ${unit}${rest ? ` ${rest} ${parts[first + 1][1]}` : ""}`;
}

export function ago(timestamp) {
  const seconds = (Date.now() - Date.parse(timestamp)) / 1000;
  if (seconds < 3) return "just now";
  if (seconds < 86400) return `${duration(seconds < 60 ? Math.floor(seconds) : seconds).replace(/( (min|h)) .*/, "$1")} ago`;
  return new Date(timestamp).toLocaleDateString("en", { dateStyle: "medium" });
}

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return `${three.format(value)} ${units[unit]}`;
}

export const plural = (value, word) => `${count(value)} ${word}${value === 1 ? "" : "s"}`;
export const words = (name) => String(name).replaceAll("_", " ");
export const lastPart = (path) => words(path.split(".").at(-1));
