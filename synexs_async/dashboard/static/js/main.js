/* Which page is shown: the address's part behind "#" says it, so that the server may be mounted anywhere. */

import { h } from "./dom.js";
import { Refused, Unreachable, pause, showLink } from "./server.js";
import { missionPage } from "./mission-page.js";
import { runPage } from "./run-page.js";
import { runsPage } from "./runs-page.js";

const main = document.getElementById("main");
let leaving = new AbortController();
let shown = null;

function pageOf(parts, query) {
  if (parts[0] === "run" && parts[2] === "mission") return [missionPage, parts[1], parts[3]];
  if (parts[0] === "run" && parts[1]) return [runPage, parts[1], query];
  return [runsPage];
}

async function show() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  if (path === shown) return;
  const isFirst = shown === null;
  shown = path;
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  let content;
  try {
    const [page, ...parameters] = pageOf(path.split("/").map(decodeURIComponent), new URLSearchParams(query));
    content = await page(signal, ...parameters);
  } catch (error) {
    if (signal.aborted) return;
    content = failurePage(error);
    if (error instanceof Unreachable) {
      showLink("lost", "No answer");
      pause(2000).then(() => { if (!signal.aborted) showAnew(); });
    } else showLink("live", "Connected");
  }
  if (signal.aborted) return;
  main.replaceChildren(...content);
  const heading = main.querySelector("h1");
  heading.tabIndex = -1;
  document.title = `${heading.textContent} · synexs`;
  if (!isFirst) {
    scrollTo(0, 0);
    heading.focus({ preventScroll: true });
  }
  dispatchEvent(new Event("pageshown"));
}

function showAnew() {
  shown = null;
  show();
}

function failurePage(error) {
  let [title, text] = ["This page can't be shown", error.message];
  if (error instanceof Unreachable) [title, text] = ["No answer yet", `${error.message}. It is asked again until there is one.`];
  else if (error instanceof Refused || error instanceof URIError) title = "Not here";
  else reportError(error);
  return [
    h("div", { class: "head" }, h("h1", null, title)),
    h("p", { class: "notice", data: { tone: "failure" } }, text),
    h("p", null, h("a", { href: "#/" }, "All runs")),
  ];
}

/* The token has become a cookie; it need not stay in the address. */
const address = new URL(location.href);
if (address.searchParams.has("token")) {
  address.searchParams.delete("token");
  history.replaceState(null, "", address);
}
addEventListener("hashchange", show);
addEventListener("pagestale", showAnew);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();  // the part behind "#" is the page's name
  main.focus();
});
show();
