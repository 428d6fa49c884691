/* Outcomes as a bar, and in words. */

import { h } from "./dom.js";
import { count, percent, plural } from "./format.js";

export const OUTCOMES = [
  ["success", "success_count"],
  ["failure", "failure_count"],
  ["aborted", "abort_count"],
  ["error", "error_count"],
];

const NONE = Object.fromEntries(OUTCOMES.map(([, key]) => [key, 0]));

export const total = (stats) => OUTCOMES.reduce((sum, [, key]) => sum + stats[key], 0);

export const shown = (stats) => OUTCOMES.filter(([name, key]) => name !== "error" || stats[key] > 0);

/* The bar is a picture; what it says stands in its label. */
export function mixBar() {
  const segments = OUTCOMES.map(([outcome]) => h("span", { class: "segment", data: { outcome } }));
  const bar = h("div", { class: "mix", role: "img" }, h("div", { class: "fill" }, segments));
  setMix(bar);
  return bar;
}

export function setMix(bar, stats = NONE, share = 0) {
  bar.firstChild.style.width = `${100 * Math.min(share, 1)}%`;
  OUTCOMES.forEach(([, key], place) => {
    const segment = bar.firstChild.children[place];
    segment.style.flexGrow = stats[key];
    segment.hidden = stats[key] === 0;
  });
  const all = total(stats);
  const mix = shown(stats).map(([name, key]) => `${name} ${percent(stats[key], all)}`).join(", ");
  bar.setAttribute("aria-label", all ? `${plural(all, "mission")}: ${mix}` : "no missions yet");
}

export function mixLegend(stats) {
  const all = total(stats);
  return shown(stats).map(([outcome, key]) =>
    h("span", { data: { outcome } }, h("span", { class: "swatch" }), `${outcome} `, h("b", null, percent(stats[key], all)), ` · ${count(stats[key])}`));
}
