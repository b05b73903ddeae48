// @ts-check
/** Many draws: an interval beside the other, those that miss the truth in red. The kernel draws some at a time, so that it can be stopped. */
import { button, make } from "./dom.js";
import { grouped } from "./format.js";
import { quantityText } from "./lab_sampling_rows.js";

const AT_ONCE = 10;
const DRAWS_HEIGHT = 96;

/** @param {any} board */
export function equipDraws(board) {
  const { model, tables } = board;
  board.drawing = false;
  board.again = button("Draw again", "Another sample under the same strategy (d)", () => board.drawAgain());
  board.many = button("", "Draw again and again: how often do the intervals hold the truth? (m)", () => board.drawMany());
  board.again.disabled = tables.offline;
  board.drawAgain = () => {
    if (!tables.offline) board.put("seed", (model.get("seed") ?? 0) + 1);
  };
  const ask = () => model.send({ type: "draws", count: AT_ONCE });
  board.drawMany = () => {
    if (tables.offline) return;
    board.drawing = !board.drawing && (model.get("_draws")?.n ?? 0) < tables.most_draws;
    if (board.drawing) ask();
    board.redraw();
  };
  const heard = (/** @type {any} */ message) => {
    if (message?.type !== "draws" || !board.drawing) return;
    board.drawing = message.n < tables.most_draws && message.n > 0;
    if (board.drawing) ask();
    else board.say(board.drawsText());
    board.redraw();
  };
  board.on("msg:custom", heard);
  for (const name of tables.settings) board.on(`change:${name}`, () => (board.drawing = false));
  board.paints.push(() => {
    const done = model.get("_draws")?.n ?? 0;
    const all = grouped(tables.most_draws);
    board.many.textContent = board.drawing ? `Stop (${done} of ${all})` : done >= tables.most_draws ? `${all} draws done` : done ? `Go on to ${all}` : `Draw ${all} times`;
    board.many.disabled = tables.offline || (!board.drawing && done >= tables.most_draws);
  });
}

/** @param {any} board */
export function buildDraws(board) {
  const box = make("div", "ta-sampling-draws");
  const text = make("p", "ta-sampling-draws-text");
  const canvas = make("canvas", "ta-sampling-canvas", "", { role: "img" });
  box.append(text, canvas);
  board.drawsText = () => drawsText(board);
  board.paints.push(() => {
    const rows = drawnRows(board);
    const bound = onlyBound(board);
    box.hidden = board.state.concealed || bound || (board.tables.offline && !rows.length);
    canvas.hidden = !rows.length;
    text.classList.toggle("ta-muted", !rows.length);
    text.textContent = rows.length ? drawsText(board) : "One draw is one piece of luck. Draw many, and see how often the intervals hold the truth.";
    if (box.hidden || canvas.hidden) return;
    canvas.setAttribute("aria-label", text.textContent);
    paintDraws(board, canvas, rows);
  });
  return box;
}

/** The draws of the chosen quantity: [estimate, low, high, as kept, holds the truth, verdict]. @param {any} board @returns {any[]} */
function drawnRows(board) {
  const rows = board.model.get("_draws")?.rows ?? {};
  const name = board.model.get("selected");
  return Object.hasOwn(rows, name) ? rows[name] : [];
}

/** Whether the chosen quantity has no estimate at all. @param {any} board */
function onlyBound(board) {
  return board.state.now.rows.some((/** @type {any} */ row) => row.quantity === board.model.get("selected") && row.verdict === "bound only");
}

/** @param {any} board @returns {string} */
function drawsText(board) {
  const rows = drawnRows(board);
  const closed = rows.filter((row) => row[4] >= 0);
  const held = closed.filter((row) => row[4] === 1).length;
  const label = board.tables.quantities.find((/** @type {any} */ one) => one[0] === board.model.get("selected"))?.[1] ?? "";
  if (!rows.length) return "";
  const verdict = rows[0][5] === "too_few" ? "too few traces" : rows[0][5];
  if (!closed.length) return `${label}, ${rows.length} draws: no interval with two ends in any of them (${verdict}).`;
  const share = Number(((100 * held) / closed.length).toPrecision(3));
  const biased = rows.filter((row) => row[5] === "biased").length;
  const note = biased ? "; such a sample is blind for a part of the traffic, whatever the interval says" : ", and 95 % were promised";
  return `${label}, ${rows.length} draws: ${held} of ${closed.length} intervals hold the truth, ${share} %${note}.`;
}

/** @param {any} board @param {any} canvas @param {any[]} rows */
function paintDraws(board, canvas, rows) {
  const width = canvas.parentElement.clientWidth - 30;
  if (width < 40) return;
  const ratio = globalThis.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(DRAWS_HEIGHT * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${DRAWS_HEIGHT}px`;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const at = board.tables.quantities.findIndex((/** @type {any} */ one) => one[0] === board.model.get("selected"));
  const truth = board.state.now.rows[at].truth;
  const unit = board.tables.quantities[at][2];
  const values = rows.flatMap((row) => [row[0], row[1], row[2]]).filter((value) => value !== null);
  let [low, high] = [Math.min(truth, ...values), Math.max(truth, ...values)];
  if (high === low) [low, high] = [low - 1, high + 1];
  const y = (/** @type {number} */ value) => DRAWS_HEIGHT - 6 - ((value - low) / (high - low)) * (DRAWS_HEIGHT - 12);
  const left = 64;
  const step = Math.min((width - left) / board.tables.most_draws, 12);
  const { colors } = board;
  rows.forEach(([estimate, from, to, , covers], draw) => {
    const x = left + (draw + 0.5) * step;
    pen.fillStyle = covers === 0 ? colors.error : covers === 1 ? colors.accent : colors.muted;
    const thin = Math.max(1, step * (covers === 0 ? 0.8 : 0.45));
    if (from !== null && to !== null) pen.fillRect(x - thin / 2, y(to), thin, Math.max(1, y(from) - y(to)));
    if (estimate !== null) pen.fillRect(x - step / 2, y(estimate) - 1, Math.max(step, 1.5), 2);
  });
  pen.fillStyle = colors.text;
  pen.fillRect(left, y(truth) - 0.5, width - left, 1);
  pen.font = `11px ${getComputedStyle(board.root).fontFamily}`;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  pen.fillText(quantityText(truth, unit), left - 6, Math.min(Math.max(y(truth), 7), DRAWS_HEIGHT - 7));
  pen.fillStyle = colors.muted;
  for (const value of [low, high]) if (Math.abs(y(value) - y(truth)) > 16) pen.fillText(quantityText(value, unit), left - 6, Math.min(Math.max(y(value), 7), DRAWS_HEIGHT - 7));
}
