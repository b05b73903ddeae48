// @ts-check
/** What lies under the pointer, in a few words, always inside the widget; and the same for screen readers. */
import { DETACHED, ERROR, KINDS, LINKED, LINKS, LOOSE, RAISED, lengthOf, nameOf, pathMs, serviceOf } from "./data.js";
import { make } from "./dom.js";
import { counted, durationText, grouped } from "./format.js";

/** @param {any} wf */
export function makeTip(wf) {
  const box = make("div", "ta-tip", "", { "aria-hidden": "true" });
  const parts = { name: make("strong"), service: make("span", "ta-tip-service"), numbers: make("span"), more: make("span", "ta-tip-more") };
  box.append(parts.name, parts.service, parts.numbers, parts.more);
  box.hidden = true;
  return { box, parts, row: -1 };
}

/** @param {any} wf @param {number} row @param {PointerEvent} event */
export function showTip(wf, row, event) {
  const { data, tip } = wf;
  if (tip.row !== row) {
    tip.row = row;
    tip.parts.name.textContent = nameOf(data, row);
    tip.parts.service.textContent = serviceOf(data, row) || "no service";
    const start = Number.isNaN(data.start[row]) ? "start unknown" : `starts at ${durationText(data.start[row])}`;
    tip.parts.numbers.textContent = `${Number.isNaN(data.end[row]) ? "no end" : durationText(lengthOf(data, row))} · ${start}`;
    const more = wordsOf(wf, row);
    tip.parts.more.textContent = more.join(" · ");
    tip.parts.more.classList.toggle("ta-failed", (data.bits[row] & ERROR) !== 0);
    tip.box.hidden = false;
    tip.size = [tip.box.offsetWidth, tip.box.offsetHeight];
  }
  const inside = wf.root.getBoundingClientRect();
  const [width, height] = tip.size;
  const right = wf.scroller.getBoundingClientRect().right - inside.left;
  const x = event.clientX - inside.left;
  const y = event.clientY - inside.top;
  const left = x + 14 + width > right - 4 ? x - 10 - width : x + 14;
  const top = y + 18 + height > inside.height - 4 ? y - 10 - height : y + 18;
  tip.box.style.left = `${Math.max(4, Math.min(left, inside.width - width - 4))}px`;
  tip.box.style.top = `${Math.max(4, Math.min(top, inside.height - height - 4))}px`;
}

/** @param {any} wf */
export function hideTip(wf) {
  wf.tip.row = -1;
  wf.tip.box.hidden = true;
}

/** What else there is to say about a row. @param {any} wf @param {number} row @returns {string[]} */
function wordsOf(wf, row) {
  const { data, rows } = wf;
  const bits = data.bits[row];
  const found = [];
  if (bits & ERROR) found.push("error");
  if (bits & RAISED) found.push("exception");
  const path = pathMs(data, row);
  if (path > 0) found.push(`${durationText(path)} on the critical path`);
  if ((bits & 7) > 1) found.push(KINDS[bits & 7]);
  if (bits & LOOSE) found.push("hangs loosely in its trace");
  if (bits & DETACHED) found.push("outlives its parent");
  const events = data.events.offset[row + 1] - data.events.offset[row];
  if (events) found.push(counted(events, "event"));
  if (bits & LINKS) found.push("links to other spans");
  if (bits & LINKED) found.push("linked from another span");
  if (rows.collapsed[row]) found.push(`${grouped(data.below[row] - row - 1)} hidden below`);
  return found;
}

/** The cursor's row in one line, for screen readers. @param {any} wf @param {number} row */
export function rowSpoken(wf, row) {
  const { data, rows } = wf;
  const at = rows.place[row];
  const below = data.below[row] - row - 1;
  const parts = [
    at >= 0 ? `row ${grouped(at + 1)} of ${grouped(rows.count)}` : "row not shown",
    nameOf(data, row),
    serviceOf(data, row) ? `service ${serviceOf(data, row)}` : "no service",
    Number.isNaN(lengthOf(data, row)) ? "duration unknown" : durationText(lengthOf(data, row)),
  ];
  if (data.bits[row] & ERROR) parts.push("error");
  parts.push(`level ${data.depth[row] + 1}`);
  if (below) parts.push(rows.collapsed[row] ? "collapsed" : "expanded", `${grouped(below)} below`);
  if (wf.selection.length > 1) parts.push(`${grouped(wf.selection.length)} selected`);
  return parts.join(", ");
}
