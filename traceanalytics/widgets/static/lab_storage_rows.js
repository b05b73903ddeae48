// @ts-check
/** The strategies as rows: a bar for what is kept, a pale one for what must be sent, and the numbers. */
import { make } from "./dom.js";
import { boardName } from "./lab_board.js";
import { storageRow } from "./lab_storage_sums.js";
import { bytesText, moneyText, numberText, shareText } from "./lab_storage_words.js";

const DAY_SECONDS = 86400;
const COLUMNS = [["day", "kept a day"], ["disk", "on disk"], ["month", "a month"], ["memory", "in memory"]];

/** @param {any} board */
export function buildStorageRows(board) {
  const chart = make("div", "ta-storage-chart", "", { role: "radiogroup", "aria-label": "Strategies: choose one to see its sum" });
  const head = make("div", "ta-storage-row ta-storage-top ta-muted", "", { "aria-hidden": "true" });
  const axis = make("div", "ta-storage-lane");
  head.append(make("div", "", ""), axis);
  const titles = COLUMNS.map(([name, text]) => make("div", `ta-storage-number ta-storage-${name}`, text));
  head.append(...titles);
  chart.append(head);
  const name = boardName();
  const rows = board.state.now.table.strategy.map((/** @type {string} */ strategy) => storageRowOf(board, chart, strategy, name));
  board.paints.push(() => paintStorageRows(board, axis, titles, rows));
  return chart;
}

/** @param {any} board @param {any} chart @param {string} strategy @param {string} group */
function storageRowOf(board, chart, strategy, group) {
  const box = make("label", "ta-storage-row ta-storage-strategy");
  const radio = make("input", "", "", { type: "radio", name: group });
  radio.addEventListener("change", () => board.put("selected", strategy));
  const [name, decided, lane] = [make("div", "ta-storage-name"), make("span", "ta-muted ta-storage-decided"), make("div", "ta-storage-lane")];
  const [sent, kept] = [make("div", "ta-storage-bar ta-storage-sent"), make("div", "ta-storage-bar ta-storage-kept")];
  lane.append(sent, kept);
  name.append(radio, make("span", "", strategy), decided);
  const numbers = COLUMNS.map(([column]) => make("div", `ta-storage-number ta-storage-${column}`));
  box.append(name, lane, ...numbers);
  box.dataset.strategy = strategy;
  chart.append(box);
  return { box, radio, decided, sent, kept, numbers, strategy };
}

/** @param {any} board @param {any} axis @param {any[]} titles @param {any[]} rows */
function paintStorageRows(board, axis, titles, rows) {
  const { now, concealed } = board.state;
  const units = board.model.get("units");
  const most = Math.max(...now.table.collector_bytes_per_s, 1e-9) * DAY_SECONDS;
  paintStorageAxis(axis, most, units, concealed);
  titles[1].textContent = `on disk, ${numberText(board.inputs().retention_days)} days`;
  rows.forEach((row, at) => {
    const values = storageRow(now.table, at);
    const [sent, kept] = [values.collector_bytes_per_s * DAY_SECONDS, values.bytes_per_s * DAY_SECONDS];
    const chosen = board.model.get("selected") === row.strategy;
    row.radio.checked = chosen;
    row.box.classList.toggle("ta-board-chosen", chosen);
    row.decided.textContent = values.decided_at === "end" ? "decides at the end" : values.kept_share === 1 ? "" : "decides at the start";
    row.sent.style.width = concealed ? "0" : `${(sent / most) * 100}%`;
    row.kept.style.width = concealed ? "0" : `${(kept / most) * 100}%`;
    row.sent.title = `sent to a collector: ${bytesText(sent, units)} a day`;
    row.kept.title = `kept: ${bytesText(kept, units)} a day`;
    const texts = [
      bytesText(kept, units),
      bytesText(values.stored_gb * 1e9, units),
      values.monthly_cost === null ? "–" : moneyText(values.monthly_cost),
      values.buffer_gb ? bytesText(values.buffer_gb * 1e9, units) : "–",
    ];
    row.numbers.forEach((/** @type {any} */ number, /** @type {number} */ column) => {
      number.textContent = concealed ? "?" : texts[column];
    });
    const said = concealed
      ? "to be guessed"
      : `${texts[0]} kept a day, ${shareText(values.kept_share)} of the traces; ${bytesText(sent, units)} sent to a collector a day; ${texts[1]} on disk` +
        `${values.monthly_cost === null ? "" : `; ${texts[2]} a month`}${values.buffer_gb ? `; ${texts[3]} in memory` : ""}`;
    row.radio.setAttribute("aria-label", `${row.strategy}: ${said}`);
    row.box.dataset.kept = concealed ? "?" : String(kept);
  });
}

/** Round sizes below the bars. @param {any} axis @param {number} most bytes @param {string} units @param {boolean} concealed */
function paintStorageAxis(axis, most, units, concealed) {
  const base = units === "binary" ? 1024 : 1000;
  const unit = base ** Math.max(0, Math.floor(Math.log(most) / Math.log(base) + 1e-9));
  const rough = most / unit / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((one) => one * power >= rough * 0.999999) ?? 10) * unit;
  const ticks = [];
  for (let at = 0; !concealed && at * step <= most * 1.000001; at += 1) {
    const tick = make("span", "ta-storage-tick", at ? bytesText(at * step, units) : "0");
    const share = (at * step) / most;
    tick.style.left = `${share * 100}%`;
    tick.classList.toggle("ta-storage-last-tick", share > 0.88);
    ticks.push(tick);
  }
  axis.replaceChildren(...ticks);
}
