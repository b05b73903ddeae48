// @ts-check
/** The whole at a glance: every span a line or a part of one; and the axis. Pixels are written once and then only copied. */
import { ERROR } from "./data.js";
import { SMALL, fitted, sharpen } from "./lettering.js";
import { tickText } from "./scale.js";
import { mixed, pixelOf } from "./theme.js";

export const MAP_HEIGHT = 56;
const MARGIN = 4;

/**
 * Draw all spans into an image. A pixel belongs to the first span that wants it, to one with an error before the others; a
 * line remembers where its next free pixel is, so that spans above each other cost nothing.
 * @param {any} wf
 */
export function paintMap(wf) {
  const { data, palette, rows, theme, scale } = wf;
  const width = Math.max(1, Math.round(scale.width * wf.ratio));
  const height = Math.max(1, Math.round((MAP_HEIGHT - 2 * MARGIN) * wf.ratio));
  const image = wf.mapImage;
  image.width = width;
  image.height = height;
  const pen = image.getContext("2d");
  const made = pen.createImageData(width, height);
  const pixels = new Uint32Array(made.data.buffer);
  const free = new Int32Array(width + 1);
  const strong = palette.fills.map(pixelOf);
  const pale = palette.fills.map((/** @type {string} */ fill) => pixelOf(mixed(fill, theme.background, 0.62)));
  const red = pixelOf(theme.error);
  const unit = height / Math.max(1, data.n);
  const thick = Math.max(1, Math.min(Math.floor(unit - wf.ratio), Math.round(6 * wf.ratio)));
  const toPixel = width / (scale.high - scale.low);
  let line = -1;
  for (let r = 0; r < data.n; r += 1) {
    const y = Math.min(height - 1, Math.floor(r * unit));
    if (y !== line) {
      for (let x = 0; x <= width; x += 1) free[x] = x;
      line = y;
    }
    const start = data.start[r];
    if (Number.isNaN(start)) continue;
    const end = Number.isNaN(data.end[r]) ? start : data.end[r];
    const a = Math.min(width - 1, Math.max(0, Math.floor((start - scale.low) * toPixel)));
    const b = Math.min(width, Math.max(a + Math.round(2 * wf.ratio), Math.ceil((end - scale.low) * toPixel)));
    const code = Math.min(palette.codes[r], strong.length - 1);
    const color = rows.asked[r] ? strong[code] : pale[code];
    for (let x = nextFree(free, a); x < b; x = nextFree(free, x)) {
      pixels[y * width + x] = color;
      free[x] = x + 1;
    }
    if (data.bits[r] & ERROR && rows.asked[r]) {
      for (let x = a; x < Math.min(b, a + 4 * wf.ratio); x += 1) pixels[y * width + x] = red;
    }
  }
  if (thick > 1) {
    for (let r = data.n - 1; r >= 0; r -= 1) {
      const y = Math.floor(r * unit);
      for (let k = 1; k < thick && y + k < height; k += 1) pixels.copyWithin((y + k) * width, y * width, (y + 1) * width);
    }
  }
  pen.putImageData(made, 0, 0);
}

/** @param {Int32Array} free @param {number} x */
function nextFree(free, x) {
  let end = x;
  while (free[end] !== end) end = free[end];
  while (x !== end) {
    const next = free[x];
    free[x] = end;
    x = next;
  }
  return end;
}

/** @param {any} wf @param {number} ms */
function mapX(wf, ms) {
  const { low, high, width } = wf.scale;
  return ((ms - low) / (high - low)) * width;
}

/** @param {any} wf */
export function drawMap(wf) {
  const { scale, theme } = wf;
  const width = scale.width;
  const pen = sharpen(wf.map, width, MAP_HEIGHT);
  pen.fillStyle = theme.background;
  pen.fillRect(0, 0, width, MAP_HEIGHT);
  pen.drawImage(wf.mapImage, 0, MARGIN, width, MAP_HEIGHT - 2 * MARGIN);
  drawWindow(wf, pen);
  const range = wf.mapRange;
  const a = range ? Math.min(range[0], range[1]) : mapX(wf, scale.from);
  const b = range ? Math.max(range[0], range[1]) : mapX(wf, scale.to);
  if (range || !scale.whole) {
    pen.globalAlpha = theme.name === "dark" ? 0.72 : 0.66;
    pen.fillStyle = mixed(theme.background, theme.text, 0.12);
    pen.fillRect(0, 0, a, MAP_HEIGHT);
    pen.fillRect(b, 0, width - b, MAP_HEIGHT);
    pen.globalAlpha = 1;
    pen.fillStyle = theme.accent;
    for (const x of [a, b]) {
      pen.fillRect(wf.snap(x) - 0.5, 0, 1, MAP_HEIGHT);
      pen.fillRect(wf.snap(x) - 2, MAP_HEIGHT / 2 - 9, 4, 18);
    }
  }
}

/** The rows that the body shows, as a frame. @param {any} wf @param {CanvasRenderingContext2D} pen */
function drawWindow(wf, pen) {
  const { rows, data, scale } = wf;
  const first = Math.min(Math.max(0, Math.floor(wf.scroller.scrollTop / wf.rowHeight)), rows.count - 1);
  const last = Math.min(first + Math.ceil(wf.bodyHeight / wf.rowHeight), rows.count) - 1;
  if (last - first + 1 >= rows.count || last < first) return;
  const spanAt = (/** @type {number} */ at) => (rows.shown[at] < 0 ? data.traces[~rows.shown[at]].first_row : rows.shown[at]);
  const inner = MAP_HEIGHT - 2 * MARGIN;
  const top = MARGIN + (spanAt(first) / data.n) * inner;
  const bottom = MARGIN + ((spanAt(last) + 1) / data.n) * inner;
  const [a, b] = [Math.max(0, mapX(wf, scale.from)), Math.min(scale.width, mapX(wf, scale.to))];
  pen.fillStyle = wf.theme.accent;
  pen.globalAlpha = 0.14;
  pen.fillRect(a, top, b - a, Math.max(3, bottom - top));
  pen.globalAlpha = 0.8;
  pen.fillRect(b - 2, top, 2, Math.max(3, bottom - top));
  pen.globalAlpha = 1;
}

/** What of the minimap lies at a point: the left edge of what is seen, the right one, or neither. @param {any} wf @param {number} x */
export function mapEdgeAt(wf, x) {
  if (wf.scale.whole) return "";
  const [a, b] = [mapX(wf, wf.scale.from), mapX(wf, wf.scale.to)];
  if (Math.min(Math.abs(x - a), Math.abs(x - b)) > 6) return "";
  return Math.abs(x - a) < Math.abs(x - b) ? "from" : "to";
}

export const AXIS_HEIGHT = 24;

/** @param {any} wf */
export function drawAxis(wf) {
  const { scale, theme } = wf;
  const pen = sharpen(wf.axis, scale.width, AXIS_HEIGHT);
  pen.fillStyle = theme.band;
  pen.fillRect(0, 0, scale.width, AXIS_HEIGHT);
  pen.font = SMALL;
  pen.textBaseline = "middle";
  const step = wf.tickStep;
  const most = Math.max(Math.abs(scale.from), Math.abs(scale.to));
  let end = -Infinity;
  for (let k = Math.ceil(scale.from / step - 1e-9); k * step <= scale.to + step * 1e-9; k += 1) {
    const x = wf.snap(scale.x(k * step) - scale.left);
    pen.fillStyle = theme.guide;
    pen.fillRect(x, AXIS_HEIGHT - 6, 1 / wf.ratio, 6);
    const text = tickText(k * step, step, most);
    const wide = pen.measureText(text).width;
    const left = Math.max(Math.min(x - wide / 2, scale.width - wide), 3);
    if (left < end + 8) continue;
    pen.fillStyle = theme.muted;
    pen.fillText(fitted(pen, text, scale.width), left, AXIS_HEIGHT / 2 - 1);
    end = left + wide;
  }
  if (wf.pointerX >= 0) {
    const text = tickText(scale.ms(wf.pointerX), step / 100, most);
    const wide = pen.measureText(text).width + 10;
    const left = Math.max(0, Math.min(wf.pointerX - scale.left - wide / 2, scale.width - wide));
    pen.fillStyle = theme.accent;
    pen.fillRect(left, 3, wide, AXIS_HEIGHT - 6);
    pen.fillStyle = theme.background;
    pen.fillText(text, left + 5, AXIS_HEIGHT / 2 + 0.5);
  }
}
