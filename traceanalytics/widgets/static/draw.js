// @ts-check
/** The body: a canvas that shows only the rows in sight. Marks lie on whole device pixels. */
import { DETACHED, ERROR, LOOSE, lengthOf } from "./data.js";
import { durationText } from "./format.js";
import { drawLabel } from "./labels.js";
import { BAR, BAR_TOP, ROW, SMALL, SMALL_BOLD, sharpen } from "./lettering.js";
import { drawEvents, drawPath } from "./marks.js";
import { brightness } from "./theme.js";

/** @param {any} wf */
export function drawBody(wf) {
  const { rows, theme, scale } = wf;
  const height = wf.bodyHeight;
  const pen = sharpen(wf.canvas, wf.width, height);
  const top = wf.scroller.scrollTop;
  const first = Math.max(0, Math.floor(top / ROW));
  const last = Math.min(rows.count, Math.ceil((top + height) / ROW));
  pen.fillStyle = theme.background;
  pen.fillRect(0, 0, wf.width, height);
  pen.textBaseline = "middle";
  for (let at = first; at < last; at += 1) drawBack(wf, pen, at, at * ROW - top);
  drawGrid(wf, pen, Math.min(height, rows.count * ROW - top));
  pen.save();
  pen.beginPath();
  pen.rect(scale.left, 0, wf.width - scale.left, height);
  pen.clip();
  for (let at = first; at < last; at += 1) if (rows.shown[at] >= 0) drawBar(wf, pen, rows.shown[at], at * ROW - top);
  pen.restore();
  pen.fillStyle = theme.grid;
  pen.fillRect(wf.snap(wf.labelWidth), 0, 1 / wf.ratio, height);
  for (let at = first; at < last; at += 1) drawLabel(wf, pen, rows.shown[at], at * ROW - top);
  if (wf.pointerX >= 0 && !wf.range) {
    pen.fillStyle = theme.guide;
    pen.fillRect(wf.snap(wf.pointerX), 0, 1 / wf.ratio, Math.min(height, rows.count * ROW - top));
  }
  if (wf.range) drawRange(wf, pen, height);
  wf.el.dataset.rowsDrawn = String(last - first);
}

/** @param {any} wf @param {CanvasRenderingContext2D} pen @param {number} at @param {number} y */
function drawBack(wf, pen, at, y) {
  const { theme, rows } = wf;
  const row = rows.shown[at];
  const chosen = row >= 0 && rows.selected[row];
  const color = chosen ? theme.chosen : wf.hover === at ? theme.hover : row < 0 || at & 1 ? theme.band : "";
  if (color) {
    pen.fillStyle = color;
    pen.fillRect(0, y, wf.width, ROW);
  }
  if (chosen) {
    pen.fillStyle = theme.accent;
    pen.fillRect(0, y, 3, ROW);
  }
  if (row >= 0 && row === wf.cursor && wf.focused) {
    pen.strokeStyle = theme.accent;
    pen.lineWidth = 1;
    pen.strokeRect(0.5, y + 0.5, wf.width - 1, ROW - 1);
  }
}

/** @param {any} wf @param {CanvasRenderingContext2D} pen @param {number} height */
function drawGrid(wf, pen, height) {
  const { scale, theme } = wf;
  const step = wf.tickStep;
  pen.fillStyle = theme.grid;
  for (let k = Math.ceil(scale.from / step); k * step <= scale.to; k += 1) {
    pen.fillRect(wf.snap(scale.x(k * step)), 0, 1 / wf.ratio, height);
  }
}

/** The range that is being dragged. @param {any} wf @param {CanvasRenderingContext2D} pen @param {number} height */
function drawRange(wf, pen, height) {
  const [a, b] = wf.range;
  const left = Math.max(wf.scale.left, Math.min(a, b));
  const right = Math.min(wf.width, Math.max(a, b));
  pen.globalAlpha = 0.15;
  pen.fillStyle = wf.theme.accent;
  pen.fillRect(left, 0, right - left, height);
  pen.globalAlpha = 1;
  pen.fillRect(wf.snap(left), 0, 1, height);
  pen.fillRect(wf.snap(right) - 1, 0, 1, height);
  const text = durationText(((right - left) / wf.scale.width) * (wf.scale.to - wf.scale.from));
  pen.font = SMALL_BOLD;
  const wide = pen.measureText(text).width + 10;
  const x = Math.max(wf.scale.left, Math.min((left + right - wide) / 2, wf.width - wide));
  pen.fillRect(x, 2, wide, 16);
  pen.fillStyle = wf.theme.background;
  pen.fillText(text, x + 5, 10.5);
}

/** @param {any} wf @param {CanvasRenderingContext2D} pen @param {number} row @param {number} y */
function drawBar(wf, pen, row, y) {
  const { data, scale, palette, theme, rows } = wf;
  const [start, end, bits] = [data.start[row], data.end[row], data.bits[row]];
  const dim = !rows.asked[row];
  const code = Math.min(palette.codes[row], palette.fills.length - 1);
  const error = (bits & ERROR) !== 0;
  if (Number.isNaN(start)) {
    pen.font = SMALL;
    pen.fillStyle = theme.muted;
    const known = Number.isNaN(end) ? "no start" : `no start, ended at ${durationText(end)}`;
    pen.fillText(`${known}${error ? " !" : ""}`, scale.left + 8, y + ROW / 2);
    drawPath(wf, pen, row, y);
    return;
  }
  const fill = dim ? palette.dims[code] : palette.fills[code];
  const edge = error ? (dim ? wf.dimError : theme.error) : dim ? palette.dimEdges[code] : palette.edges[code];
  const x0 = wf.snap(scale.x(start));
  const open = Number.isNaN(end);
  let x1 = open ? Math.max(x0 + 48, scale.left + scale.width) : wf.snap(scale.x(Math.max(end, start)));
  if (x1 >= scale.left && x0 <= wf.width) {
    if (!open && end <= start) {
      pen.fillStyle = edge; // no length: a tick
      pen.fillRect(x0 - 1, y + BAR_TOP - 1, 2, BAR + 2);
      x1 = x0 + 1;
    } else {
      x1 = Math.max(x1, x0 + Math.max(1.5, 1 / wf.ratio));
      const loose = (bits & (LOOSE | DETACHED)) !== 0;
      drawBox(wf, pen, { x0, x1, y: y + BAR_TOP, fill, edge, error, loose, open, pattern: palette.patterns[code], dim });
    }
  }
  drawPath(wf, pen, row, y);
  drawEvents(wf, pen, row, y, dim);
  drawLength(wf, pen, row, y, { x0, x1: open ? Math.min(x1, x0 + 48) : x1, open, error, dim, fill });
}

/** @param {any} wf @param {CanvasRenderingContext2D} pen @param {any} box */
function drawBox(wf, pen, { x0, x1, y, fill, edge, error, loose, open, pattern, dim }) {
  // what lies far outside is cut, so that dashes and hatchings stay cheap
  const a = Math.max(x0, wf.scale.left - 20);
  const b = Math.min(x1, wf.width + 20);
  if (open) {
    const fading = pen.createLinearGradient(x0, 0, x0 + 48, 0);
    fading.addColorStop(0, fill);
    fading.addColorStop(1, `${fill}26`);
    pen.fillStyle = fading;
  } else pen.fillStyle = fill;
  pen.fillRect(a, y, b - a, BAR);
  const hatch = pattern && !open ? wf.hatch(pattern, dim) : null;
  if (hatch) {
    pen.fillStyle = hatch;
    pen.fillRect(a, y, b - a, BAR);
  }
  if (b - a < 3) {
    if (error) {
      pen.fillStyle = edge;
      pen.fillRect(a, y, b - a, BAR);
    }
    return;
  }
  const line = error ? 1.5 : 1;
  pen.strokeStyle = edge;
  pen.lineWidth = line;
  if (loose) pen.setLineDash(DASHES);
  if (open) {
    pen.beginPath();
    pen.moveTo(Math.min(a + 48, b), y + line / 2);
    pen.lineTo(a + line / 2, y + line / 2);
    pen.lineTo(a + line / 2, y + BAR - line / 2);
    pen.lineTo(Math.min(a + 48, b), y + BAR - line / 2);
    pen.stroke();
  } else pen.strokeRect(a + line / 2, y + line / 2, b - a - line, BAR - line);
  if (loose) pen.setLineDash(SOLID);
}

const DASHES = [3, 2];
/** @type {number[]} */
const SOLID = [];

/**
 * The duration: right of the bar, else left of it, else on it; at the edge for bars out of sight.
 * @param {any} wf @param {CanvasRenderingContext2D} pen @param {number} row @param {number} y
 * @param {any} bar
 */
function drawLength(wf, pen, row, y, { x0, x1, open, error, dim, fill }) {
  const { scale, theme } = wf;
  let text = open ? "no end" : durationText(lengthOf(wf.data, row));
  const right = wf.width - 4;
  const middle = y + BAR_TOP + BAR / 2 + 0.5;
  if (x1 < scale.left) text = `◂ ${text}`;
  else if (x0 > right) text += " ▸";
  pen.font = SMALL;
  const mark = error ? 9 : 0;
  const wide = pen.measureText(text).width + mark;
  let x = x1 + 6;
  let ink = dim ? wf.dimText : theme.muted;
  if (x1 < scale.left) x = scale.left + 6;
  else if (x0 > right) x = right - wide;
  else if (x + wide > right) {
    x = x0 - 6 - wide;
    if (x < scale.left + 2) {
      x = Math.min(x1, right) - wide - 6;
      ink = brightness(fill) > 0.55 ? "#1a1a1a" : "#ffffff";
    }
  }
  pen.fillStyle = ink;
  pen.fillText(text, x, middle);
  if (error) {
    pen.font = SMALL_BOLD;
    if (ink !== "#ffffff") pen.fillStyle = dim ? wf.dimError : theme.error;
    pen.fillText("!", x + wide - 5, middle);
  }
}
