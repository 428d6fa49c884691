/* Lines over working time. Each chart has its last values in words, and a table of what it draws. */

import { h } from "./dom.js";
import { duration } from "./format.js";

const HEIGHT = 176;
const MOST_ROWS = 60;
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000, 864000, 2592000];  // seconds

/* lines: [{label, values: series => numbers, format, axis, key: "a" | "b", filled}] */
export class Chart {
  constructor(title, lines) {
    this.lines = lines;
    this.readout = h("p", { class: "readout" });
    this.plot = h("div", { class: "plot", "aria-hidden": "true" });
    this.table = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title} as a table` });
    this.details = h("details", { ontoggle: () => this.fillTable() }, h("summary", { "aria-label": `${title} as a table` }, "As a table"), this.table);
    this.figure = h("figure", { class: "panel" }, h("figcaption", null, h("h2", null, title), this.readout), this.plot, this.details);
    this.data = null;
    this.onTheme = () => this.draw();
    addEventListener("themechange", this.onTheme);
    this.observer = new ResizeObserver(() => this.chart?.setSize({ width: this.plot.clientWidth, height: HEIGHT }));
    this.observer.observe(this.plot);
  }

  close() {
    removeEventListener("themechange", this.onTheme);
    this.observer.disconnect();
    this.chart?.destroy();
  }

  show(series) {
    this.data = [series.elapsed_seconds, ...this.lines.map((line) => line.values(series))];
    if (this.chart) this.chart.setData(this.data);
    else this.draw();
    this.tell(null);
    this.fillTable();
  }

  draw() {
    this.chart?.destroy();
    this.chart = null;
    if (!this.data || this.data[0].length < 2) {
      this.plot.replaceChildren(h("p", { class: "empty small" }, "Nothing to draw yet."));
      return;
    }
    this.plot.replaceChildren();
    const colour = (name) => {
      const probe = h("span", { class: name });
      this.plot.append(probe);
      const found = getComputedStyle(probe).color;
      probe.remove();
      return found;
    };
    const muted = colour("muted");
    const grid = { stroke: muted.replace("rgb(", "rgba(").replace(")", ", 0.16)"), width: 1 };
    const axis = { stroke: muted, grid, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    this.chart = new window.uPlot({
      width: this.plot.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: "run" }, points: { size: 7 } },
      scales: { x: { time: false }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.12 : 1] } },
      axes: [
        { ...axis, size: 28, gap: 6, space: 80, incrs: STEPS, values: (_, splits) => splits.map((value) => (value === 0 ? "0" : duration(value))) },
        { ...axis, size: 62, gap: 8, space: 36, values: (_, splits) => splits.map((value) => this.lines[0].axis(value)) },
      ],
      series: [{}, ...this.lines.map((line) => {
        const stroke = colour(`series-${line.key}`);
        return {
          stroke,
          width: 1.75,
          fill: line.filled ? stroke.replace("rgb(", "rgba(").replace(")", ", 0.09)") : undefined,
          points: { show: (plot) => plot.data[0].length < 3, size: 5 },
        };
      })],
      hooks: { setCursor: [(plot) => this.tell(plot.cursor.idx)] },
    }, this.data, this.plot);
  }

  /* Say the values under the cursor, or the last ones. */
  tell(index) {
    const last = this.data[0].length - 1;
    if (last < 0) { this.readout.replaceChildren(); return; }
    const at = index ?? last;
    const parts = this.lines.map((line, place) => {
      const value = this.data[place + 1][at];
      const key = this.lines.length > 1 ? [h("span", { class: `key series-${line.key}` }), `${line.label} `] : [];
      return h("span", null, key, h("b", null, value === null ? "–" : line.format(value)));
    });
    this.readout.replaceChildren(...parts, index === null || index === undefined ? "" : h("span", null, `at ${duration(this.data[0][at])}`));
  }

  fillTable() {
    if (!this.details.open || !this.data) return;
    const step = Math.max(1, Math.ceil(this.data[0].length / MOST_ROWS));
    const places = [...this.data[0].keys()].filter((place) => place % step === 0 || place === this.data[0].length - 1);
    this.table.replaceChildren(h("table", null,
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Working time"), this.lines.map((line) => h("th", { scope: "col", class: "num" }, line.label)))),
      h("tbody", null, places.map((place) => h("tr", null,
        h("th", { scope: "row" }, duration(this.data[0][place])),
        this.lines.map((line, number) => {
          const value = this.data[number + 1][place];
          return h("td", { class: "num" }, value === null ? "–" : line.format(value));
        }))))));
  }
}
