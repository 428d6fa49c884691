/* One run: how it stands, how it went, its missions, its log. */

import { mixBar, mixLegend, setMix, shown, total } from "./bars.js";
import { Chart } from "./charts.js";
import { announce, h, pill, reconcile, setPill, setText, source } from "./dom.js";
import { ago, bytes, count, done, duration, lastPart, number, percent } from "./format.js";
import { logPanel } from "./log-panel.js";
import { missionsPanel } from "./missions-panel.js";
import { ask, asking, listen, runPath } from "./server.js";

export async function runPage(signal, id, query) {
  const path = runPath(id);
  const { run: first, identity, identity_digest: digest } = await ask(path, {}, signal);
  const head = makeHead(first, identity);
  const hero = makeHero();
  const outcomes = makeOutcomes();
  const charts = makeCharts();
  const curves = h("div", { class: "pair", hidden: true }, charts.map((chart) => chart.figure));
  const log = logPanel(path, signal);
  const missions = missionsPanel(path, id, query, signal);
  let run = first;
  let seen = { identity: digest };
  let saidAt = null;

  const showSeries = (series) => {
    curves.hidden = series.time.length === 0;
    charts.forEach((chart) => chart.show(series));
  };
  const refreshSeries = asking(() => ask(`${path}/series`, {}, signal), showSeries, () => {}, signal);
  const showRun = (now) => {
    run = now;
    for (const part of [head, hero, outcomes, missions]) part.show(run);
  };
  const show = (news) => {
    if (news.identity !== seen.identity) {
      dispatchEvent(new Event("pagestale"));  // another run has taken the folder
      return;
    }
    showRun(news.run);
    if (news.series !== seen.series) refreshSeries();
    if (news.log !== seen.log) log.refresh();
    seen = news;
    const tenth = `${run.status} ${Math.floor((run.progress?.progress_percent ?? 0) / 10)}`;
    if (saidAt !== null && tenth !== saidAt) announce(`${run.name}: ${run.status}, ${Math.floor(run.progress?.progress_percent ?? 0)}% done`);
    saidAt = tenth;
  };

  showRun(first);
  listen(path, "run", show, signal);
  const clock = setInterval(() => head.tick(run), 1000);
  signal.addEventListener("abort", () => {
    clearInterval(clock);
    charts.forEach((chart) => chart.close());
  });
  return [head.node, head.notice, hero.node, outcomes.node,
    curves, missions.node, log.node, makeIdentity(identity)];
}

function makeHead(run, identity) {
  const status = pill();
  const told = h("span");
  const notice = h("p", { class: "notice" });
  const node = h("div", { class: "head" },
    h("nav", { "aria-label": "Where this page is" }, h("ol", { class: "trail" }, h("li", null, h("a", { href: "#/" }, "All runs")), h("li", { "aria-current": "page" }, run.name))),
    h("div", { class: "title" }, h("h1", null, run.name), status),
    h("p", { class: "facts-line" },
      h("span", null, `${run.mission} mission, version ${run.mission_version}`),
      h("span", null, `seed ${run.seed}`),
      h("span", null, `${identity.batch_size} missions a batch`),
      h("span", null, run.team_id),
      told));
  const tick = (now) => {
    const place = now.progress ? `process ${now.progress.pid}${now.progress.host ? ` on ${now.progress.host}` : ""}, told ${ago(now.progress.timestamp)}` : "";
    setText(told, place);
  };
  const show = (now) => {
    setPill(status, now.status);
    const [tone, text] = remark(now);
    notice.dataset.tone = tone;
    setText(notice, text);
    tick(now);
  };
  return { node, notice, show, tick };
}

/* What somebody who finds a run like this wants to know. */
function remark(run) {
  const kept = run.progress ? `${count(run.progress.mission_current)} of ${count(run.progress.mission_total)} missions are kept` : "";
  switch (run.status) {
    case "interrupted": return ["aborted", `It was told to stop: ${kept}. The same command goes on from there.`];
    case "failed": return ["failure", `It stopped on an error, which its log tells below: ${kept}. The same command tries again from there.`];
    case "lost": return ["error", `It says that it is running, but its process is gone, or was silent for a minute: ${kept}. The same command goes on from there.`];
    case "waiting": return ["", "It has not told anything yet."];
    default: return ["", ""];
  }
}

function makeHero() {
  const figure = h("span");
  const of = h("p", { class: "of" });
  const bar = mixBar();
  const saved = h("span", { class: "saved", hidden: true });
  bar.append(saved);
  const legend = h("p", { class: "legend" });
  const values = new Map(["Missions/s", "Time left", "Working time", "Loop delay", "Memory", "Batches", "Blocks waiting", "Batches waiting"].map((name) => [name, h("dd", null, "–")]));
  const node = h("section", { class: "panel hero", "aria-label": "Progress" },
    h("div", { class: "hero-top" }, h("p", { class: "percent" }, figure, h("small", null, "%")), of),
    bar, legend,
    h("dl", { class: "tiles" }, [...values].map(([name, value]) => h("div", null, h("dt", null, name), value))));
  const set = (name, value, unit = "") => {
    const node = values.get(name);
    setText(node, "");
    node.append(value, unit ? h("small", null, ` ${unit}`) : "");
  };
  const show = ({ progress: told, status }) => {
    node.hidden = !told;
    if (!told) return;
    setText(figure, done(told));
    of.replaceChildren(h("b", null, count(told.mission_current)), ` of ${count(told.mission_total)} missions`);
    setMix(bar, told.stats, told.mission_current / told.mission_total);
    saved.hidden = status === "completed" || told.checkpoint_missions === 0;
    saved.style.left = `${(100 * told.checkpoint_missions) / told.mission_total}%`;
    legend.replaceChildren(...mixLegend(told.stats), saved.hidden ? "" : h("span", { class: "mark" }, "checkpoint ", h("b", null, count(told.checkpoint_missions))));
    set("Missions/s", number(told.rate_missions_per_sec));
    set("Time left", status === "running" ? duration(told.eta_seconds) : "–");
    set("Working time", duration(told.elapsed_seconds));
    set("Loop delay", number(told.loop_lag_ms), "ms");
    set("Memory", ...bytes(told.rss_bytes).split(" "));
    set("Batches", count(told.batches_written));
    set("Blocks waiting", count(told.blocks_waiting));
    set("Batches waiting", count(told.batches_waiting));
  };
  return { node, show };
}

function makeOutcomes() {
  const title = h("h2", null, "Outcomes");
  const headings = h("tr");
  const body = h("tbody");
  const foot = h("tfoot");
  const node = h("section", { class: "panel", "aria-label": "Outcomes" }, h("header", null, title),
    h("div", { class: "scroll" }, h("table", null, h("thead", null, headings), body, foot)));
  let columns = "";
  const show = ({ progress: told }) => {
    node.hidden = !told || total(told.stats) === 0 || Object.keys(told.groups).length === 0;
    if (node.hidden) return;  // the bar above tells all there is
    const name = lastPart(told.group_by);
    setText(title, `Outcomes by ${name}`);
    const outcomes = shown(told.stats);
    if (columns !== `${name} ${outcomes}`) {
      columns = `${name} ${outcomes}`;
      headings.replaceChildren(h("th", { scope: "col" }, name), h("th", { class: "mix-cell", "aria-hidden": "true" }),
        ...outcomes.map(([outcome]) => h("th", { scope: "col", class: "num", data: { outcome } }, h("span", { class: "swatch" }), outcome)),
        h("th", { scope: "col", class: "num" }, "missions"));
      body.replaceChildren();
      foot.replaceChildren(makeRow("all"));
    }
    reconcile(body, Object.entries(told.groups), ([group]) => group, ([group]) => makeRow(group), (row, [, stats]) => updateRow(row, stats));
    updateRow(foot.firstChild, told.stats);

    function makeRow(group) {
      return h("tr", null, h("th", { scope: "row" }, group), h("td", { class: "mix-cell", "aria-hidden": "true" }, mixBar()),
        outcomes.map(() => h("td", { class: "num" }, h("span"), h("span", { class: "share" }))), h("td", { class: "num" }));
    }

    function updateRow(row, stats) {
      const all = total(stats);
      setMix(row.querySelector(".mix"), stats, all ? 1 : 0);
      outcomes.forEach(([, key], place) => {
        const [value, share] = row.children[2 + place].children;
        setText(value, count(stats[key]));
        setText(share, percent(stats[key], all));
      });
      setText(row.lastChild, count(all));
    }
  };
  return { node, show };
}

function makeCharts() {
  const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const axis = (value) => short.format(value);
  return [
    new Chart("Rate", [{ key: "a", label: "missions/s", filled: true, axis, values: (series) => series.rate, format: (value) => `${number(value)} missions/s` }]),
    new Chart("Loop delay", [{ key: "a", label: "longest", filled: true, axis: (value) => `${axis(value)} ms`, values: (series) => series.loop_lag_ms, format: (value) => `${number(value)} ms` }]),
    new Chart("Missions", [
      { key: "a", label: "in the journal", filled: true, axis, values: (series) => series.missions, format: count },
      { key: "b", label: "checkpoint", axis, values: (series) => series.checkpoint_missions, format: count }]),
    new Chart("Memory", [{ key: "a", label: "main process", filled: true, axis: (value) => bytes(value), values: (series) => series.rss_bytes, format: bytes }]),
  ];
}

function makeIdentity(identity) {
  return h("section", { class: "panel", "aria-label": "Identity" },
    h("header", null, h("h2", null, "Identity")),
    source("What its data set is a function of (run.json)", identity));
}
