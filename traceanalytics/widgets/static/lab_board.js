// @ts-check
/** What the labs of numbers share: a frame with a head, switches, help, theme; what is seen while it is to be guessed. */
import { button, make } from "./dom.js";
import { applyTheme, themeColors, themeName, watchTheme } from "./theme.js";

let boardNames = 0;

/** A name for a group of radio buttons that no other group of the page has. */
export function boardName() {
  boardNames += 1;
  return `ta-board-${boardNames}`;
}

/**
 * A frame in a cell. What is drawn is in `board.paints`, functions that are called at every change.
 * @param {{model: any, el: HTMLElement}} host
 * @param {string} className
 * @param {{narrow: number, slim: number}} widths pixels below which the controls stand above, and rows take two lines
 * @returns {any}
 */
export function openBoard({ model, el }, className, widths) {
  const stop = new AbortController();
  const { signal } = stop;
  /** @type {any} */
  const board = {
    model,
    el,
    signal,
    tables: model.get("_tables") ?? {},
    root: make("div", `ta-waterfall ta-board ${className}`, "", { "data-lm-suppress-shortcuts": "true" }),
    live: make("div", "ta-board-live", "", { "aria-live": "polite" }),
    paints: [],
    keys: [],
    shown: null,
    widths,
    width: 0,
  };
  let asked = 0;
  signal.addEventListener("abort", () => cancelAnimationFrame(asked));
  board.put = (/** @type {string} */ name, /** @type {any} */ value) => {
    model.set(name, value);
    model.save_changes();
  };
  board.paint = () => {
    cancelAnimationFrame(asked);
    asked = 0;
    for (const paint of board.paints) paint();
    el.dataset.painted = "1";
  };
  board.redraw = () => {
    if (!asked) asked = requestAnimationFrame(board.paint);
  };
  board.say = (/** @type {string} */ text) => {
    board.live.textContent = text;
  };
  board.on = (/** @type {string} */ name, /** @type {() => void} */ run) => {
    model.on(name, run);
    signal.addEventListener("abort", () => model.off(name, run));
  };
  board.theme = () => {
    const name = themeName(model.get("theme"));
    board.colors = themeColors(board.tables, name);
    el.dataset.theme = name;
    applyTheme(board.root, board.colors);
    board.redraw();
  };
  board.close = () => {
    stop.abort();
    board.root.remove();
  };
  return board;
}

/** Show the frame when everything in it is built. @param {any} board */
export function startBoard(board) {
  board.root.append(board.live, board.help.box);
  board.el.append(board.root);
  board.theme();
  fitBoard(board);
  board.paint();
  board.on("change:theme", board.theme);
  watchTheme(board.theme, board.signal);
  board.root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => boardKeyPressed(board, event), { signal: board.signal });
  const sizes = new ResizeObserver(() => {
    if (fitBoard(board)) board.paint();
  });
  sizes.observe(board.root);
  board.signal.addEventListener("abort", () => sizes.disconnect());
}

/** Take the arrangement that fits the width; whether that has changed. @param {any} board */
function fitBoard(board) {
  const width = board.root.clientWidth;
  if (width <= 0 || width === board.width) return false;
  board.width = width;
  board.root.classList.toggle("ta-board-narrow", width < board.widths.narrow);
  board.root.classList.toggle("ta-board-slim", width < board.widths.slim);
  return true;
}

/** @param {any} board @param {KeyboardEvent} event */
function boardKeyPressed(board, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  event.stopPropagation();
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.key === "Escape") return board.help.hide();
  if (target.closest("input[type=number], select, textarea") && event.key !== "?") return;
  if ((event.key === "Enter" || event.key === " ") && target.closest("button, input")) return;
  if (!board.help.box.hidden && event.key !== "?") return;
  const run = board.runs.get(event.key);
  if (!run) return;
  event.preventDefault();
  run();
}

/**
 * The line on top: title, a question, switches and buttons.
 * @param {any} board
 * @param {{title: string, question: string, tools: any[], keys: [string, string, Record<string, () => void>][]}} parts
 */
export function buildBoardHead(board, { title, question, tools, keys }) {
  const head = make("div", "ta-board-head");
  head.append(make("strong", "ta-board-title", title), make("span", "ta-muted", question));
  const box = make("div", "ta-board-tools");
  const guess = switchBox(board, "predict", "Guess first", "Hide what a change does until you have guessed (p)");
  box.append(guess, ...tools, button("?", "Keys (?)", () => board.help.show(), "ta-round"));
  head.append(box);
  board.root.append(head);
  /** @type {[string, string, Record<string, () => void>][]} */
  const all = [
    ["Tab", "next slider, number, button or choice", {}],
    ["← → ↑ ↓", "one step of a slider or number; another choice", {}],
    ["Page ↑ ↓, Home, End", "ten steps; first and last stop of a slider", {}],
    ["p", "guess first: hide what a change does", { p: () => board.put("predict", !board.model.get("predict")) }],
    ["Enter", "show what happens", { Enter: () => board.reveal() }],
    ...keys,
    ["?", "this list", { "?": () => board.help.show() }],
    ["Esc", "close this list", {}],
  ];
  board.runs = new Map(all.flatMap(([, , runs]) => Object.entries(runs)));
  board.help = boardHelp(board, all);
  board.on("change:predict", board.redraw);
}

/** @param {any} board @param {[string, string, any][]} keys */
function boardHelp(board, keys) {
  const box = make("div", "ta-board-help", "", { role: "dialog", "aria-label": "Keys", tabindex: "-1" });
  box.hidden = true;
  /** @type {any} */
  let before = null;
  const help = {
    box,
    show() {
      if (!box.hidden) return help.hide();
      before = document.activeElement;
      box.hidden = false;
      return box.focus({ preventScroll: true });
    },
    hide() {
      if (box.hidden) return;
      box.hidden = true;
      before?.focus?.({ preventScroll: true });
    },
  };
  const head = make("div", "ta-board-help-head");
  head.append(make("strong", "", "Keys"), button("✕", "Close (Esc)", help.hide, "ta-quiet"));
  const list = make("dl", "ta-board-keys");
  for (const [names, means] of keys) list.append(make("dt", "", names), make("dd", "", means));
  box.append(head, list);
  return help;
}

/** A switch for a trait that is true or false. @param {any} board @param {string} name @param {string} text @param {string} title */
export function switchBox(board, name, text, title) {
  const label = make("label", "ta-switch", "", { title });
  const box = make("input", "", "", { type: "checkbox" });
  box.addEventListener("change", () => board.put(name, box.checked));
  board.paints.push(() => {
    box.checked = Boolean(board.model.get(name));
  });
  label.append(box, make("span", "", text));
  return label;
}

/**
 * What is to be seen: what belongs to the present settings, or, while it is to be guessed, what was seen before.
 * @param {any} board
 * @param {any} now the answer
 * @param {string} key the settings as a text
 */
export function boardState(board, now, key) {
  const concealed = Boolean(board.model.get("predict")) && board.shown !== null && board.shown.key !== key;
  if (!concealed) board.shown = { now, key };
  return { now: board.shown.now, concealed };
}
