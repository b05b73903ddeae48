// @ts-check
/** The quantities: the truth, what the kept traces say, the estimate with its interval, all on one axis, and the verdict. */
import { make } from "./dom.js";
import { boardName } from "./lab_board.js";
import { numberText, shareText } from "./lab_storage_words.js";

/** @type {Record<string, [string, string, string]>} sign, word, kind */
const VERDICTS = {
  ok: ["✓", "ok", "fine"],
  too_few: ["~", "too few", "warn"],
  biased: ["!", "biased", "bad"],
  refused: ["✕", "refused", "bad"],
  "bound only": ["≥", "bound only", "warn"],
};

/** @param {number | null} value @param {string} unit */
export function quantityText(value, unit) {
  if (value === null) return "–";
  const short = Number.isInteger(value) ? value : Number(value.toPrecision(unit === "count" ? 4 : 3));
  return unit === "share" ? shareText(short) : unit === "ms" ? `${numberText(short)} ms` : numberText(Math.round(short));
}

/** @param {any} board */
export function buildQuantities(board) {
  const table = make("div", "ta-sampling-table", "", { role: "radiogroup", "aria-label": "Quantities: choose one to read about it" });
  const head = make("div", "ta-sampling-row ta-sampling-top ta-muted", "", { "aria-hidden": "true" });
  const axis = make("div", "ta-sampling-lane");
  for (const [at, text] of /** @type {[number, string][]} */ ([[0, "0"], [50, "the truth"], [100, "twice"]])) {
    const tick = make("span", "ta-sampling-tick", text);
    tick.style.left = `${at}%`;
    tick.dataset.at = String(at);
    axis.append(tick);
  }
  head.append(make("div", "", ""), make("div", "ta-sampling-truth", "truth"), make("div", "ta-sampling-raw", "kept traces say"), make("div", "ta-sampling-estimate", "with weights"), axis, make("div", "ta-sampling-verdict", "verdict"));
  table.append(head);
  const group = boardName();
  const rows = board.tables.quantities.map((/** @type {any} */ quantity) => buildQuantity(board, table, quantity, group));
  board.paints.push(() => rows.forEach((/** @type {any} */ row, /** @type {number} */ at) => paintQuantity(board, row, at)));
  return table;
}

/** @param {any} board @param {any} table @param {[string, string, string]} quantity @param {string} group */
function buildQuantity(board, table, [name, label, unit], group) {
  const box = make("label", "ta-sampling-row ta-sampling-quantity");
  const radio = make("input", "", "", { type: "radio", name: group });
  radio.addEventListener("change", () => board.put("selected", name));
  const parts = Object.fromEntries(["truth", "raw", "estimate", "verdict"].map((part) => [part, make("div", `ta-sampling-${part}`)]));
  const lane = make("div", "ta-sampling-lane");
  const marks = Object.fromEntries(["interval", "own", "dot"].map((part) => [part, make("i", `ta-sampling-mark-${part}`)]));
  lane.append(make("i", "ta-sampling-line"), marks.interval, marks.own, marks.dot);
  const title = make("div", "ta-sampling-name");
  title.append(radio, make("span", "", label));
  box.append(title, parts.truth, parts.raw, parts.estimate, lane, parts.verdict);
  box.dataset.quantity = name;
  table.append(box);
  return { box, radio, name, label, unit, ...parts, ...marks };
}

/** Where a value lies, from nothing (0) to twice the truth (100). @param {number} value @param {number} truth */
function placeOf(value, truth) {
  if (!truth) return value ? 100 : 50;
  return Math.min(Math.max((value / truth) * 50, 0), 100);
}

/** @param {any} board @param {any} row @param {number} at */
function paintQuantity(board, row, at) {
  const { now, concealed } = board.state;
  const { truth, raw, lo, hi, verdict, covers } = now.rows[at];
  const { unit } = row;
  const bound = verdict === "bound only";
  const estimate = bound ? null : now.rows[at].estimate;
  const chosen = board.model.get("selected") === row.name;
  row.radio.checked = chosen;
  row.box.classList.toggle("ta-board-chosen", chosen);
  row.truth.textContent = quantityText(truth, unit);
  const away = truth && raw !== null ? Math.round((100 * raw) / truth - 100) : 0;
  const by = !away ? "" : ` ${away > 0 ? "+" : "−"}${Math.abs(away).toLocaleString("en-US")} %`;
  row.raw.replaceChildren(concealed ? "?" : quantityText(raw, unit), make("span", "ta-muted ta-sampling-away", concealed ? "" : by));
  const range = lo === null && hi === null ? "" : hi === null ? `≥ ${quantityText(lo, unit)}` : lo === null ? `≤ ${quantityText(hi, unit)}` : `${bareText(lo, unit)} to ${quantityText(hi, unit)}`;
  row.estimate.replaceChildren(
    make("span", estimate === null ? "ta-muted" : "ta-sampling-value", concealed ? "?" : bound ? "no weight helps" : estimate === null ? "no number" : quantityText(estimate, unit)),
    make("span", "ta-muted ta-sampling-range", concealed ? "" : range),
  );
  const [sign, word, kind] = VERDICTS[verdict] ?? ["?", verdict, "warn"];
  row.verdict.replaceChildren(make("span", `ta-sampling-chip ta-sampling-${concealed ? "warn" : kind}`, concealed ? "?" : `${sign} ${word}`));
  row.own.hidden = concealed || raw === null;
  row.dot.hidden = concealed || estimate === null;
  row.interval.hidden = concealed || estimate === null || (lo === null && hi === null);
  if (!row.own.hidden) {
    row.own.style.left = `${placeOf(raw, truth)}%`;
    row.own.classList.toggle("ta-sampling-beyond", truth > 0 && raw > 2 * truth);
  }
  if (!row.dot.hidden) row.dot.style.left = `${placeOf(estimate, truth)}%`;
  if (!row.interval.hidden) {
    const [from, to] = [lo === null ? 0 : placeOf(lo, truth), hi === null ? 100 : placeOf(hi, truth)];
    row.interval.style.left = `${from}%`;
    row.interval.style.width = `${Math.max(to - from, 0.6)}%`;
    row.interval.classList.toggle("ta-sampling-misses", covers === false);
    row.interval.classList.toggle("ta-sampling-open", hi === null || lo === null);
  }
  const told = concealed ? "to be guessed" : `truth ${quantityText(truth, unit)}, kept traces say ${quantityText(raw, unit)}${estimate === null ? "" : `, with weights ${quantityText(estimate, unit)} (${range})`}, ${word}`;
  row.radio.setAttribute("aria-label", `${row.label}: ${told}`);
  row.box.dataset.verdict = concealed ? "?" : verdict;
  row.box.dataset.estimate = concealed ? "?" : String(now.rows[at].estimate);
}

/** Without its unit. @param {number} value @param {string} unit */
function bareText(value, unit) {
  return quantityText(value, unit).replace(/ (ms|%)$/, "");
}
