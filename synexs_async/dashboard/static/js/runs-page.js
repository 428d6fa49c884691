/* All runs, in the order in which the server gives them. */

import { mixBar, setMix } from "./bars.js";
import { h, pill, reconcile, setPill, setText } from "./dom.js";
import { ago, count, done, duration, number, plural } from "./format.js";
import { ask, listen } from "./server.js";

export async function runsPage(signal) {
  const lead = h("p", { class: "facts-line" });
  const list = h("ol", { class: "panel runs" });
  const empty = h("div", { class: "panel empty", hidden: true },
    h("strong", null, "No runs here yet"),
    "They appear as soon as one begins: ", h("code", null, "python -m synexs_async --missions 1000"));
  let runs = [];

  const refresh = () => runs.forEach((run, place) => updateRow(list.children[place], run));
  const show = (state) => {
    runs = state.runs;
    const going = runs.filter((run) => run.status === "running").length;
    const parts = [`${plural(runs.length + state.more, "run")} in ${state.root}/`, going ? `${going} running` : "none running"];
    if (state.more) parts.push(`the ${runs.length} newest are shown`);
    setText(lead, parts.join(" · "));
    empty.hidden = runs.length > 0;
    list.hidden = runs.length === 0;
    reconcile(list, runs, (run) => run.id, makeRow, updateRow);
  };
  show(await ask("api/runs", {}, signal));
  listen("api/runs", "runs", show, signal);
  const clock = setInterval(refresh, 1000);
  signal.addEventListener("abort", () => clearInterval(clock));
  return [h("div", { class: "head" }, h("h1", null, "Runs"), lead), list, empty];
}

function makeRow(run) {
  return h("li", { class: "run" },
    h("div", { class: "what" },
      h("h2", null, h("a", { href: `#/run/${encodeURIComponent(run.id)}` }, run.name)),
      h("p", { class: "muted small" })),
    pill(),
    h("div", { class: "course" },
      mixBar(),
      h("p", { class: "figures" }, h("span"), h("span"))),
    h("p", { class: "end rate" }, h("span", { class: "number" }), h("span", { class: "muted small" }, "missions/s")),
    h("p", { class: "end time" }, h("span", { class: "number" }), h("span", { class: "muted small" })));
}

function updateRow(row, run) {
  const [what, status, course, rate, time] = row.children;
  setPill(status, run.status);
  setText(what.lastChild, `${run.mission} v${run.mission_version} · seed ${run.seed}`);
  const told = run.progress;
  const [figures, share] = course.lastChild.children;
  setMix(course.firstChild, told?.stats, told ? told.mission_current / told.mission_total : 0);
  if (!told) {
    setText(figures, "nothing told yet");
    setText(share, "");
    setText(rate.firstChild, "–");
    setText(time.firstChild, "–");
    setText(time.lastChild, "");
    return;
  }
  figures.replaceChildren(h("b", null, count(told.mission_current)), ` of ${count(told.mission_total)}`);
  setText(share, `${done(told)}%`);
  setText(rate.firstChild, number(told.rate_missions_per_sec));
  const isGoing = run.status === "running";
  setText(time.firstChild, isGoing ? duration(told.eta_seconds) : ago(told.timestamp));
  setText(time.lastChild, isGoing ? "left" : `took ${duration(told.elapsed_seconds)}`);
}
