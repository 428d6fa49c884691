/* Building what is shown: elements, never HTML from text. */

const SVG = "http://www.w3.org/2000/svg";

export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

function svg(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/* Set text only where it changes, so that selections and screen readers are left in peace. */
export function setText(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

/* Let rows of a list follow its items by key; what stays is kept, with its focus. */
export function reconcile(list, items, keyOf, make, update) {
  const focused = document.activeElement;
  const there = new Map([...list.children].map((node) => [node.dataset.key, node]));
  const nodes = items.map((item) => {
    const key = String(keyOf(item));
    const node = there.get(key) ?? make(item);
    there.delete(key);
    node.dataset.key = key;
    update(node, item);
    return node;
  });
  for (const node of there.values()) node.remove();
  nodes.forEach((node, place) => {
    if (list.children[place] !== node) list.insertBefore(node, list.children[place] ?? null);
  });
  if (list.contains(focused)) focused.focus({ preventScroll: true });  // a node that moves loses it
}

/* Hide a button; where it was pressed by keyboard, that goes on at what it brought. */
export function hide(button, next) {
  if (document.activeElement === button) next?.focus();
  button.hidden = true;
}

/* A value as JSON, written when somebody wants to see it. */
export function source(title, value) {
  const pre = h("pre", { tabindex: "0" });
  return h("details", { ontoggle: () => { pre.textContent ||= JSON.stringify(value, null, 2); } }, h("summary", null, title), pre);
}

export function announce(text) {
  setText(document.getElementById("announcer"), text);
}

const GLYPHS = {
  running: [["circle", { cx: 8, cy: 8, r: 5, class: "solid" }]],
  completed: [["path", { d: "M3 8.5 6.5 12 13 4.5" }]],
  interrupted: [["path", { d: "M5.5 3.5v9M10.5 3.5v9" }]],
  failed: [["path", { d: "M4 4l8 8M12 4l-8 8" }]],
  lost: [["path", { d: "M5 6a3 3 0 1 1 4.3 2.7C8.3 9.2 8 9.7 8 10.5M8 13.2v.1" }]],
  waiting: [["circle", { cx: 8, cy: 8, r: 5.5 }], ["path", { d: "M8 5v3l2 1.5" }]],
  success: [["path", { d: "M3 8.5 6.5 12 13 4.5" }]],
  failure: [["path", { d: "M4 4l8 8M12 4l-8 8" }]],
  aborted: [["circle", { cx: 8, cy: 8, r: 5.5 }], ["path", { d: "M4.2 4.2l7.6 7.6" }]],
  error: [["path", { d: "M8 2.5v7M8 13v.1" }]],
};
const TONES = { running: "running", completed: "success", interrupted: "aborted", failed: "failure", lost: "error", waiting: "neutral" };

/* How a run stands, or a mission ended: a word, a sign and a colour. */
export function pill() {
  return h("span", { class: "pill" }, svg("svg", { class: "glyph", viewBox: "0 0 16 16", "aria-hidden": "true" }), h("span"));
}

export function setPill(node, name) {
  if (node.dataset.name === name) return node;
  node.dataset.name = name;
  node.dataset.tone = TONES[name] ?? name;
  node.firstChild.replaceChildren(...(GLYPHS[name] ?? []).map(([tag, properties]) => svg(tag, properties)));
  node.lastChild.textContent = name;
  return node;
}
