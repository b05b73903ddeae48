// @ts-check
/** The lab of sampling: a strategy, what it keeps, and what may be concluded. The kernel draws and estimates; this shows it. */
import { button, make, visible } from "./dom.js";
import { grouped } from "./format.js";
import { boardState, buildBoardHead, openBoard, startBoard } from "./lab_board.js";
import { buildSamplingControls } from "./lab_sampling_controls.js";
import { buildDraws, equipDraws } from "./lab_sampling_draws.js";
import { buildQuantities } from "./lab_sampling_rows.js";
import { buildStrip } from "./lab_sampling_strip.js";
import { bytesText, moneyText, shareText } from "./lab_storage_words.js";

/** What is kept and what it costs, and the buttons. @param {any} board */
function buildKept(board) {
  const box = make("div", "ta-sampling-kept");
  const parts = ["traces", "spans", "day", "month"].map((name) => {
    const part = make("div", "ta-sampling-figure");
    const value = make("span", "ta-sampling-big");
    const note = make("span", "ta-muted");
    part.append(value, note);
    part.dataset.figure = name;
    box.append(part);
    return [value, note];
  });
  const tools = make("div", "ta-sampling-buttons");
  tools.append(board.again, board.many);
  box.append(tools);
  board.paints.push(() => {
    const { now, concealed } = board.state;
    const { traces, spans, day, day_all: dayAll, month, month_all: monthAll } = now.kept;
    const { traces: all, spans: allSpans } = board.tables;
    const texts = [
      [`${grouped(traces)} traces`, `of ${grouped(all)}, ${shareText(Number((traces / all).toPrecision(3)))}`],
      [`${grouped(spans)} spans`, `of ${grouped(allSpans)}, ${shareText(Number((spans / allSpans).toPrecision(3)))}`],
      day === undefined ? ["", ""] : [`${bytesText(day * 1e9)} a day`, `instead of ${bytesText(dayAll * 1e9)}`],
      month === undefined ? ["", ""] : [`${moneyText(month)} a month`, `instead of ${moneyText(monthAll)}`],
    ];
    parts.forEach(([value, note], at) => {
      value.textContent = concealed ? "?" : texts[at][0];
      note.textContent = concealed ? "" : texts[at][1];
    });
    board.el.dataset.kept = concealed ? "?" : String(traces);
  });
  return box;
}

/** What the strategy means, and what may be said of the chosen quantity. @param {any} board */
function buildSaid(board) {
  const box = make("div", "ta-sampling-said");
  const about = make("p", "ta-sampling-about");
  const text = make("p", "ta-sampling-text");
  const reveal = button("Show what happens", "Show what happens (Enter)", () => board.reveal(), "ta-board-reveal");
  box.append(text, reveal);
  board.about = about;
  board.said = text;
  board.paints.push(() => {
    const { now, concealed } = board.state;
    const at = board.tables.quantities.findIndex((/** @type {any} */ one) => one[0] === board.model.get("selected"));
    reveal.hidden = !concealed;
    about.textContent = concealed ? "What will it keep, and which of these numbers can be trusted? Guess, then look." : visible(now.about);
    text.textContent = concealed ? "" : visible(now.rows[at]?.text ?? "");
  });
  return box;
}

/** @param {{model: any, el: HTMLElement}} host */
function render(host) {
  const board = openBoard(host, "ta-sampling", { narrow: 1120, slim: 700 });
  const { model, tables } = board;
  const look = () => {
    const settings = JSON.stringify(tables.settings.map((/** @type {string} */ name) => model.get(name)));
    board.state = boardState(board, model.get("_now"), settings);
  };
  board.paints.push(look);
  look();
  board.reveal = () => {
    if (!board.state.concealed) return;
    board.shown = null;
    board.paint();
    board.say(`${board.about.textContent} ${board.said.textContent}`);
  };
  equipDraws(board);
  buildBoardHead(board, {
    title: "What a sample allows",
    question: "Choose a strategy. Which numbers can still be trusted?",
    tools: [],
    keys: [
      ["d", "draw again: another sample under the same strategy", { d: () => board.drawAgain() }],
      ["m", "draw many times; stop", { m: () => board.drawMany() }],
    ],
  });
  const body = make("div", "ta-board-body");
  const result = make("div", "ta-board-result");
  const said = buildSaid(board);
  const legend = make("div", "ta-sampling-legend ta-sampling-marks ta-muted");
  for (const [mark, text] of [["own", "as the kept traces say"], ["dot", "with weights, and the 95 % interval"]]) legend.append(make("i", `ta-sampling-mark-${mark}`), make("span", "", text));
  result.append(buildKept(board), board.about, buildStrip(board), buildQuantities(board), legend, said, buildDraws(board));
  body.append(buildSamplingControls(board), result);
  board.root.append(body);
  for (const name of [...tables.settings, "seed", "bytes_per_span", "price_per_gb_month", "_draws", "_kept"]) board.on(`change:${name}`, board.redraw);
  const speak = () => board.state.concealed || board.say(board.said.textContent);
  board.on("change:_now", () => (board.paint(), speak()));
  board.on("change:selected", () => (board.paint(), speak()));
  startBoard(board);
  return board.close;
}

export default { render };
