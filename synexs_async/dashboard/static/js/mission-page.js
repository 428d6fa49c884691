/* One mission, step by step, whatever its kind. */

import { h, pill, setPill } from "./dom.js";
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
    panel("Record", h("details", null, h("summary", null, "As it stands in the journal"), h("pre", { tabindex: "0" }, JSON.stringify(record, null, 2)))),
  ].filter(Boolean);
}

function panel(title, content) {
  return content && h("section", { class: "panel", "aria-label": title }, h("header", null, h("h2", null, title)), content);
}

/* Spaces between words that stand side by side, for those who copy or hear them. */
const spaced = (parts) => parts.filter(Boolean).flatMap((part, place) => (place ? [" ", part] : [part]));

function shownValue(value) {
  if (typeof value === "number") return number(value);
  if (value === null) return "none";
  if (Array.isArray(value)) return value.length ? value.map(shownValue).join(", ") : "none";
  if (typeof value === "object") return Object.entries(value).map(([key, inner]) => `${words(key)} ${shownValue(inner)}`).join(", ") || "none";
  return String(value);
}

function sheet(values) {
  if (!values || typeof values !== "object" || Object.keys(values).length === 0) return null;
  const entries = Object.entries(values).filter(([key]) => key !== "mission_number");
  return h("dl", { class: "sheet" }, entries.map(([key, value]) => {
    const text = shownValue(value);
    return h("div", { class: text.length > 60 ? "wide" : null }, h("dt", null, words(key)), h("dd", null, text));
  }));
}

function chips(values) {
  if (values === null || values === undefined) return null;
  if (typeof values !== "object" || Array.isArray(values)) return h("p", { class: "chips" }, h("span", { class: "chip" }, shownValue(values)));
  const entries = Object.entries(values);
  if (entries.length === 0) return null;
  return h("p", { class: "chips" }, entries.map(([key, value]) => h("span", { class: "chip" }, h("span", null, `${words(key)} `), shownValue(value))));
}

/* Messages and decisions in the order in which they happened. */
function timeline(record, summary) {
  const messages = (record.communications ?? []).map((message) => ({
    kind: "message",
    at: message.timestamp,
    line: [h("span", { class: "role" }, message.sender), h("span", { class: "arrow", "aria-label": "to" }, "→"), h("span", { class: "role" }, message.receiver), message.message_type && h("span", null, words(message.message_type))],
    chips: message.content,
    note: message.latency_ms === undefined ? null : `${number(message.latency_ms)} ms, ${message.size_bytes} bytes, information value ${number(message.information_value)}`,
  }));
  const decisions = (record.decisions ?? []).map((decision) => ({
    kind: "decision",
    at: decision.timestamp,
    line: [h("span", { class: "role" }, decision.agent), "decides:", h("span", { class: "role" }, words(decision.decision_type))],
    chips: decision.factors ?? decision.content,
    note: decision.rationale ? `because ${decision.rationale}; confidence ${number(decision.confidence)}` : null,
  }));
  if (messages.length + decisions.length === 0) return null;
  const order = { decision: 0, message: 1 };
  const events = [...messages, ...decisions].sort((one, other) => one.at - other.at || order[one.kind] - order[other.kind]);
  const row = (kind, at, content, data = {}) => h("li", { data: { kind, ...data } },
    h("span", { class: "at" }, `${at.toFixed(2)} s`), h("span", { class: "rail", "aria-hidden": "true" }), h("div", { class: "what" }, content));
  const begins = record.team_composition?.[0];
  return h("ol", { class: "timeline" },
    begins && row("begin", record.timestamp ?? 0, h("p", { class: "line" }, h("span", { class: "role" }, begins), " begins")),
    events.map((event) => row(event.kind, event.at, [h("p", { class: "line" }, spaced(event.line)), event.note && h("p", { class: "muted small" }, event.note), chips(event.chips)])),
    summary.duration !== null && row("end", summary.duration, h("p", { class: "line" }, "the mission ends: ", h("span", { class: "role" }, summary.outcome)), { outcome: summary.outcome }));
}

function stepsTable(steps) {
  if (!Array.isArray(steps) || steps.length === 0) return null;
  const isTable = steps.every((step) => step && typeof step === "object" && !Array.isArray(step));
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
  const more = h("button", { type: "button", class: "button" });
  const box = h("div", null, h("div", { class: "scroll" }, h("table", null,
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "step"), columns.map((column) => h("th", { scope: "col" }, words(column))))), body)), h("div", { class: "more" }, h("span"), more));
  const extend = () => {
    const from = body.children.length;
    const end = Math.min(from + MOST_ROWS, length);
    for (let place = from; place < end; place += 1) {
      body.append(h("tr", null, h("th", { scope: "row" }, place), valuesOf(place).map((value) => h("td", null, value === undefined ? "" : shownValue(value)))));
    }
    more.parentElement.hidden = end === length;
    more.textContent = `Show more of ${count(length)} steps`;
  };
  more.addEventListener("click", extend);
  extend();
  return box;
}

function result(value) {
  if (value === null || value === undefined) return null;
  if (typeof value !== "object" || Array.isArray(value)) return h("p", null, shownValue(value));
  const { trajectory, ...others } = value;
  return sheet(trajectory ? others : value);
}
