/* Missions of a run: one by its number, or those that ended in a certain way. */

import { OUTCOMES, total } from "./bars.js";
import { h, hide, pill, setPill, setText } from "./dom.js";
import { count, duration, lastPart } from "./format.js";
import { ask } from "./server.js";

const PAGE = 20;
const PATIENCE = 20;  // requests for a page; each looks through as much as it can in a moment

export function missionsPanel(path, id, query, signal) {
  const address = `#/run/${encodeURIComponent(id)}`;
  const index = h("input", { type: "text", inputmode: "numeric", pattern: "[0-9]*", autocomplete: "off", placeholder: "0" });
  const outcome = h("select", null, h("option", { value: "" }, "any"), OUTCOMES.map(([name]) => h("option", { value: name }, name)));
  const group = h("select", null, h("option", { value: "" }, "any"));
  const groupName = h("span");
  const groupField = h("label", { class: "field", hidden: true }, groupName, group);
  const groupHeading = h("th", { scope: "col", hidden: true });
  const body = h("tbody");
  const table = h("table", { class: "missions" },
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "mission"), h("th", { scope: "col" }, "outcome"), groupHeading, h("th", { scope: "col", class: "num" }, "duration"))), body);
  const state = h("p", { class: "muted small", "aria-live": "polite" });
  const older = h("button", { type: "button", class: "button", onclick: () => search(false) }, "Older ones");
  let before = null;
  let searched = 0;
  let latest = 0;
  let told = null;
  let newest = -1;
  let matched = 0;
  let wanted = query.get("group") ?? "";  // which the run may not have told of yet

  const go = h("form", { class: "filters", onsubmit: (event) => {
    event.preventDefault();
    if (/^\d+$/.test(index.value.trim())) location.hash = `${address}/mission/${Number(index.value)}`;
    else index.focus();
  } }, h("label", { class: "field" }, "Mission number", index), h("button", { class: "button" }, "Open"));
  const filters = h("div", { class: "filters" }, h("label", { class: "field" }, "Outcome", outcome), groupField, go);
  const refresh = h("button", { type: "button", class: "button", hidden: true, onclick: () => search(true) }, "Show newer ones");
  const node = h("section", { class: "panel", "aria-labelledby": "missions-title" },
    h("header", null, h("h2", { id: "missions-title" }, "Missions"), refresh), filters,
    h("div", { class: "scroll" }, table), h("div", { class: "more" }, state, older));

  outcome.value = query.get("outcome") ?? "";
  group.addEventListener("change", () => { wanted = group.value; });
  for (const select of [outcome, group]) {
    select.addEventListener("change", () => {
      const chosen = new URLSearchParams([["outcome", outcome.value], ["group", wanted]].filter(([, value]) => value));
      history.replaceState(null, "", chosen.size ? `${address}?${chosen}` : address);
      search(true);
    });
  }

  async function search(anew) {
    latest += 1;
    const mine = latest;
    if (anew) {
      before = null;
      searched = 0;
      matched = matching();
      body.replaceChildren();
      older.hidden = true;
    }
    const first = body.children.length;
    const full = first + PAGE;
    try {
      for (let turn = 0; turn < PATIENCE && body.children.length < full; turn += 1) {
        setText(state, turn ? `Searching… ${count(searched)} missions looked through` : "Searching…");
        const page = await ask(`${path}/missions`, { outcome: outcome.value, group: group.value, limit: full - body.children.length, before }, signal);
        if (mine !== latest) return;
        body.append(...page.missions.map(makeRow));
        table.hidden = body.children.length === 0;
        newest = Math.max(newest, ...page.missions.map((mission) => mission.index));
        searched += page.searched;
        const isEnd = page.before === null || (before !== null && page.before >= before);
        before = isEnd ? null : page.before;
        if (isEnd) break;
      }
    } catch (error) {
      if (!signal.aborted && mine === latest) {
        setText(state, `It could not be searched: ${error.message}`);
        older.hidden = false;
      }
      return;
    }
    const next = body.children[first]?.querySelector("a");
    if (anew) hide(refresh, next);
    if (before === null) hide(older, next);
    else older.hidden = false;
    const found = body.children.length;
    const end = before === null ? "that is all of them" : `looked through ${count(searched)} so far`;
    setText(state, found ? `${count(found)} shown, newest first; ${end}` : before === null ? "No mission is like that" : `None among the last ${count(searched)}`);
  }

  /* How many missions are as the filters ask. */
  function matching() {
    const stats = group.value ? told.groups[group.value] : told.stats;
    const key = OUTCOMES.find(([name]) => name === outcome.value)?.[1];
    return key ? stats[key] : total(stats);
  }

  function makeRow(mission) {
    return h("tr", null,
      h("th", { scope: "row" }, h("a", { href: `${address}/mission/${mission.index}` }, count(mission.index))),
      h("td", null, setPill(pill(), mission.outcome)),
      h("td", { hidden: groupField.hidden }, mission.group),
      h("td", { class: "num" }, duration(mission.duration)));
  }

  let groups = "";
  const show = (run) => {
    told = run.progress;
    node.hidden = !told || told.mission_current === 0;
    if (node.hidden) return;
    let isOutdated = latest === 0;
    const names = Object.keys(told.groups).filter((name) => name !== "(other)");
    if (names.join("\n") !== groups) {
      groups = names.join("\n");
      const shown = `${group.value} ${groupField.hidden}`;
      groupField.hidden = groupHeading.hidden = names.length === 0;
      const label = lastPart(told.group_by);
      setText(groupName, label.charAt(0).toUpperCase() + label.slice(1));
      setText(groupHeading, label);
      group.replaceChildren(h("option", { value: "" }, "any"), ...names.map((name) => h("option", { value: name }, name)));
      group.value = names.includes(wanted) ? wanted : "";
      isOutdated ||= shown !== `${group.value} ${groupField.hidden}`;
    }
    if (isOutdated) search(true);
    if (told.mission_current - 1 > newest && matching() > matched) refresh.hidden = false;
  };
  return { node, show };
}
