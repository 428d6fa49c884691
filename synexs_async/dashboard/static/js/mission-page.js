/* One mission, step by step, whatever its kind. */

import { h, hide, pill, setPill, source } from "./dom.js";
import { count, duration, lastPart, number, words } from "./format.js";
import { ask, runPath, showLink } from "./server.js";

const MOST_ROWS = 200;
const TOLD_ELSEWHERE = new Set(["mission_id", "mission_number", "timestamp", "duration", "status", "training_label", "team_composition", "communications", "decisions", "steps", "metrics", "result", "environment"]);

export async function missionPage(signal, id, text) {
  const run = `#/run/${encodeURIComponent(id)}`;
  const path = runPath(id);
  const [{ run: about }, { summary, record }] = await Promise.all([
    ask(path, {}, signal),
    ask(`${path}/missions/${encodeURIComponent(text)}`, {}, signal),
  ]);
  showLink("live", "Connected");
  const index = summary.index;
  const step = (to, word, sign) => h("a", to === null ? { class: "button", "aria-disabled": "true" } : { class: "button", href: `${run}/mission/${to}` }, sign[0], h("span", null, word), sign[1]);
  const last = about.progress ? about.progress.mission_current - 1 : index;
  const groupBy = about.progress?.group_by ?? "";
  const rest = Object.entries(record).filter(([key]) => !TOLD_ELSEWHERE.has(key));
  return [
    h("div", { class: "head" },
      h("nav", { "aria-label": "Where this page is" }, h("ol", { class: "trail" },
        h("li", null, h("a", { href: "#/" }, "All runs")), h("li", null, h("a", { href: run }, about.name)), h("li", { "aria-current": "page" }, `mission ${count(index)}`))),
      h("div", { class: "title" }, h("h1", null, `Mission ${count(index)}`), setPill(pill(), summary.outcome),
        h("nav", { class: "pager", "aria-label": "Missions beside this one" }, step(index > 0 ? index - 1 : null, "Previous", ["‹", ""]), step(index < last ? index + 1 : null, "Next", ["", "›"]))),
      h("p", { class: "facts-line" },
        summary.group && h("span", null, `${lastPart(groupBy)}: ${summary.group}`),
        summary.duration !== null && h("span", null, `${number(summary.duration)} simulated seconds`),
        typeof record.training_label === "number" && h("span", null, `label ${record.training_label}`),
        h("span", { class: "mono" }, summary.mission_id))),
    panel("Environment", sheet(record.environment)),
    panel("What happened", timeline(record, summary)),
    panel("Steps", stepsTable(record.steps)),
    panel("Steps", trajectoryTable(record.result?.trajectory)),
    h("div", { class: "pair" }, [panel("Metrics", sheet(record.metrics)), panel("Result", result(record.result))].filter(Boolean)),
    panel("Also recorded", rest.length ? sheet(Object.fromEntries(rest)) : null),
    panel("Record", source("As it stands in the journal", record)),
  ].filter(Boolean);
}

function panel(title, content) {
  return content && h("section", { class: "panel", "aria-label": title }, h("header", null, h("h2", null, title)), content);
}

/* Spaces between words that stand side by side, for those who copy or hear them. */
const spaced = (parts) => parts.filter(Boolean).flatMap((part, place) => (place ? [" ", part] : [part]));

/* An object of JSON, and no list or number of many digits. */
const hasFields = (value) => Object.getPrototypeOf(value ?? 0) === Object.prototype;

function shownValue(value) {
  if (typeof value === "number") return number(value);
  if (value === null) return "none";
  if (Array.isArray(value)) return value.length ? value.map(shownValue).join(", ") : "none";
  if (hasFields(value)) return Object.entries(value).map(([key, inner]) => `${words(key)} ${shownValue(inner)}`).join(", ") || "none";
  return String(value);
}

function sheet(values) {
  if (!hasFields(values)) return null;
  const entries = Object.entries(values).filter(([key]) => key !== "mission_number");
  if (entries.length === 0) return null;
  return h("dl", { class: "sheet" }, entries.map(([key, value]) => {
    const text = shownValue(value);
    return h("div", { class: text.length > 60 ? "wide" : null }, h("dt", null, words(key)), h("dd", null, text));
  }));
}

function chips(values) {
  if (values === null || values === undefined) return null;
  if (!hasFields(values)) return h("p", { class: "chips" }, h("span", { class: "chip" }, shownValue(values)));
  const entries = Object.entries(values);
  if (entries.length === 0) return null;
  return h("p", { class: "chips" }, entries.map(([key, value]) => h("span", { class: "chip" }, h("span", null, `${words(key)} `), shownValue(value))));
}

/* Records of block missions are what their authors made them: what is missing, or is something else, is left out. */
const listOf = (value) => (Array.isArray(value) ? value.filter(hasFields) : []);
const told = (value, text) => (Number.isFinite(Number(value ?? NaN)) ? text(number(value)) : null);

const SHOWN = {
  message: (message) => ({
    line: [message.sender && role(message.sender), h("span", { class: "arrow", "aria-label": "to" }, "→"), message.receiver && role(message.receiver), message.message_type && h("span", null, words(message.message_type))],
    note: [told(message.latency_ms, (value) => `${value} ms`), told(message.size_bytes, (value) => `${value} bytes`), told(message.information_value, (value) => `information value ${value}`)].filter(Boolean).join(", "),
    chips: message.content,
  }),
  decision: (decision) => ({
    line: [decision.agent && role(decision.agent), "decides:", decision.decision_type && role(words(decision.decision_type))],
    note: [decision.rationale && `because ${shownValue(decision.rationale)}`, told(decision.confidence, (value) => `confidence ${value}`)].filter(Boolean).join("; "),
    chips: decision.factors ?? decision.content,
  }),
  begin: (who) => ({ line: [role(who), "begins"] }),
  end: (outcome) => ({ line: ["the mission ends:", role(outcome)] }),
};

const role = (name) => h("span", { class: "role" }, shownValue(name));

/* Messages and decisions in the order in which they happened. */
function timeline(record, summary) {
  const entries = [["decision", record.decisions], ["message", record.communications]]
    .flatMap(([kind, list]) => listOf(list).map((entry) => ({ kind, at: entry.timestamp, entry })))
    .sort((one, other) => one.at - other.at || 0);
  if (entries.length === 0) return null;
  const begins = record.team_composition?.[0];
  if (begins) entries.unshift({ kind: "begin", at: record.timestamp ?? 0, entry: begins });
  if (summary.duration !== null) entries.push({ kind: "end", at: summary.duration, entry: summary.outcome });
  const list = h("ol", { class: "timeline" });
  return h("div", null, list, paged(list, entries.length, "events", (place) => {
    const { kind, at, entry } = entries[place];
    const { line, note, chips: values } = SHOWN[kind](entry);
    return h("li", { data: kind === "end" ? { kind, outcome: entry } : { kind } },
      h("span", { class: "at" }, told(at, () => `${Number(at).toFixed(2)} s`)), h("span", { class: "rail", "aria-hidden": "true" }),
      h("div", { class: "what" }, h("p", { class: "line" }, spaced(line)), note && h("p", { class: "muted small" }, note), chips(values)));
  }));
}

function stepsTable(steps) {
  if (!Array.isArray(steps) || steps.length === 0) return null;
  const isTable = steps.every(hasFields);
  const columns = isTable ? [...new Set(steps.slice(0, MOST_ROWS).flatMap(Object.keys))] : ["content"];
  return rows(columns, steps.length, (place) => (isTable ? columns.map((column) => steps[place][column]) : [steps[place]]));
}

/* A recorded episode: lists of one value a step each, observations one more. */
function trajectoryTable(trajectory) {
  if (!trajectory || !Array.isArray(trajectory.rewards)) return null;
  const columns = ["observations", "actions", "rewards", "terminated", "truncated"].filter((name) => Array.isArray(trajectory[name]));
  return rows(columns.map((name) => name.replace(/s$/, "")), trajectory.rewards.length, (place) => columns.map((name) => trajectory[name][place]));
}

function rows(columns, length, valuesOf) {
  const body = h("tbody");
  return h("div", null, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Steps as a table" }, h("table", null,
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "step"), columns.map((column) => h("th", { scope: "col" }, words(column))))), body)),
  paged(body, length, "steps", (place) =>
    h("tr", null, h("th", { scope: "row" }, place), valuesOf(place).map((value) => h("td", null, value === undefined ? "" : shownValue(value))))));
}

/* Fill a list as far as can be read at once; give a button for more where there are. */
function paged(list, length, what, makeRow) {
  const more = h("button", { type: "button", class: "button", onclick: () => extend() }, `Show more of ${count(length)} ${what}`);
  const extend = () => {
    const from = list.children.length;
    const end = Math.min(from + MOST_ROWS, length);
    for (let place = from; place < end; place += 1) list.append(makeRow(place));
    if (end < length) return;
    if (from > 0) list.children[from].tabIndex = -1;
    hide(more, list.children[from]);
    foot.hidden = true;
  };
  const foot = h("div", { class: "more" }, h("span"), more);
  extend();
  return foot;
}

function result(value) {
  if (value === null || value === undefined) return null;
  if (!hasFields(value)) return h("p", null, shownValue(value));
  const { trajectory, ...others } = value;
  return sheet(trajectory ? others : value);
}
