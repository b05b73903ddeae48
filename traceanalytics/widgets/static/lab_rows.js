// @ts-check
/** The rows of the lab: one element a bar, a piece of the path, a number. There are few, so elements are as quick as a canvas. */
import { make, visible } from "./dom.js";
import { durationText } from "./format.js";
import { Scale, tickText } from "./scale.js";
import { brightness, mixed, safeColor } from "./theme.js";

const ROOM = 1.16;

/** @param {any} lab */
export function buildLabRows(lab) {
  const { tables } = lab;
  const step = durationText(tables.step);
  lab.chart = make("div", "ta-lab-chart", "", {
    tabindex: "0",
    role: "application",
    "aria-roledescription": "trace to change",
    "aria-label": `Trace of ${tables.rows.length} spans. Up and down choose a span, left and right change its length by ${step}, with Alt its start. Question mark lists the keys.`,
  });
  lab.axis = make("div", "ta-lab-lane ta-lab-axis");
  lab.grid = make("div", "ta-lab-grid", "", { "aria-hidden": "true" });
  lab.strip = make("div", "ta-lab-lane ta-lab-strip");
  const head = make("div", "ta-lab-row ta-lab-top");
  head.append(make("div", "ta-lab-name ta-muted", ""), lab.axis, make("div", "ta-lab-number ta-muted", "on path"), make("div", "ta-lab-number ta-muted", "slack"));
  const path = make("div", "ta-lab-row ta-lab-path");
  path.append(make("div", "ta-lab-name", "Critical path"), lab.strip, make("div", "ta-lab-number"), make("div", "ta-lab-number"));
  lab.chart.append(head, path);
  lab.rows = tables.rows.map((/** @type {any} */ span, /** @type {number} */ at) => buildLabRow(lab, span, at));
  lab.joints = make("div", "ta-lab-joints", "", { "aria-hidden": "true" });
  lab.chart.append(lab.grid, lab.joints);
  lab.root.append(lab.chart);
}

/** @param {any} lab @param {any} span @param {number} at */
function buildLabRow(lab, span, at) {
  const box = make("div", "ta-lab-row ta-lab-span", "", { "data-row": String(at) });
  const name = make("div", "ta-lab-name", "", { title: visible(span.name) });
  const label = make("span", "ta-lab-word", visible(span.name));
  const service = visible(lab.tables.services?.[span.service] ?? "");
  name.style.setProperty("--lab-depth", String(Math.min(span.depth, 8)));
  name.append(make("i", "ta-lab-dot"), label);
  if (service && service !== visible(span.name)) name.append(make("span", "ta-muted ta-lab-service", service, { title: service }));
  const lane = make("div", "ta-lab-lane");
  const parts = { ghost: make("div", "ta-lab-ghost"), bar: make("div", "ta-lab-bar"), guess: make("div", "ta-lab-guess"), grip: make("div", "ta-lab-grip"), length: make("span", "ta-lab-length"), pieces: make("div", "ta-lab-pieces") };
  parts.grip.title = "Drag to change the length";
  parts.bar.title = "Drag to move";
  lane.append(parts.ghost, parts.bar, parts.guess, parts.pieces, parts.length, parts.grip);
  const [critical, slack] = [make("div", "ta-lab-number"), make("div", "ta-lab-number")];
  box.append(name, lane, critical, slack);
  lab.chart.append(box);
  return { box, lane, critical, slack, name, ...parts };
}

/** The range of time that is drawn; while a bar is dragged it only grows. @param {any} lab */
function labScale(lab) {
  const { now, guess } = lab.state;
  const known = (/** @type {any[]} */ times) => times.filter((time) => time !== null);
  const guesses = lab.tables.rows.map((/** @type {any} */ _, /** @type {number} */ row) => guess(row)?.[1] ?? null);
  const starts = known([...now.start, ...lab.tables.rows.map((/** @type {any} */ row) => row.start)]);
  const ends = known([...now.end, ...guesses, ...lab.tables.rows.map((/** @type {any} */ row) => row.end)]);
  const low = Math.min(0, ...starts);
  const last = Math.max(...ends, low + lab.tables.step);
  const high = low + (last - low) * ROOM;
  const before = lab.scale;
  const kept = before && before.low <= low && (lab.dragging ? last < before.high - (before.high - before.low) * 0.06 : Math.abs(before.high - high) < (high - low) * 0.04);
  const scale = new Scale(kept ? before.low : low, kept ? before.high : high);
  scale.width = Math.max(40, lab.axis.clientWidth);
  return scale;
}

/** @param {any} lab @param {HTMLElement} element @param {number} start @param {number} end */
function put(lab, element, start, end) {
  const { low, high } = lab.scale;
  element.style.left = `${((start - low) / (high - low)) * 100}%`;
  element.style.width = `${((end - start) / (high - low)) * 100}%`;
}

/** Take so many elements of a box, and no more. @param {HTMLElement} box @param {number} count @param {string} className @returns {any[]} */
function elements(box, count, className) {
  while (box.children.length > count) box.lastElementChild?.remove();
  while (box.children.length < count) box.append(make("div", className));
  return [...box.children];
}

/** @param {any} lab @param {number} service */
function fillOf(lab, service) {
  return safeColor(lab.tables.service_colors?.[service], safeColor(lab.tables.no_service));
}

/** @param {any} lab */
export function paintLabRows(lab) {
  lab.scale = labScale(lab);
  lab.root.classList.toggle("ta-lab-dragging", Boolean(lab.dragging));
  paintTicks(lab);
  paintStrip(lab);
  for (let row = 0; row < lab.rows.length; row += 1) paintRow(lab, row);
  paintPieces(lab);
}

/** @param {any} lab */
function paintTicks(lab) {
  const { scale } = lab;
  const step = scale.step(64);
  const times = [];
  for (let time = Math.ceil(scale.low / step) * step; time <= scale.high; time += step) times.push(time);
  const most = Math.max(Math.abs(scale.low), Math.abs(scale.high));
  const labels = elements(lab.axis, times.length, "ta-lab-tick");
  const lines = elements(lab.grid, times.length, "ta-lab-line");
  times.forEach((time, at) => {
    const room = lab.scale.width * (1 - (time - scale.low) / (scale.high - scale.low));
    labels[at].textContent = room > 44 ? tickText(time, step, most) : "";
    labels[at].style.left = lines[at].style.left = `${((time - scale.low) / (scale.high - scale.low)) * 100}%`;
  });
}

/** The path as one line of time: whose it is at each moment. @param {any} lab */
function paintStrip(lab) {
  const { now, concealed } = lab.state;
  const path = concealed ? [] : now.path;
  const parts = elements(lab.strip, concealed ? 1 : path.length, "ta-lab-segment");
  if (concealed) {
    put(lab, parts[0], 0, now.total);
    parts[0].className = "ta-lab-segment ta-lab-question";
    parts[0].textContent = "?";
    parts[0].style.background = parts[0].style.color = "";
    return;
  }
  path.forEach((/** @type {any} */ [row, state, start, end], /** @type {number} */ at) => {
    const span = lab.tables.rows[row];
    const fill = fillOf(lab, span.service);
    const name = visible(span.name);
    put(lab, parts[at], start, end);
    parts[at].className = `ta-lab-segment ta-lab-p${lab.tables.service_patterns?.[span.service] ?? 0}${row === lab.row ? " ta-lab-chosen" : ""}`;
    parts[at].textContent = lab.scale.width * ((end - start) / (lab.scale.high - lab.scale.low)) > 26 ? name : "";
    parts[at].title = `${name}: ${durationText(end - start)}${state === "wait" ? ", waiting" : ""}`;
    parts[at].style.backgroundColor = fill;
    parts[at].style.color = brightness(fill) > 0.53 ? "#000000" : "#ffffff";
  });
}

/** @param {any} lab @param {number} row */
function paintRow(lab, row) {
  const { now, concealed, guess } = lab.state;
  const [span, parts] = [lab.tables.rows[row], lab.rows[row]];
  const [start, end] = [now.start[row], now.end[row]];
  const known = start !== null && end !== null;
  const fill = fillOf(lab, span.service);
  const slack = now.slack[row];
  const guessed = guess(row);
  parts.box.classList.toggle("ta-lab-chosen", row === lab.row);
  parts.box.classList.toggle("ta-lab-loose", known && slack === null);
  parts.name.firstElementChild.style.backgroundColor = fill;
  for (const name of ["ghost", "bar", "grip", "length"]) parts[name].hidden = !known;
  parts.guess.hidden = !guessed;
  parts.critical.textContent = concealed ? "?" : now.critical[row] > 1e-6 ? durationText(now.critical[row]) : "–";
  parts.slack.textContent = concealed ? "?" : !known ? "" : slack === null ? "not awaited" : durationText(slack);
  parts.slack.classList.toggle("ta-lab-small", !concealed && known && slack === null);
  parts.slack.classList.toggle("ta-lab-strong", !concealed && slack !== null && slack > 0);
  parts.critical.classList.toggle("ta-lab-strong", !concealed && now.critical[row] > 1e-6);
  if (!known) return;
  const [from, to] = guessed ?? [start, end];
  put(lab, parts.bar, start, end);
  put(lab, parts.ghost, span.start, span.end);
  if (guessed) put(lab, parts.guess, from, to);
  parts.ghost.hidden = Math.abs(span.start - start) < 1e-6 && Math.abs(span.end - end) < 1e-6;
  parts.bar.className = `ta-lab-bar ta-lab-p${lab.tables.service_patterns?.[span.service] ?? 0}`;
  parts.bar.style.backgroundColor = fill;
  parts.bar.style.borderColor = mixed(fill, lab.colors.edge, 0.45);
  parts.grip.style.left = parts.length.style.left = `${((to - lab.scale.low) / (lab.scale.high - lab.scale.low)) * 100}%`;
  parts.length.textContent = durationText(to - from);
}

/** The path on the rows: a strip below each bar for its own time, and lines from one to the next. @param {any} lab */
function paintPieces(lab) {
  const { now, concealed } = lab.state;
  /** @type {any[][]} */
  const own = lab.rows.map(() => []);
  const path = concealed ? [] : now.path;
  for (const segment of path) own[segment[0]].push(segment);
  own.forEach((segments, row) => {
    const pieces = elements(lab.rows[row].pieces, segments.length, "");
    segments.forEach(([, state, start, end], at) => {
      pieces[at].className = `ta-lab-piece ta-lab-${state === "wait" ? "wait" : "self"}`;
      put(lab, pieces[at], start, end);
    });
  });
  const turns = path.slice(1).filter((/** @type {any} */ segment, /** @type {number} */ at) => segment[0] !== path[at][0]);
  const before = path.filter((/** @type {any} */ segment, /** @type {number} */ at) => at + 1 < path.length && path[at + 1][0] !== segment[0]);
  const joints = elements(lab.joints, turns.length, "ta-lab-joint");
  turns.forEach((/** @type {any} */ [row, , start], /** @type {number} */ at) => {
    const [high, low] = [Math.min(row, before[at][0]), Math.max(row, before[at][0])];
    put(lab, joints[at], start, start);
    const foot = (/** @type {number} */ number) => lab.rows[number].box.offsetTop + lab.rows[number].box.offsetHeight - 5;
    joints[at].style.top = `${foot(high)}px`;
    joints[at].style.height = `${foot(low) - foot(high)}px`;
    joints[at].style.width = "";
  });
}
