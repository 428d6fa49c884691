/* The end of a run's log, by level. */

import { h, reconcile, setText } from "./dom.js";
import { ask, asking } from "./server.js";

const LINES = 150;
const LEVELS = [["DEBUG", "all levels"], ["INFO", "INFO and up"], ["WARNING", "WARNING and up"], ["ERROR", "ERROR and up"]];

export function logPanel(path, signal) {
  const level = h("select", { onchange: () => refresh() }, LEVELS.map(([name, text]) => h("option", { value: name }, text)));
  level.value = "INFO";
  const list = h("ol");
  const box = h("div", { class: "log", hidden: true, role: "region", tabindex: "0", "aria-label": "The log's last lines" }, list);
  const state = h("p", { class: "muted small", "aria-live": "polite" });
  const node = h("section", { class: "panel", "aria-labelledby": "log-title" },
    h("header", null, h("h2", { id: "log-title" }, "Log"), h("label", { class: "field" }, h("span", { class: "hidden" }, "Least level"), level)),
    box, state);
  const show = ({ lines, more }) => {
    const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
    const seen = new Map();
    const keyed = lines.map((line) => {
      const text = `${line.timestamp} ${line.level} ${line.message}`;
      seen.set(text, (seen.get(text) ?? 0) + 1);
      return { ...line, key: `${text} ${seen.get(text)}` };
    });
    reconcile(list, keyed, (line) => line.key, makeLine, () => {});
    box.hidden = lines.length === 0;
    setText(state, lines.length ? "" : more ? "No line of this level lately." : "No line of this level.");
    if (isAtEnd) box.scrollTop = box.scrollHeight;
  };
  const refresh = asking(
    () => ask(`${path}/log`, { level: level.value, count: LINES }, signal),
    show,
    (error) => setText(state, `The log could not be read: ${error.message}`),
    signal);
  addEventListener("pageshown", () => { box.scrollTop = box.scrollHeight; }, { signal });
  return { node, refresh };
}

function makeLine({ timestamp, level, message }) {
  return h("li", { data: { level } },
    h("time", { title: timestamp }, timestamp.slice(11)),
    h("span", { class: "level" }, level),
    h("span", { class: "text" }, message));
}
