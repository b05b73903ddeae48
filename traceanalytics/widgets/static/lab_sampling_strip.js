// @ts-check
/** All traces in the order of their starts, one square each: kept ones in their colour, the others pale. */
import { make } from "./dom.js";
import { grouped } from "./format.js";
import { mixed } from "./theme.js";

const STRIP_COLORS = { light: ["#0072b2", "#e69f00", "#b3001b"], dark: ["#56b4e9", "#e69f00", "#ff6b76"] };

/** @param {any} view a DataView of the model @returns {Uint8Array} */
export function bytesOf(view) {
  return view?.buffer ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength) : new Uint8Array(0);
}

/** @param {any} board */
export function buildStrip(board) {
  const box = make("div", "ta-sampling-strip");
  const canvas = make("canvas", "ta-sampling-canvas", "", { role: "img" });
  const legend = make("div", "ta-sampling-legend");
  const items = board.tables.kinds.map(([kind]) => {
    const item = make("span", "ta-sampling-kind");
    const chip = make("i");
    const text = make("span");
    item.append(chip, text);
    legend.append(item);
    return { kind, chip, text };
  });
  legend.append(make("span", "ta-muted ta-sampling-order", "each square a trace, in the order of their starts; pale: not kept"));
  box.append(canvas, legend);
  board.paints.push(() => paintStrip(board, canvas, items));
  return box;
}

/** @param {any} board @param {any} canvas @param {any[]} items */
function paintStrip(board, canvas, items) {
  const { now, concealed } = board.state;
  const kinds = bytesOf(board.model.get("_kinds"));
  const kept = bytesOf(board.model.get("_kept"));
  const colors = STRIP_COLORS[/** @type {"light"} */ (board.colors.name)];
  const names = { healthy: "healthy", slow: "slow, the slowest 5 %", error: "with an error" };
  const told = items.map(({ kind, chip, text }, at) => {
    const all = board.tables.kinds[at][1];
    const found = concealed ? "?" : grouped(now.kinds[at]);
    chip.style.backgroundColor = colors[at];
    text.textContent = `${names[/** @type {"slow"} */ (kind)]}: ${found} of ${grouped(all)}${concealed || !all ? "" : ` (${Number(((100 * now.kinds[at]) / all).toPrecision(3))} %)`}`;
    return text.textContent;
  });
  canvas.setAttribute("aria-label", `Kept traces: ${told.join("; ")}`);
  const width = canvas.parentElement.clientWidth - 30;
  if (width < 40 || !kinds.length) return;
  // The largest squares with which everything is at most so high.
  let size = 9;
  while (size > 2 && Math.ceil(kinds.length / Math.floor(width / size)) * size > 112) size -= 1;
  const across = Math.floor(width / size);
  const height = Math.ceil(kinds.length / across) * size;
  const ratio = globalThis.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const gap = size > 3 ? 1 : 0;
  const pale = colors.map((color) => mixed(color, board.colors.background, board.colors.name === "dark" ? 0.78 : 0.84));
  for (let at = 0; at < kinds.length; at += 1) {
    const is = !concealed && (kept[at >> 3] >> (at & 7)) & 1;
    pen.fillStyle = is ? colors[kinds[at]] : pale[kinds[at]];
    pen.fillRect((at % across) * size, Math.floor(at / across) * size, size - gap, size - gap);
  }
}
