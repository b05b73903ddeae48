// @ts-check
/** What can be done, by mouse or by key. State that others share goes through the model; what is one view's stays here. */
import { copyText } from "./dom.js";
import { ROW } from "./lettering.js";
import { collapsedBy, nextLevel } from "./rows.js";

/** @param {any} wf @param {[number, number] | null} range */
export function showRange(wf, range) {
  const { low, high } = wf.scale;
  const all = !range || (range[0] <= low && range[1] >= high);
  wf.put("view", all ? null : range);
}

/** @param {any} wf @param {number} row */
export function zoomToRow(wf, row) {
  const { start, end } = wf.data;
  const from = start[row];
  if (Number.isNaN(from)) return;
  const to = Number.isNaN(end[row]) ? wf.scale.high : Math.max(end[row], from);
  const margin = (to - from || (wf.scale.to - wf.scale.from) * 0.02) * 0.05;
  showRange(wf, wf.scale.inside(from - margin, to + margin));
}

/** @param {any} wf @param {number} row @param {"one" | "toggle" | "range"} [how] */
export function select(wf, row, how = "one") {
  const before = wf.selection;
  if (how === "toggle") {
    wf.put("selected_rows", before.includes(row) ? before.filter((/** @type {number} */ r) => r !== row) : [...before, row]);
    return;
  }
  const anchor = how === "range" && before.length ? wf.rows.place[wf.anchor >= 0 ? wf.anchor : wf.cursor] : -1;
  const at = wf.rows.place[row];
  if (anchor >= 0 && at >= 0) {
    const list = [];
    const step = anchor < at ? 1 : -1;
    for (let p = anchor; p !== at + step; p += step) if (wf.rows.shown[p] >= 0) list.push(wf.rows.shown[p]);
    const kept = wf.anchor;
    wf.put("selected_rows", list);
    wf.anchor = kept >= 0 ? kept : list[0];
    return;
  }
  wf.put("selected_rows", [row]);
}

/** Select a row and bring it into sight, opening what it is hidden in. @param {any} wf @param {number} row */
export function goTo(wf, row) {
  if (!(row >= 0 && row < wf.data.n)) return;
  reveal(wf, row);
  select(wf, row);
  bringIntoSight(wf, row);
}

/** @param {any} wf @param {number} row */
function reveal(wf, row) {
  const { data, rows } = wf;
  const up = new Set();
  for (let above = data.parent[row]; above >= 0; above = data.parent[above]) if (rows.collapsed[above]) up.add(above);
  if (up.size) wf.put("collapsed", collapsedBy(data, rows, (r, was) => was && !up.has(r)));
  if (rows.place[row] < 0 && wf.model.get("only")) wf.put("only", false);
}

/** @param {any} wf @param {number} row */
export function bringIntoSight(wf, row) {
  const at = wf.rows.place[row];
  if (at < 0) return;
  const { scroller, bodyHeight } = wf;
  const top = at * ROW;
  if (top < scroller.scrollTop) scroller.scrollTop = top - Math.min(2 * ROW, bodyHeight / 3);
  else if (top + ROW > scroller.scrollTop + bodyHeight) {
    scroller.scrollTop = top + ROW - bodyHeight + Math.min(2 * ROW, bodyHeight / 3);
  }
  wf.redraw();
}

/** Move the cursor among the rows that are shown. @param {any} wf @param {number} by @param {boolean} [extend] */
export function moveCursor(wf, by, extend = false) {
  const { rows } = wf;
  let at = wf.cursor >= 0 ? rows.place[wf.cursor] : -1;
  if (at < 0) at = Math.floor(wf.scroller.scrollTop / ROW) - (by > 0 ? 1 : -1);
  const step = Math.sign(by);
  for (let left = Math.abs(by); left > 0; ) {
    let next = at + step;
    while (next >= 0 && next < rows.count && rows.shown[next] < 0) next += step;
    if (next < 0 || next >= rows.count) break;
    at = next;
    left -= 1;
  }
  const row = rows.shown[Math.max(0, Math.min(at, rows.count - 1))];
  if (!(row >= 0)) return;
  select(wf, row, extend ? "range" : "one");
  bringIntoSight(wf, row);
}

/** The next row in question, after the last one the first again. @param {any} wf @param {number} step */
export function nextAsked(wf, step) {
  const { rows, data } = wf;
  if (rows.all) return moveCursor(wf, step);
  let row = wf.cursor >= 0 ? wf.cursor : step > 0 ? -1 : data.n;
  for (let tried = 0; tried < data.n; tried += 1) {
    row = (row + step + data.n) % data.n;
    if (rows.asked[row]) return goTo(wf, row);
  }
  return wf.say("No span matches");
}

/** @param {any} wf @param {number} row @param {boolean} [collapse] */
export function fold(wf, row, collapse = !wf.rows.collapsed[row]) {
  const { data, rows } = wf;
  if (!(row >= 0) || data.below[row] === row + 1 || (rows.collapsed[row] === 1) === collapse) return;
  wf.put("collapsed", collapsedBy(data, rows, (r, was) => (r === row ? collapse : was)));
}

/** h: collapse, or go to the parent. @param {any} wf */
export function collapseCursor(wf) {
  const { data, rows, cursor } = wf;
  if (cursor < 0) return;
  if (data.below[cursor] > cursor + 1 && !rows.collapsed[cursor]) fold(wf, cursor, true);
  else if (data.parent[cursor] >= 0) goTo(wf, data.parent[cursor]);
}

/** @param {any} wf @param {boolean} collapse */
export function foldAll(wf, collapse) {
  wf.put("collapsed", collapse ? collapsedBy(wf.data, wf.rows, () => true) : []);
  keepCursor(wf);
}

/** @param {any} wf @param {boolean} collapse */
export function foldLevel(wf, collapse) {
  const { data, rows } = wf;
  const level = nextLevel(data, rows, collapse);
  if (level < 0) return;
  wf.put("collapsed", collapsedBy(data, rows, (r, was) => (data.depth[r] === level && rows.place[r] >= 0 ? collapse : was)));
  keepCursor(wf);
}

/** Where the cursor's row was hidden, its nearest ancestor in sight takes over. @param {any} wf */
function keepCursor(wf) {
  const { data, rows } = wf;
  let row = wf.cursor;
  while (row >= 0 && rows.place[row] < 0) row = data.parent[row];
  if (row < 0) return;
  if (row !== wf.cursor) select(wf, row);
  bringIntoSight(wf, row);
}

/** @param {any} wf @param {number} pages */
export function scrollPages(wf, pages) {
  wf.scroller.scrollTop += pages * Math.max(ROW, wf.bodyHeight - 2 * ROW);
}

/** @param {any} wf */
export function nextTrace(wf) {
  const { traces, trace } = wf.data;
  if (!traces.length) return;
  const now = wf.cursor >= 0 ? trace[wf.cursor] : -1;
  const next = (now + 1) % traces.length;
  goTo(wf, traces[next].first_row);
  wf.scroller.scrollTop = Math.max(0, (wf.rows.place[traces[next].first_row] - 1) * ROW);
}

/** @param {any} wf */
export function followLink(wf) {
  if (wf.cursor < 0) return;
  wf.withDetail(wf.cursor, (/** @type {any} */ detail) => {
    const target = (detail?.links ?? []).find((/** @type {any} */ link) => Number.isInteger(link.row) && link.row >= 0);
    if (target) goTo(wf, target.row);
    else wf.say(detail?.links?.length ? "The linked span is not among these rows" : "This span has no link");
  });
}

/** @param {any} wf */
export function copySpanId(wf) {
  if (wf.cursor < 0) return;
  wf.withDetail(wf.cursor, async (/** @type {any} */ detail) => {
    const text = detail?.span_id;
    if (!text) wf.say("The span id is not known here");
    else wf.say((await copyText(text, wf.root)) ? `Copied span id ${text}` : "The page may not copy");
  });
}

/** @param {any} wf @param {"critical_path" | "errors"} what */
export function toggleHighlight(wf, what) {
  wf.put("highlight", wf.highlight === what ? null : what);
}

/** Close what lies above the rows, else clear the filter. @param {any} wf */
export function escape(wf) {
  if (!wf.help.box.hidden) wf.help.show(false);
  else if (wf.detailOpen) wf.openDetail(false);
  else if (wf.model.get("filter")) wf.put("filter", "");
  else if (wf.selection.length) wf.put("selected_rows", []);
}
