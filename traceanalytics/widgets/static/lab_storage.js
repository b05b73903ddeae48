// @ts-check
/** The lab of storage: numbers to set, and what they cost. The kernel adds up; in a page without one this does the same sum. */
import { button, make } from "./dom.js";
import { boardState, buildBoardHead, openBoard, startBoard } from "./lab_board.js";
import { buildChoices, buildGroup, buildSlider } from "./lab_sliders.js";
import { buildStorageRows } from "./lab_storage_rows.js";
import { storageRow, storageTable } from "./lab_storage_sums.js";
import { errorShare, shareText, storageSums, strategyText, sumText } from "./lab_storage_words.js";

/** A trait to read and set. @param {any} board @param {string} name */
function trait(board, name) {
  return { get: () => board.model.get(name), put: (/** @type {any} */ value) => board.put(name, value) };
}

/** The column of sliders. @param {any} board */
function buildStorageControls(board) {
  const box = make("div", "ta-board-controls");
  const groups = new Map();
  for (const spec of board.tables.controls) {
    if (!groups.has(spec.group)) groups.set(spec.group, []);
    groups.get(spec.group).push(buildSlider(board, spec, trait(board, spec.name)));
  }
  const level = make("div", "ta-board-line");
  const means = make("span", "ta-muted ta-storage-means");
  level.append(buildChoices(board, "Errors are a share of", [["trace", "of traces"], ["span", "of spans"]], trait(board, "error_level")), means);
  board.paints.push(() => {
    const inputs = board.inputs();
    means.textContent = inputs.error_level === "span" ? `≤ ${shareText(errorShare(inputs))} of traces` : "";
    means.title = "If the spans fail independently of each other; errors that come together are in fewer traces";
  });
  groups.get("Errors")?.splice(1, 0, level);
  box.append(...[...groups].filter(([title]) => title !== "Storage" && title !== "Collector").map(([title, rows]) => buildGroup(title, rows)));
  box.append(buildGroup("Your own strategy", ownStrategy(board)));
  box.append(buildGroup("Storage and collector", [...(groups.get("Storage") ?? []), ...(groups.get("Collector") ?? [])]));
  return box;
}

/** @param {any} board */
function ownStrategy(board) {
  const own = () => board.model.get("own");
  const late = () => Array.isArray(own());
  const others = () => (late() ? own()[1] : own());
  const decided = { get: late, put: (/** @type {boolean} */ end) => board.put("own", end ? [1, others()] : others()) };
  const line = make("div", "ta-board-line");
  line.append(make("span", "ta-board-label", "Decides at"), buildChoices(board, "Your own strategy decides at", [[false, "the start"], [true, "the end"]], decided));
  const spec = board.tables.share;
  const errors = buildSlider(board, { ...spec, name: "own_errors", label: "Errors" }, { get: () => (late() ? own()[0] : own()), put: (value) => board.put("own", late() ? [value, own()[1]] : value) });
  const rest = buildSlider(board, { ...spec, name: "own_others", label: "Others" }, { get: others, put: (value) => board.put("own", late() ? [own()[0], value] : value) });
  const label = rest.querySelector(".ta-board-label");
  board.paints.push(() => {
    errors.hidden = !late();
    label.textContent = late() ? "Others" : "Of all";
    for (const input of rest.querySelectorAll("input")) input.setAttribute("aria-label", `${label.textContent} %`);
  });
  return [line, errors, rest];
}

/** The sums of the chosen strategy, and what it means. @param {any} board */
function buildStorageSums(board) {
  const box = make("div", "ta-storage-sums");
  const lines = make("div", "ta-storage-lines");
  const words = make("p", "ta-storage-words");
  board.revealButton = button("Show what happens", "Show what happens (Enter)", () => board.reveal(), "ta-board-reveal");
  box.append(words, board.revealButton, lines);
  board.paints.push(() => {
    const { now, concealed } = board.state;
    const at = now.table.strategy.indexOf(board.model.get("selected"));
    const row = storageRow(now.table, Math.max(at, 0));
    const units = board.model.get("units");
    board.revealButton.hidden = !concealed;
    lines.hidden = concealed;
    words.textContent = concealed ? "How much is it now? Guess, then look." : strategyText(board.inputs(), row, units);
    const sums = concealed ? [] : storageSums(board.inputs(), row, units);
    lines.replaceChildren(...sums.map(sumLine));
    board.el.dataset.sum = sums.length ? sumText(sums[0]) : "?";
  });
  return box;
}

/** @param {{name: string, parts: any[]}} sum */
function sumLine({ name, parts }) {
  const [sum, line] = [make("div", "ta-storage-sum"), make("div", "ta-storage-factors")];
  sum.append(make("span", "ta-storage-sum-name ta-muted", name), line);
  for (const part of parts) {
    if (typeof part === "string") {
      line.append(make("span", "ta-storage-operator ta-muted", part));
    } else {
      const factor = make("span", "ta-storage-factor");
      factor.append(make("span", "ta-storage-value", part[0]), make("span", "ta-storage-caption ta-muted", part[1]));
      line.append(factor);
    }
  }
  const last = line.querySelector(".ta-storage-factor:last-child");
  last?.classList.add("ta-storage-last");
  return sum;
}

/** What is often copied of the example, and why it is wrong. @param {any} board */
function buildWrongFigures(board) {
  const { example, wrong } = board.tables;
  const box = make("div", "ta-storage-wrong");
  const list = make("div", "ta-storage-claims");
  const open = button("Figures that are often copied, and wrong", "Show figures for this load that are often copied, and why they are wrong (w)", () => toggle(), "ta-storage-open");
  const away = make("span", "ta-muted", "Such figures are about another load:");
  const names = Object.keys(example);
  const back = button("10,000 × 15 × 500 B", "Set the load of the example", () => {
    for (const name of names) board.model.set(name, example[name]);
    board.model.save_changes();
  });
  const line = make("div", "ta-board-line");
  line.append(open, away, back);
  for (const { strategy, claim, right, why } of wrong) {
    const card = make("div", "ta-storage-claim");
    const first = make("div", "ta-storage-claim-line");
    first.append(make("strong", "", strategy), make("del", "ta-failed", `“${claim}”`), make("span", "ta-storage-right", right));
    card.append(first, make("p", "ta-muted", why));
    list.append(card);
  }
  box.append(line, list);
  list.hidden = true;
  const toggle = () => {
    if (open.disabled) return;
    list.hidden = !list.hidden;
    board.paint();
  };
  board.toggleWrong = toggle;
  board.paints.push(() => {
    const fits = names.every((name) => board.model.get(name) === example[name]);
    open.disabled = !fits;
    if (!fits) list.hidden = true;
    away.hidden = back.hidden = fits;
    open.setAttribute("aria-expanded", String(!list.hidden));
    open.setAttribute("aria-pressed", String(!list.hidden));
  });
  return box;
}

/** @param {{model: any, el: HTMLElement}} host */
function render(host) {
  const board = openBoard(host, "ta-storage", { narrow: 900, slim: 540 });
  const { model, tables } = board;
  board.inputs = () => Object.fromEntries(tables.inputs.map((/** @type {string} */ name) => [name, model.get(name)]));
  const look = () => {
    const now = tables.offline ? { table: storageTable(board.inputs()) } : model.get("_now");
    board.state = boardState(board, now, JSON.stringify(board.inputs()));
  };
  board.paints.push(look);
  look();
  board.reveal = () => {
    if (!board.state.concealed) return;
    board.shown = null;
    board.paint();
    speak();
  };
  const speak = () => board.say(board.root.querySelector(".ta-storage-words")?.textContent ?? "");
  buildBoardHead(board, {
    title: "What it costs to keep traces",
    question: "Move a slider. Which number follows?",
    tools: [buildChoices(board, "Units", [["decimal", "GB"], ["binary", "GiB"]], trait(board, "units"))],
    keys: [
      ["u", "decimal units (GB), binary units (GiB)", { u: () => board.put("units", model.get("units") === "binary" ? "decimal" : "binary") }],
      ["w", "figures that are often copied, and wrong", { w: () => board.toggleWrong() }],
    ],
  });
  const body = make("div", "ta-board-body");
  const result = make("div", "ta-board-result");
  const legend = make("div", "ta-storage-legend ta-muted");
  legend.append(make("i", "ta-storage-kept"), make("span", "", "kept"), make("i", "ta-storage-sent"), make("span", "", "sent to a collector, and not kept"));
  result.append(buildStorageRows(board), legend, buildStorageSums(board), buildWrongFigures(board));
  body.append(buildStorageControls(board), result);
  board.root.append(body);
  for (const name of [...tables.inputs, "units", "selected"]) board.on(`change:${name}`, board.redraw);
  board.on("change:_now", board.redraw);
  board.on("change:selected", () => (board.paint(), speak()));
  startBoard(board);
  return board.close;
}

export default { render };
