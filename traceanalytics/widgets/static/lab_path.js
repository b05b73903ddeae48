// @ts-check
/** The lab of the critical path: spans to drag, and what follows. The kernel runs the trace again; this draws what it says. */
import { button, make, visible } from "./dom.js";
import { listenLabBars } from "./lab_drag.js";
import { labHelp, labKeyPressed } from "./lab_keys.js";
import { buildLabRows, paintLabRows } from "./lab_rows.js";
import { labState } from "./lab_state.js";
import { applyTheme, themeColors, themeName, watchTheme } from "./theme.js";

/** @param {number} ms @param {number} step */
function labMs(ms, step) {
  const digits = Math.max(0, -Math.round(Math.log10(step)));
  const text = Math.abs(ms).toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return ms < 0 && /[1-9]/.test(text) ? `−${text}` : text;
}

/** The line on top: title, switches, buttons. @param {any} lab */
function buildLabHead(lab) {
  const { tables, root } = lab;
  const head = make("div", "ta-lab-head");
  const title = visible(tables.rows[tables.main]?.name ?? "");
  head.append(make("strong", "ta-lab-title", title, { title }), make("span", "ta-muted", "What does it wait for?"));
  const tools = make("div", "ta-lab-tools");
  const label = make("label", "ta-switch", "", { title: "Hide what a change does until you have guessed (p)" });
  lab.predictBox = make("input", "", "", { type: "checkbox" });
  lab.predictBox.addEventListener("change", () => lab.put("predict", lab.predictBox.checked));
  label.append(lab.predictBox, make("span", "", "Guess first"));
  lab.resetOne = button("Reset span", "Undo the changes of the selected span (r)", () => lab.reset(lab.key()));
  lab.resetAll = button("Reset all", "Undo all changes (R)", () => lab.reset());
  tools.append(label, lab.resetOne, lab.resetAll, button("?", "Keys (?)", () => lab.help.show(), "ta-round"));
  head.append(tools);
  root.append(head);
}

/** The answer: total, difference, sentence. @param {any} lab */
function buildLabResult(lab) {
  const box = make("div", "ta-lab-result");
  lab.totalText = make("span", "ta-lab-total");
  lab.deltaText = make("span", "ta-lab-delta");
  lab.wasText = make("span", "ta-muted");
  lab.effect = make("span", "ta-lab-effect");
  lab.reveal = button("Show what happens", "Show what happens (Enter)", () => lab.show(), "ta-lab-reveal");
  const numbers = make("div", "ta-lab-numbers");
  numbers.append(lab.totalText, lab.deltaText, lab.wasText);
  box.append(numbers, lab.effect, lab.reveal);
  lab.root.append(box);
}

/** @param {any} lab */
function paintLabResult(lab) {
  const { tables, now } = lab.state;
  const step = tables.step;
  const by = now.total - tables.total;
  const changed = Math.abs(by) > 1e-6;
  lab.root.classList.toggle("ta-lab-hidden", lab.state.concealed);
  lab.totalText.textContent = lab.state.concealed ? "? ms" : `${labMs(now.total, step)} ms`;
  lab.deltaText.textContent = lab.state.concealed || !changed ? "" : `${by > 0 ? "+" : ""}${labMs(by, step)} ms`;
  lab.deltaText.dataset.sign = by > 0 ? "more" : "less";
  lab.wasText.textContent = lab.state.concealed || changed ? `was ${labMs(tables.total, step)} ms` : "in all";
  lab.reveal.hidden = !lab.state.concealed;
  lab.effect.textContent = lab.notice || (lab.state.concealed ? "How long does it take now? Guess." : visible(now.why ?? ""));
  lab.effect.classList.toggle("ta-failed", Boolean(lab.notice));
  lab.foot.textContent = lab.footText();
  lab.foot.classList.toggle("ta-muted", lab.row < 0);
  lab.resetOne.disabled = !Object.hasOwn(lab.state.changes, lab.key());
  lab.resetAll.disabled = !Object.keys(lab.state.changes).length;
  lab.predictBox.checked = Boolean(lab.model.get("predict"));
}

/** What a view can do. @param {any} lab */
function equipLab(lab) {
  const { model, tables } = lab;
  let asked = 0;
  lab.signal.addEventListener("abort", () => cancelAnimationFrame(asked));
  lab.put = (/** @type {string} */ name, /** @type {any} */ value) => {
    model.set(name, value);
    model.save_changes();
  };
  lab.redraw = () => {
    if (!asked) asked = requestAnimationFrame(lab.paint);
  };
  lab.paint = () => {
    asked = 0;
    lab.state = labState(lab);
    lab.row = tables.rows.findIndex((/** @type {any} */ row) => row.key === model.get("selected"));
    paintLabRows(lab);
    paintLabResult(lab);
    lab.el.dataset.painted = "1";
    lab.el.dataset.total = lab.state.concealed ? "?" : String(lab.state.now.total);
    lab.el.dataset.selected = String(lab.row);
  };
  lab.key = () => tables.rows[lab.row]?.key ?? "";
  lab.select = (/** @type {number} */ row) => {
    const key = tables.rows[Math.min(Math.max(row, 0), tables.rows.length - 1)]?.key;
    if (key !== undefined && key !== model.get("selected")) lab.put("selected", key);
  };
  /** Make a change of a span: so much longer, so much later than it was. @param {number} row @param {any} wanted */
  lab.change = (row, wanted) => {
    const span = tables.rows[row];
    if (!span || span.start === null) return;
    if (tables.offline) {
      lab.notice = "To try this out, open it in a notebook: without its kernel this page shows one state.";
      lab.say(lab.notice);
      return lab.redraw();
    }
    const all = model.get("changes") ?? {};
    const old = Object.hasOwn(all, span.key) ? all[span.key] : {};
    const fitting = (/** @type {string} */ name, /** @type {number} */ least) => {
      const value = Math.max(wanted[name] ?? old[name] ?? 0, least);
      return Number(value.toFixed(6));
    };
    const made = { longer_ms: fitting("longer_ms", span.shortest), later_ms: fitting("later_ms", span.earliest) };
    if (made.longer_ms === (old.longer_ms ?? 0) && made.later_ms === (old.later_ms ?? 0)) return;
    // Exactly as the kernel will hold it: else it sends its own form back, over a change that was made since.
    const { [span.key]: _, ...others } = all;
    const told = Object.fromEntries(Object.entries(made).filter(([, ms]) => ms));
    lab.put("changes", Object.keys(told).length ? { ...others, [span.key]: told } : others);
  };
  /** Undo the changes of a span, or all of them. @param {string} [key] */
  lab.reset = (key) => {
    if (tables.offline) return lab.change(lab.row < 0 ? tables.main : lab.row, {});
    const kept = Object.entries(model.get("changes") ?? {}).filter(([name]) => key !== undefined && name !== key);
    lab.put("changes", Object.fromEntries(kept));
  };
  lab.show = () => {
    lab.shown = null;
    lab.paint();
    lab.speak();
  };
  lab.say = (/** @type {string} */ text) => {
    lab.live.textContent = text;
  };
  lab.footText = () => {
    if (lab.row < 0) return "Select a span to read what it means for the whole.";
    if (lab.state.concealed) return `${lab.changeText()} Press Enter to see what that does.`;
    return `${lab.changeText()} ${visible(lab.state.now.texts?.[lab.row] ?? "")}`.trim();
  };
  /** What was done to the selected span. */
  lab.changeText = () => {
    const change = Object.hasOwn(lab.state.changes, lab.key()) ? lab.state.changes[lab.key()] : {};
    const said = [];
    const { longer_ms: longer = 0, later_ms: later = 0 } = change;
    if (longer) said.push(`${labMs(Math.abs(longer), tables.step)} ms ${longer > 0 ? "longer" : "shorter"}`);
    if (later) said.push(`${labMs(Math.abs(later), tables.step)} ms ${later > 0 ? "later" : "earlier"}`);
    return said.length ? `${visible(tables.rows[lab.row].name)}: ${said.join(", ")}.` : "";
  };
  lab.speak = () => {
    if (lab.dragging) return;
    const total = lab.state.concealed ? "" : visible(lab.state.now.effect ?? "");
    lab.say(`${lab.row < 0 ? "" : lab.footText()} ${total}`.trim());
  };
  lab.theme = () => {
    const name = themeName(model.get("theme"));
    lab.colors = themeColors(tables, name);
    lab.el.dataset.theme = name;
    applyTheme(lab.root, lab.colors);
    lab.redraw();
  };
}

/** @param {any} lab */
function listenLab(lab) {
  const { model, signal } = lab;
  const answered = () => {
    lab.notice = "";
    lab.paint();
    lab.speak();
  };
  const heard = { "change:_now": answered, "change:changes": lab.redraw, "change:selected": answered, "change:predict": lab.redraw, "change:theme": lab.theme };
  for (const [name, run] of Object.entries(heard)) {
    model.on(name, run);
    signal.addEventListener("abort", () => model.off(name, run));
  }
  lab.root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => labKeyPressed(lab, event), { signal });
  listenLabBars(lab, signal);
  watchTheme(lab.theme, signal);
  const sizes = new ResizeObserver(() => {
    const width = lab.root.clientWidth;
    if (width <= 0 || width === lab.width) return;
    lab.width = width;
    lab.root.classList.toggle("ta-lab-narrow", width < 640);
    lab.paint();
  });
  sizes.observe(lab.root);
  signal.addEventListener("abort", () => sizes.disconnect());
}

/** @param {{model: any, el: HTMLElement}} host */
function render({ model, el }) {
  const stop = new AbortController();
  /** @type {any} */
  const lab = {
    model,
    el,
    signal: stop.signal,
    tables: model.get("_tables") ?? {},
    root: make("div", "ta-waterfall ta-lab", "", { "data-lm-suppress-shortcuts": "true" }),
    live: make("div", "ta-lab-live", "", { "aria-live": "polite" }),
    foot: make("div", "ta-lab-foot"),
    row: -1,
    shown: null,
    dragging: false,
    notice: "",
    width: 0,
  };
  lab.tables.rows ??= [];
  equipLab(lab);
  buildLabHead(lab);
  buildLabResult(lab);
  buildLabRows(lab);
  lab.help = labHelp(lab);
  lab.root.append(lab.foot, lab.live, lab.help.box);
  el.append(lab.root);
  lab.state = labState(lab);
  lab.theme();
  lab.paint();
  listenLab(lab);
  return () => {
    stop.abort();
    lab.root.remove();
  };
}

export default { render };
