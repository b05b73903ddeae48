// @ts-check
/** The keys of the lab; one table is both what they do and what the help lists. */
import { button, make } from "./dom.js";
import { durationText } from "./format.js";

/** @param {any} lab @param {string} name @param {number} steps */
function stepBy(lab, name, steps) {
  if (lab.row < 0) return lab.select(lab.tables.main);
  const changes = lab.model.get("changes") ?? {};
  const key = lab.key();
  const before = (Object.hasOwn(changes, key) ? changes[key][name] : 0) ?? 0;
  return lab.change(lab.row, { [name]: before + steps * lab.tables.step });
}

/** @type {[string, (lab: any) => string, Record<string, (lab: any) => void>][]} what is pressed, what it means, what it does */
const LAB_KEYS = [
  ["↑ ↓", () => "choose a span", { ArrowUp: (lab) => lab.select(lab.row - 1), ArrowDown: (lab) => lab.select(lab.row + 1) }],
  ["Home End", () => "first, last span", { Home: (lab) => lab.select(0), End: (lab) => lab.select(lab.rows.length - 1) }],
  [
    "← →",
    (lab) => `${durationText(lab.tables.step)} shorter, longer`,
    { ArrowLeft: (lab) => stepBy(lab, "longer_ms", -1), ArrowRight: (lab) => stepBy(lab, "longer_ms", 1) },
  ],
  [
    "Shift + ← →",
    (lab) => `${durationText(10 * lab.tables.step)} shorter, longer`,
    { "Shift+ArrowLeft": (lab) => stepBy(lab, "longer_ms", -10), "Shift+ArrowRight": (lab) => stepBy(lab, "longer_ms", 10) },
  ],
  [
    "Alt + ← →",
    (lab) => `start ${durationText(lab.tables.step)} earlier, later; with Shift ${durationText(10 * lab.tables.step)}`,
    {
      "Alt+ArrowLeft": (lab) => stepBy(lab, "later_ms", -1),
      "Alt+ArrowRight": (lab) => stepBy(lab, "later_ms", 1),
      "Alt+Shift+ArrowLeft": (lab) => stepBy(lab, "later_ms", -10),
      "Alt+Shift+ArrowRight": (lab) => stepBy(lab, "later_ms", 10),
    },
  ],
  ["r", () => "undo the changes of the span", { r: (lab) => lab.row >= 0 && lab.reset(lab.key()) }],
  ["R", () => "undo all changes", { R: (lab) => lab.reset() }],
  ["p", () => "guess first: hide what a change does", { p: (lab) => lab.put("predict", !lab.model.get("predict")) }],
  ["Enter", () => "show what happens", { Enter: (lab) => lab.show(), " ": (lab) => lab.show() }],
  ["?", () => "this list", { "?": (lab) => lab.help.show() }],
  ["Esc", () => "close this list; let go of a bar", { Escape: (lab) => lab.help.hide() }],
];
const LAB_RUNS = new Map(LAB_KEYS.flatMap(([, , runs]) => Object.entries(runs)));

/** @param {any} lab @param {KeyboardEvent} event */
export function labKeyPressed(lab, event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.ctrlKey || event.metaKey) return;
  if ((event.key === "Enter" || event.key === " ") && target.closest("button, input")) {
    event.stopPropagation();
    return;
  }
  if (!lab.help.box.hidden && event.key !== "Escape" && event.key !== "?") return;
  const arrow = event.key.startsWith("Arrow");
  const name = arrow ? `${event.altKey ? "Alt+" : ""}${event.shiftKey ? "Shift+" : ""}${event.key}` : event.altKey ? "" : event.key;
  const run = LAB_RUNS.get(name);
  if (!run) return;
  event.preventDefault();
  event.stopPropagation();
  run(lab);
}

/** @param {any} lab */
export function labHelp(lab) {
  const box = make("div", "ta-lab-help", "", { role: "dialog", "aria-label": "Keys", tabindex: "-1" });
  box.hidden = true;
  const help = {
    box,
    show() {
      if (!box.hidden) return help.hide();
      box.hidden = false;
      return box.focus({ preventScroll: true });
    },
    hide() {
      if (box.hidden) return;
      box.hidden = true;
      lab.chart.focus({ preventScroll: true });
    },
  };
  const head = make("div", "ta-lab-help-head");
  head.append(make("strong", "", "Keys"), button("✕", "Close (Esc)", help.hide, "ta-quiet"));
  const list = make("dl", "ta-lab-keys");
  for (const [keys, means] of LAB_KEYS) list.append(make("dt", "", keys), make("dd", "", means(lab)));
  box.append(head, list);
  return help;
}
