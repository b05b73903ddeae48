// @ts-check
/** The waterfall: parts put together, kept in step with the model, and taken away again without a trace. */
import { bringIntoSight } from "./actions.js";
import { codesIn, readData, typed } from "./data.js";
import { fillDetail } from "./detail.js";
import { detailSource } from "./details.js";
import { make } from "./dom.js";
import { drawBody } from "./draw.js";
import { counted, durationText } from "./format.js";
import { pressed } from "./keys.js";
import { indentOf } from "./labels.js";
import { ROW } from "./lettering.js";
import { AXIS_HEIGHT, MAP_HEIGHT, drawAxis, drawMap, paintMap } from "./minimap.js";
import { build } from "./parts.js";
import { listenBody, listenDivider, listenMap } from "./pointer.js";
import { askRows, listRows, makeRows, markCollapsed } from "./rows.js";
import { Scale } from "./scale.js";
import { applyTheme, hatching, mixed, paletteOf, themeColors, themeName, watchTheme } from "./theme.js";
import { hideTip, rowSpoken } from "./tooltip.js";

const SIDE_BY_SIDE = 860;

/** The state of one view. @param {any} model @param {HTMLElement} el @param {AbortSignal} signal */
function makeView(model, el, signal) {
  const data = readData(model);
  /** @type {any} */
  const wf = {
    model,
    el,
    signal,
    data,
    rows: makeRows(data),
    scale: new Scale(data.low, data.high),
    root: make("div", "ta-waterfall", "", { "data-lm-suppress-shortcuts": "true" }),
    canvas: make("canvas", "ta-body", "", { tabindex: "0", role: "application", "aria-roledescription": "trace waterfall" }),
    axis: make("canvas", "ta-axis", "", { role: "img", "aria-label": "Time axis" }),
    map: make("canvas", "ta-map", "", { role: "img", "aria-label": "All spans; drag to choose a range of time" }),
    mapImage: document.createElement("canvas"),
    scroller: make("div", "ta-scroll", "", { tabindex: "-1" }),
    spacer: make("div", "ta-spacer"),
    live: make("div", "ta-live", "", { "aria-live": "polite" }),
    rowHeight: ROW,
    selection: [],
    cursor: -1,
    anchor: -1,
    hover: -1,
    pointerX: -1,
    range: null,
    mapRange: null,
    dragging: false,
    focused: false,
    detailOpen: false,
    width: 0,
    bodyHeight: 0,
    chosenWidth: 0,
    ratio: 1,
    snap: (/** @type {number} */ x) => Math.round(x * wf.ratio) / wf.ratio,
    put(/** @type {string} */ key, /** @type {any} */ value) {
      model.set(key, value);
      model.save_changes();
    },
    say(/** @type {string} */ text) {
      wf.live.textContent = text;
    },
  };
  return wf;
}

/** Painting, and everything that follows a change of the model. @param {any} wf */
function equip(wf) {
  const { model, data, rows, scale, root } = wf;
  let asked = 0;
  const exported = data.tables.offline ? (model.get("filter") ?? "").trim() : null;
  wf.signal.addEventListener("abort", () => cancelAnimationFrame(asked));
  wf.redraw = () => {
    if (!asked) asked = requestAnimationFrame(wf.paint);
  };
  wf.paint = () => {
    asked = 0;
    if (wf.width <= 0 || wf.bodyHeight <= 0) return;
    wf.ratio = window.devicePixelRatio || 1;
    wf.tickStep = scale.step(wf.width < 560 ? 64 : 88);
    if (wf.mapStale) {
      wf.mapStale = false;
      paintMap(wf);
    }
    drawBody(wf);
    drawAxis(wf);
    drawMap(wf);
    const { from, to, whole } = scale;
    wf.viewText.textContent = whole ? `${durationText(to - from)} in all` : `${durationText(to - from)} from ${durationText(from)}`;
    wf.el.dataset.rowsTotal = String(rows.count);
    wf.el.dataset.painted = "1";
  };
  /** Measure, then draw at once: a resized canvas is empty. */
  wf.layout = () => {
    const all = root.clientWidth;
    if (all <= 0) return;
    root.classList.toggle("ta-stacked", all < SIDE_BY_SIDE);
    root.classList.toggle("ta-narrow", all < 560);
    const height = Math.max(160, Number(model.get("height")) || 480);
    root.style.maxHeight = `${height}px`;
    root.style.height = wf.detailOpen || !wf.help.box.hidden ? `${height}px` : "";
    wf.spacer.style.height = `${rows.count * ROW}px`;
    wf.scroller.style.height = `${(rows.shown.length || 3) * ROW}px`; // as if all were shown: it does not jump when rows are folded
    wf.width = wf.scroller.clientWidth;
    wf.bodyHeight = wf.scroller.clientHeight;
    const most = wf.width - 120;
    wf.labelWidth = Math.round(Math.max(80, Math.min(wf.chosenWidth || Math.max(150, Math.min(420, wf.width * 0.34)), most)));
    wf.indent = indentOf(wf);
    const before = scale.width;
    scale.left = wf.labelWidth;
    scale.width = Math.max(20, wf.width - wf.labelWidth - 12);
    if (before !== scale.width) wf.mapStale = true;
    wf.divider.style.left = `${wf.labelWidth - 4}px`;
    wf.corner.style.width = wf.mapCorner.style.width = `${wf.labelWidth}px`;
    wf.empty.style.top = `${AXIS_HEIGHT + MAP_HEIGHT}px`;
    cancelAnimationFrame(asked);
    wf.paint();
  };
  wf.setLabelWidth = (/** @type {number} */ width) => {
    wf.chosenWidth = width ? Math.max(80, width) : 0;
    wf.layout();
  };
  wf.filterError = () => {
    const text = (model.get("filter") ?? "").trim();
    if (!text.startsWith("{")) return "";
    if (exported !== null) return text === exported ? "" : "A filter in braces needs a running kernel; this page can search for plain text.";
    return model.get("_filter_error") ?? "";
  };
  wf.ask = () => {
    wf.highlight = model.get("highlight") ?? null;
    const filter = wf.filterError() ? "" : (model.get("filter") ?? "");
    askRows(data, rows, { filter, highlight: wf.highlight, match: typed(model.get("_match"), Uint8Array) });
    wf.mapStale = true;
    wf.list();
  };
  wf.list = () => {
    listRows(data, rows, Boolean(model.get("only")));
    hideTip(wf);
    const none = data.n === 0 || rows.count === 0 || (Boolean(model.get("only")) && !rows.all && rows.askedCount === 0);
    wf.empty.hidden = !none;
    wf.emptyText.textContent = data.n === 0 ? "There are no spans" : "No span matches";
    wf.emptyClear.hidden = data.n === 0;
    const spans = rows.count - (data.traces.length > 1 && rows.count ? data.traces.length : 0);
    wf.shownText.textContent = spans === data.n ? counted(data.n, "span") : `${spans.toLocaleString("en-US")} of ${counted(data.n, "span")}`;
    wf.toolbar.update();
    wf.layout();
  };
  wf.color = () => {
    const name = themeName(model.get("theme"));
    const theme = themeColors(data.tables, name);
    wf.theme = theme;
    wf.el.dataset.theme = name;
    applyTheme(root, theme);
    wf.dimText = mixed(theme.muted, theme.background, 0.42);
    wf.dimError = mixed(theme.error, theme.background, 0.55);
    wf.palette = paletteOf(data, {
      key: model.get("color") ?? "service",
      table: model.get("_color_table"),
      codes: codesIn(model.get("_color_code"), data.n),
      theme,
    });
    /** @type {Map<number, CanvasPattern | null>} */
    const made = new Map();
    const pen = wf.canvas.getContext("2d");
    wf.hatch = (/** @type {number} */ number, /** @type {boolean} */ dim) => {
      const key = number * 2 + (dim ? 1 : 0);
      if (!made.has(key)) made.set(key, hatching(pen, number, `${theme.edge}${dim ? "26" : "66"}`));
      return made.get(key);
    };
    wf.mapStale = true;
    wf.legend.fill();
    wf.toolbar.update();
    wf.redraw();
  };
  wf.choose = () => {
    for (const row of wf.selection) rows.selected[row] = 0;
    const list = model.get("selected_rows") ?? [];
    wf.selection = list.filter((/** @type {any} */ row) => Number.isInteger(row) && row >= 0 && row < data.n);
    for (const row of wf.selection) rows.selected[row] = 1;
    wf.cursor = wf.selection.length ? wf.selection[wf.selection.length - 1] : -1;
    wf.anchor = wf.cursor;
    if (wf.cursor >= 0) wf.say(rowSpoken(wf, wf.cursor));
    if (wf.detailOpen) wf.showDetail();
    wf.redraw();
  };
  wf.showDetail = () => {
    const row = wf.cursor;
    if (row < 0) return fillDetail(wf, -1, null);
    let quick = false;
    wf.withDetail(row, (/** @type {any} */ detail) => {
      quick = true;
      if (wf.detailOpen && wf.cursor === row) fillDetail(wf, row, detail);
    });
    if (!quick) fillDetail(wf, row, undefined);
    return undefined;
  };
  wf.openDetail = (/** @type {boolean} */ open, /** @type {boolean} */ byKey = false) => {
    if (open && wf.cursor < 0 && rows.count) {
      const first = rows.shown.find((/** @type {number} */ row) => row >= 0);
      if (first !== undefined) wf.put("selected_rows", [first]);
    }
    wf.detailOpen = open;
    wf.detailBox.hidden = !open;
    hideTip(wf);
    if (open) wf.showDetail();
    else if (byKey || root.contains(document.activeElement)) wf.canvas.focus({ preventScroll: true });
    wf.toolbar.update();
    wf.layout();
    if (wf.cursor >= 0) bringIntoSight(wf, wf.cursor);
  };
}

/** @param {any} wf */
function listen(wf) {
  const { model, root, signal } = wf;
  const heard = {
    "change:selected_rows": wf.choose,
    "change:view": () => {
      wf.scale.show(model.get("view"));
      wf.toolbar.update();
      wf.redraw();
    },
    "change:collapsed": () => {
      markCollapsed(wf.data, wf.rows, model.get("collapsed"));
      wf.list();
      if (wf.cursor >= 0) wf.say(rowSpoken(wf, wf.cursor));
    },
    "change:filter": () => {
      wf.ask();
      wf.legend.fill();
    },
    "change:_match": wf.ask,
    "change:_filter_error": wf.ask,
    "change:highlight": wf.ask,
    "change:only": wf.list,
    "change:color": wf.color,
    "change:_color_code": wf.color,
    "change:_color_table": wf.color,
    "change:theme": wf.color,
    "change:height": wf.layout,
  };
  for (const [name, run] of Object.entries(heard)) {
    model.on(name, run);
    signal.addEventListener("abort", () => model.off(name, run));
  }
  root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => pressed(wf, event), { signal });
  for (const kind of ["focus", "blur"]) {
    wf.canvas.addEventListener(kind, () => ((wf.focused = kind === "focus"), wf.redraw()), { signal });
  }
  wf.scroller.addEventListener("scroll", () => (hideTip(wf), wf.redraw()), { signal, passive: true });
  listenBody(wf, signal);
  listenMap(wf, signal);
  listenDivider(wf, wf.divider, signal);
  watchTheme(wf.color, signal);
  const sizes = new ResizeObserver(() => {
    if (root.clientWidth !== wf.lastWidth) {
      wf.lastWidth = root.clientWidth;
      wf.legend.fit();
    }
    wf.layout();
  });
  sizes.observe(root);
  sizes.observe(wf.scroller);
  signal.addEventListener("abort", () => sizes.disconnect());
}

/** @param {{model: any, el: HTMLElement}} host */
function render({ model, el }) {
  const stop = new AbortController();
  const wf = makeView(model, el, stop.signal);
  wf.highlight = model.get("highlight") ?? null;
  wf.withDetail = detailSource(wf);
  equip(wf);
  build(wf);
  wf.data.traces.length > 1 && wf.root.classList.add("ta-many");
  wf.scale.show(model.get("view"));
  markCollapsed(wf.data, wf.rows, model.get("collapsed"));
  wf.color();
  wf.ask();
  wf.choose();
  listen(wf);
  if (wf.cursor >= 0) bringIntoSight(wf, wf.cursor);
  return () => {
    stop.abort();
    wf.root.remove();
  };
}

export default { render };
