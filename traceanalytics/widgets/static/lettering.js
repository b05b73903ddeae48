// @ts-check
/** Sizes, letters, and canvases as sharp as the screen. */

export const ROW = 22;
export const BAR_TOP = 4;
export const BAR = 12;
export const PAD = 8;
export const FONT = "12px system-ui, -apple-system, 'Segoe UI', sans-serif";
export const SMALL = "11px system-ui, -apple-system, 'Segoe UI', sans-serif";
export const BOLD = "600 12px system-ui, -apple-system, 'Segoe UI', sans-serif";
export const SMALL_BOLD = "700 11px system-ui, -apple-system, 'Segoe UI', sans-serif";

/** Make a canvas as sharp as the screen is. @param {HTMLCanvasElement} canvas @param {number} width @param {number} height */
export function sharpen(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return pen;
}

/** A text as far as it fits, with an ellipsis where it does not. @param {CanvasRenderingContext2D} pen @param {string} text @param {number} room */
export function fitted(pen, text, room) {
  if (room < 8) return "";
  if (text.length < room / 14 || pen.measureText(text).width <= room) return text;
  let [low, high] = [0, Math.min(text.length, Math.ceil(room / 2))];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (pen.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle;
    else high = middle - 1;
  }
  if (low && (text.charCodeAt(low - 1) & 0xfc00) === 0xd800) low -= 1; // no half of a pair
  return `${text.slice(0, low).trimEnd()}…`;
}
