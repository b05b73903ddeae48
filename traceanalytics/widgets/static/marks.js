// @ts-check
/** Marks on the bars: the critical path below them, the events on them. */
import { BAR, BAR_TOP, ROW } from "./lettering.js";

const STRIP = 3;
let taken = new Uint8Array(4096);

/**
 * The critical path below a bar; below a collapsed one that of all rows it stands for.
 * @param {any} wf @param {CanvasRenderingContext2D} pen @param {number} row @param {number} y
 */
export function drawPath(wf, pen, row, y) {
  if (wf.highlight !== "critical_path") return;
  const { data, scale, theme, rows } = wf;
  const { offset, order, begin, end, row: rowOf } = data.path;
  const from = offset[row];
  const to = offset[rows.collapsed[row] ? data.below[row] : row + 1];
  if (from === to) return;
  const top = y + BAR_TOP + BAR + 1;
  if (to - from <= 64) {
    for (const waits of [true, false]) {
      pen.fillStyle = waits && !rows.collapsed[row] ? theme.wait : theme.path;
      for (let at = from; at < to; at += 1) {
        const segment = order[at];
        if (rowOf[segment] < 0 !== waits || end[segment] < scale.from || begin[segment] > scale.to) continue;
        const x = wf.snap(Math.max(scale.x(begin[segment]), scale.left));
        pen.fillRect(x, top, Math.max(1, wf.snap(Math.min(scale.x(end[segment]), wf.width)) - x), STRIP);
      }
    }
    return;
  }
  const width = Math.ceil(wf.width - scale.left);
  if (taken.length < width + 2) taken = new Uint8Array(width + 2);
  taken.fill(0, 0, width + 2);
  for (let at = from; at < to; at += 1) {
    const segment = order[at];
    const [a, b] = [Math.floor(scale.x(begin[segment]) - scale.left), Math.ceil(scale.x(end[segment]) - scale.left)];
    if (b >= 0 && a <= width) taken.fill(1, Math.max(a, 0), Math.min(Math.max(b, a + 1), width));
  }
  pen.fillStyle = theme.path;
  for (let x = 0; x < width; x += 1) {
    if (!taken[x]) continue;
    const left = x;
    while (taken[x]) x += 1;
    pen.fillRect(scale.left + left, top, x - left, STRIP);
  }
}

/**
 * Diamonds where events happened, red ones for exceptions.
 * @param {any} wf @param {CanvasRenderingContext2D} pen @param {number} row @param {number} y @param {boolean} dim
 */
export function drawEvents(wf, pen, row, y, dim) {
  const { data, scale, theme } = wf;
  const { offset, order, time, row: rowOf } = data.events;
  const middle = y + (BAR_TOP + BAR / 2);
  let before = -Infinity;
  for (let at = offset[row]; at < offset[row + 1]; at += 1) {
    const event = order[at];
    const raised = rowOf[event] < 0;
    const x = wf.snap(scale.x(time[event]));
    if (!(x >= scale.left - 5 && x <= wf.width + 5) || (!raised && Math.abs(x - before) < 0.5)) continue;
    before = x;
    pen.beginPath();
    pen.moveTo(x, middle - 5);
    pen.lineTo(x + 4, middle);
    pen.lineTo(x, middle + 5);
    pen.lineTo(x - 4, middle);
    pen.closePath();
    pen.fillStyle = raised ? (dim ? wf.dimError : theme.error) : theme.background;
    pen.fill();
    pen.lineWidth = 1;
    pen.strokeStyle = raised ? theme.background : dim ? wf.dimText : theme.text;
    pen.stroke();
  }
}

/** The row under a point of the body, -1 for none. @param {any} wf @param {number} y from the top of what is seen */
export function placeAt(wf, y) {
  const at = Math.floor((y + wf.scroller.scrollTop) / ROW);
  return at >= 0 && at < wf.rows.count ? at : -1;
}
