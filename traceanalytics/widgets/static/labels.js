// @ts-check
/** The names: a tree with lines from parents to children, the service beside the name, what lies below a collapsed row. */
import { nameOf, serviceOf } from "./data.js";
import { grouped } from "./format.js";
import { BOLD, FONT, PAD, ROW, SMALL, SMALL_BOLD, fitted } from "./lettering.js";

/** How far a level is indented, and from which depth on the level is said as a number. @param {any} wf */
export function indentOf(wf) {
  const room = wf.labelWidth * 0.5 - PAD;
  const step = Math.max(8, Math.min(16, room / Math.max(1, wf.data.deepest)));
  return { step, most: Math.max(1, Math.floor(room / step)) };
}

/** Where the chevron of a row begins. @param {any} wf @param {number} row */
export function chevronX(wf, row) {
  const { step, most } = wf.indent;
  return PAD + Math.min(wf.data.depth[row], most) * step;
}

/** @param {any} wf @param {CanvasRenderingContext2D} pen @param {number} row @param {number} y */
export function drawLabel(wf, pen, row, y) {
  const { data, theme, rows, palette } = wf;
  const middle = y + ROW / 2 + 0.5;
  if (row < 0) {
    const trace = data.traces[~row];
    pen.fillStyle = theme.band;
    pen.fillRect(0, y, wf.width, ROW);
    pen.font = BOLD;
    pen.fillStyle = theme.text;
    pen.fillText(fitted(pen, trace.title ?? "", wf.width - 2 * PAD - 4), PAD + 2, middle);
    return;
  }
  const x = chevronX(wf, row);
  const dim = !rows.asked[row];
  drawGuides(wf, pen, row, x, y);
  const code = Math.min(palette.codes[row], palette.fills.length - 1);
  pen.fillStyle = dim ? palette.dims[code] : palette.fills[code];
  pen.fillRect(x + 15, y + 4, 3, ROW - 8);
  let right = wf.labelWidth - 8;
  if (rows.collapsed[row]) right = drawBadges(wf, pen, row, right, y);
  let left = x + 23;
  if (data.depth[row] > wf.indent.most) {
    const level = `${data.depth[row]}`;
    pen.font = SMALL;
    pen.fillStyle = theme.muted;
    pen.fillText(level, left, middle);
    left += pen.measureText(level).width + 6;
  }
  pen.font = FONT;
  pen.fillStyle = dim ? wf.dimText : theme.text;
  const name = fitted(pen, nameOf(data, row), right - left);
  pen.fillText(name, left, middle);
  left += pen.measureText(name).width + 7;
  const service = serviceOf(data, row);
  pen.font = SMALL;
  if (service && right - left > 24 && right - left > Math.min(52, pen.measureText(service).width)) {
    pen.fillStyle = dim ? wf.dimText : theme.muted;
    pen.fillText(fitted(pen, service, right - left), left, middle);
  }
}

/** Lines from parents to children, and the chevron. @param {any} wf @param {CanvasRenderingContext2D} pen @param {number} row @param {number} x @param {number} y */
function drawGuides(wf, pen, row, x, y) {
  const { data, theme, rows } = wf;
  const { step, most } = wf.indent;
  const depth = data.depth[row];
  const thin = 1 / wf.ratio;
  const middle = wf.snap(y + ROW / 2);
  const children = data.below[row] > row + 1;
  pen.fillStyle = theme.guide;
  if (depth > 0 && depth <= most) {
    const up = wf.snap(x - step + 6);
    pen.fillRect(up, y, thin, rows.more[row] ? ROW : middle - y);
    pen.fillRect(up, middle, (children ? x + 1 : x + 13) - up, thin);
    let above = data.parent[row];
    for (let level = depth - 2; level >= 0; level -= 1) {
      if (rows.more[above]) pen.fillRect(wf.snap(PAD + level * step + 6), y, thin, ROW);
      above = data.parent[above];
    }
  }
  if (!children) return;
  const open = !rows.collapsed[row];
  if (open && depth < most) pen.fillRect(wf.snap(x + 6), middle + 4, thin, y + ROW - middle - 4);
  pen.strokeStyle = theme.muted;
  pen.lineWidth = 1.5;
  pen.beginPath();
  if (open) pen.moveTo(x + 2.5, middle - 1.5), pen.lineTo(x + 6, middle + 2), pen.lineTo(x + 9.5, middle - 1.5);
  else pen.moveTo(x + 4.5, middle - 3.5), pen.lineTo(x + 8, middle), pen.lineTo(x + 4.5, middle + 3.5);
  pen.stroke();
}

/** How many rows and errors lie below a collapsed row; returns where the room for the name ends. @param {any} wf @param {CanvasRenderingContext2D} pen @param {number} row @param {number} right @param {number} y */
function drawBadges(wf, pen, row, right, y) {
  const { data, theme } = wf;
  const end = data.below[row];
  const errors = data.errors[end] - data.errors[row + 1];
  pen.font = SMALL_BOLD;
  if (errors) right = badge(pen, `${grouped(errors)} !`, right, y, theme.error, theme.background);
  pen.font = SMALL;
  return badge(pen, `+${grouped(end - row - 1)}`, right, y, theme.grid, theme.text) - 2;
}

/** @param {CanvasRenderingContext2D} pen @param {string} text @param {number} right @param {number} y @param {string} back @param {string} ink */
function badge(pen, text, right, y, back, ink) {
  const wide = Math.ceil(pen.measureText(text).width) + 10;
  pen.fillStyle = back;
  pen.beginPath();
  pen.roundRect(right - wide, y + 4, wide, ROW - 8, 7);
  pen.fill();
  pen.fillStyle = ink;
  pen.fillText(text, right - wide + 5, y + ROW / 2 + 0.5);
  return right - wide - 4;
}
