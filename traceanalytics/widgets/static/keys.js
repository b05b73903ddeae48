// @ts-check
/** The keys: this one table drives both what they do and the list that "?" shows. */
import { collapseCursor, copySpanId, escape, fold, foldAll, foldLevel, followLink, moveCursor, nextAsked, nextTrace, scrollPages, showRange, toggleHighlight } from "./actions.js";
import { button, make } from "./dom.js";

/** @typedef {{keys: string[], says: string, run: (wf: any, event: KeyboardEvent) => void}} Key */

const fast = (/** @type {KeyboardEvent} */ event) => (event.shiftKey ? 5 : 1);
const zoom = (/** @type {any} */ wf, /** @type {number} */ factor) => showRange(wf, wf.scale.zoomed(factor));
const pan = (/** @type {any} */ wf, /** @type {number} */ share) => showRange(wf, wf.scale.panned(share));

/** @type {[string, Key[]][]} */
const KEYS = [
  [
    "Rows",
    [
      { keys: ["j"], says: "next row (shift: extend the selection)", run: (wf, e) => moveCursor(wf, 1, e.shiftKey) },
      { keys: ["k"], says: "previous row (shift: extend)", run: (wf, e) => moveCursor(wf, -1, e.shiftKey) },
      { keys: ["f"], says: "next span in question", run: (wf) => nextAsked(wf, 1) },
      { keys: ["b"], says: "previous span in question", run: (wf) => nextAsked(wf, -1) },
      { keys: ["w", "PageUp"], says: "page up", run: (wf) => scrollPages(wf, -1) },
      { keys: ["s", "PageDown"], says: "page down", run: (wf) => scrollPages(wf, 1) },
      { keys: ["Home"], says: "first row", run: (wf) => moveCursor(wf, -wf.rows.count) },
      { keys: ["End"], says: "last row", run: (wf) => moveCursor(wf, wf.rows.count) },
      { keys: ["t"], says: "next trace", run: nextTrace },
      { keys: ["g"], says: "go to the first link's target", run: followLink },
    ],
  ],
  [
    "Tree",
    [
      { keys: ["h"], says: "collapse, or go to the parent", run: collapseCursor },
      { keys: ["l"], says: "expand", run: (wf) => fold(wf, wf.cursor, false) },
      { keys: ["p"], says: "collapse one level", run: (wf) => foldLevel(wf, true) },
      { keys: ["o"], says: "expand one level", run: (wf) => foldLevel(wf, false) },
      { keys: ["]"], says: "collapse all", run: (wf) => foldAll(wf, true) },
      { keys: ["["], says: "expand all", run: (wf) => foldAll(wf, false) },
    ],
  ],
  [
    "Time",
    [
      { keys: ["a", "ArrowLeft"], says: "pan left (shift: fast)", run: (wf, e) => pan(wf, -0.1 * fast(e)) },
      { keys: ["d", "ArrowRight"], says: "pan right (shift: fast)", run: (wf, e) => pan(wf, 0.1 * fast(e)) },
      { keys: ["ArrowUp"], says: "zoom in (shift: fast)", run: (wf, e) => zoom(wf, 0.8 ** fast(e)) },
      { keys: ["ArrowDown"], says: "zoom out (shift: fast)", run: (wf, e) => zoom(wf, 1.25 ** fast(e)) },
      { keys: ["0"], says: "show all of the time", run: (wf) => showRange(wf, null) },
    ],
  ],
  [
    "View",
    [
      { keys: ["Enter"], says: "details of the span", run: (wf) => wf.openDetail(!wf.detailOpen, true) },
      { keys: ["/", "ctrl+b"], says: "search", run: (wf) => wf.toolbar.search.focus() },
      { keys: ["c"], says: "critical path", run: (wf) => toggleHighlight(wf, "critical_path") },
      { keys: ["e"], says: "errors", run: (wf) => toggleHighlight(wf, "errors") },
      { keys: ["m"], says: "matches only", run: (wf) => wf.put("only", !wf.model.get("only")) },
      { keys: ["y"], says: "copy the span id", run: copySpanId },
      { keys: ["?"], says: "this list", run: (wf) => wf.help.show(wf.help.box.hidden) },
      { keys: ["Escape"], says: "close; clear the filter, then the selection", run: escape },
    ],
  ],
];

const SIGNS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", PageUp: "PgUp", PageDown: "PgDn", Escape: "Esc" };

/** @type {Map<string, Key>} */
const BY_NAME = new Map();
for (const [, keys] of KEYS) for (const key of keys) for (const name of key.keys) BY_NAME.set(name, key);

/** @param {KeyboardEvent} event */
function keyName(event) {
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return event.ctrlKey || event.metaKey ? `ctrl+${name}` : name;
}

/** Do what a key stands for; leave alone keys of fields, of buttons and of the page. @param {any} wf @param {KeyboardEvent} event */
export function pressed(wf, event) {
  const target = /** @type {HTMLElement} */ (event.target);
  const field = target.closest("input, textarea, select");
  if (field) {
    event.stopPropagation(); // a notebook would take letters for its commands
    if (event.key === "Escape") {
      if (target === wf.toolbar.search && wf.toolbar.search.value) wf.toolbar.search.value = "", wf.put("filter", "");
      else wf.canvas.focus({ preventScroll: true });
    }
    return;
  }
  if (event.altKey || (event.key === "Enter" && target.closest("button, a"))) return;
  if (!wf.help.box.hidden && event.key !== "Escape" && event.key !== "?") return;
  const key = BY_NAME.get(keyName(event));
  if (!key) return;
  event.preventDefault();
  event.stopPropagation();
  key.run(wf, event);
}

/** The list of the keys. @param {any} wf */
export function makeHelp(wf) {
  const box = make("div", "ta-help", "", { role: "dialog", "aria-label": "Keys", tabindex: "-1" });
  const head = make("div", "ta-help-head");
  const close = button("✕", "Close", () => show(false), "ta-quiet");
  head.append(make("strong", "", "Keys"), close);
  const lists = make("div", "ta-help-lists");
  for (const [title, keys] of KEYS) {
    const part = make("section");
    part.append(make("h4", "", title));
    const list = make("dl");
    for (const { keys: names, says } of keys) {
      const term = make("dt");
      for (const name of names) term.append(make("kbd", "", SIGNS[/** @type {"Escape"} */ (name)] ?? name));
      list.append(term, make("dd", "", says));
    }
    part.append(list);
    lists.append(part);
  }
  const hint = "Drag over the bars: zoom. Shift or the middle button: pan. Ctrl + wheel: zoom. Double click: zoom to a bar, or details of a name.";
  box.append(head, lists, make("p", "ta-help-hint", hint));
  box.hidden = true;
  /** @param {boolean} visible */
  function show(visible) {
    box.hidden = !visible;
    wf.layout(); // a small trace leaves no room for the list
    if (visible) box.focus({ preventScroll: true });
    else wf.canvas.focus({ preventScroll: true });
  }
  return { box, show };
}
