// @ts-check
/** The mouse over bars, axis and minimap. */
import { fold, select, showRange, zoomToRow } from "./actions.js";
import { chevronX } from "./labels.js";
import { BAR, BAR_TOP, ROW } from "./lettering.js";
import { placeAt } from "./marks.js";
import { mapEdgeAt } from "./minimap.js";
import { hideTip, showTip } from "./tooltip.js";

const SLACK = 4;

/** @param {any} element @param {PointerEvent | MouseEvent | WheelEvent} event */
function pointIn(element, event) {
  const box = element.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

/** @param {any} wf @param {number} row @param {number} x */
function onChevron(wf, row, x) {
  const left = chevronX(wf, row);
  return wf.data.below[row] > row + 1 && x >= left - 3 && x < left + 14;
}

/** @param {any} wf @param {number} row @param {number} x @param {number} y within the row */
function onBar(wf, row, x, y) {
  const { scale, data } = wf;
  const start = data.start[row];
  const end = Number.isNaN(data.end[row]) ? scale.high : data.end[row];
  return x >= scale.left && y >= BAR_TOP - 2 && y <= BAR_TOP + BAR + 5 && x >= scale.x(start) - 3 && x <= scale.x(end) + 3;
}

/** @param {any} wf @param {AbortSignal} signal */
export function listenBody(wf, signal) {
  const { canvas, scroller } = wf;
  canvas.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => pressBody(wf, event), { signal });
  canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => hoverBody(wf, event), { signal });
  canvas.addEventListener("pointerleave", () => leave(wf), { signal });
  canvas.addEventListener("auxclick", (/** @type {Event} */ event) => event.preventDefault(), { signal });
  canvas.addEventListener(
    "dblclick",
    (/** @type {MouseEvent} */ event) => {
      const { x, y } = pointIn(canvas, event);
      const row = wf.rows.shown[placeAt(wf, y)] ?? -1;
      if (row < 0 || onChevron(wf, row, x)) return;
      if (x < wf.scale.left) wf.openDetail(true);
      else if (onBar(wf, row, x, (y + scroller.scrollTop) % ROW)) zoomToRow(wf, row);
    },
    { signal },
  );
  const wheel = (/** @type {WheelEvent} */ event) => turn(wf, event);
  for (const element of [scroller, wf.axis, wf.map]) element.addEventListener("wheel", wheel, { signal, passive: false });
  wf.axis.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => dragRange(wf, event, wf.axis, wf.scale.left), { signal });
  wf.axis.addEventListener("dblclick", () => showRange(wf, null), { signal });
}

/** @param {any} wf @param {PointerEvent} event */
function pressBody(wf, event) {
  wf.canvas.focus({ preventScroll: true });
  const { x, y } = pointIn(wf.canvas, event);
  if (x >= wf.scale.left) dragRange(wf, event, wf.canvas, 0, () => clickAt(wf, event, x, y));
  else if (event.button === 0) clickAt(wf, event, x, y);
}

/** @param {any} wf @param {PointerEvent} event @param {number} x @param {number} y */
function clickAt(wf, event, x, y) {
  const row = wf.rows.shown[placeAt(wf, y)] ?? -1;
  if (row < 0) return;
  if (x < wf.scale.left && onChevron(wf, row, x)) fold(wf, row);
  else select(wf, row, event.ctrlKey || event.metaKey ? "toggle" : event.shiftKey ? "range" : "one");
}

/**
 * Drag a range to zoom to; with shift or the middle button, drag the time itself.
 * @param {any} wf @param {PointerEvent} event @param {HTMLElement} element
 * @param {number} shift from the element's x to that of the body
 * @param {() => void} [clicked]
 */
function dragRange(wf, event, element, shift, clicked) {
  if (event.button > 1) return;
  if (event.button === 1) event.preventDefault();
  const begin = pointIn(element, event).x + shift;
  const panning = event.shiftKey || event.button === 1;
  const { from, to } = wf.scale;
  let moved = false;
  follow(wf, event, element, {
    move: (later) => {
      const x = pointIn(element, later).x + shift;
      moved ||= Math.abs(x - begin) >= SLACK;
      if (!moved) return;
      hideTip(wf);
      if (panning) {
        const by = ((begin - x) / wf.scale.width) * (to - from);
        const low = Math.min(Math.max(from + by, wf.scale.low), wf.scale.high - (to - from));
        showRange(wf, [low, low + to - from]);
      } else wf.range = [begin, Math.min(Math.max(x, wf.scale.left), wf.width)];
      wf.redraw();
    },
    end: (later) => {
      const range = wf.range;
      wf.range = null;
      if (!moved) {
        if (event.button === 0) clicked?.();
      } else if (!panning && range && later) {
        showRange(wf, wf.scale.inside(wf.scale.ms(Math.min(...range)), wf.scale.ms(Math.max(...range))));
      }
      wf.redraw();
    },
  });
}

/**
 * Follow a pointer until it is let go; `end` hears null when the drag was broken off.
 * @param {any} wf @param {PointerEvent} event @param {HTMLElement} element
 * @param {{move: (event: PointerEvent) => void, end: (event: PointerEvent | null) => void}} calls
 */
function follow(wf, event, element, { move, end }) {
  const stop = new AbortController();
  const options = { signal: stop.signal };
  const finish = (/** @type {PointerEvent | null} */ last) => {
    stop.abort();
    wf.dragging = false;
    end(last);
  };
  wf.dragging = true;
  element.setPointerCapture?.(event.pointerId);
  element.addEventListener("pointermove", move, options);
  element.addEventListener("pointerup", finish, options);
  element.addEventListener("pointercancel", () => finish(null), options);
  window.addEventListener(
    "keydown",
    (key) => {
      if (key.key !== "Escape") return;
      key.stopPropagation();
      finish(null);
    },
    { ...options, capture: true },
  );
  wf.signal.addEventListener("abort", () => stop.abort(), options);
}

/** @param {any} wf @param {PointerEvent} event */
function hoverBody(wf, event) {
  if (wf.dragging) return;
  const { x, y } = pointIn(wf.canvas, event);
  const at = placeAt(wf, y);
  const row = at < 0 ? -1 : wf.rows.shown[at];
  if (at !== wf.hover || (x >= wf.scale.left ? x : -1) !== wf.pointerX) {
    wf.hover = at;
    wf.pointerX = x >= wf.scale.left ? x : -1;
    wf.redraw();
  }
  const hand = row >= 0 && x < wf.scale.left;
  wf.canvas.style.cursor = hand ? "pointer" : x >= wf.scale.left ? "crosshair" : "default";
  if (row < 0) hideTip(wf);
  else showTip(wf, row, event);
}

/** @param {any} wf */
function leave(wf) {
  if (wf.dragging) return;
  wf.hover = -1;
  wf.pointerX = -1;
  hideTip(wf);
  wf.redraw();
}

/** @param {any} wf @param {WheelEvent} event */
function turn(wf, event) {
  const size = event.deltaMode === 1 ? ROW : event.deltaMode === 2 ? wf.bodyHeight : 1;
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    const { x } = pointIn(wf.canvas, event);
    const at = wf.scale.ms(Math.min(Math.max(x, wf.scale.left), wf.width));
    showRange(wf, wf.scale.zoomed(1.0018 ** Math.max(-400, Math.min(400, event.deltaY * size)), at));
  } else {
    const sideways = event.shiftKey && !event.deltaX ? event.deltaY : event.deltaX;
    if (Math.abs(sideways) <= Math.abs(event.deltaY) && !event.shiftKey) return;
    event.preventDefault();
    showRange(wf, wf.scale.panned((sideways * size) / wf.scale.width));
  }
  hideTip(wf);
}

/** @param {any} wf @param {AbortSignal} signal */
export function listenMap(wf, signal) {
  const { map } = wf;
  map.addEventListener("dblclick", () => showRange(wf, null), { signal });
  map.addEventListener(
    "pointermove",
    (/** @type {PointerEvent} */ event) => {
      if (!wf.dragging) map.style.cursor = mapEdgeAt(wf, pointIn(map, event).x) ? "ew-resize" : "crosshair";
    },
    { signal },
  );
  map.addEventListener(
    "pointerdown",
    (/** @type {PointerEvent} */ event) => {
      if (event.button !== 0) return;
      const { scale } = wf;
      const ms = (/** @type {number} */ x) => scale.low + (Math.min(Math.max(x, 0), scale.width) / scale.width) * (scale.high - scale.low);
      const x = (/** @type {number} */ at) => ((at - scale.low) / (scale.high - scale.low)) * scale.width;
      const begin = pointIn(map, event).x;
      const edge = mapEdgeAt(wf, begin);
      const fixed = edge === "from" ? x(scale.to) : edge === "to" ? x(scale.from) : begin;
      let moved = false;
      follow(wf, event, map, {
        move: (later) => {
          const now = pointIn(map, later).x;
          moved ||= Math.abs(now - begin) >= SLACK;
          if (moved) wf.mapRange = [fixed, Math.min(Math.max(now, 0), scale.width)];
          wf.redraw();
        },
        end: (later) => {
          const range = wf.mapRange;
          wf.mapRange = null;
          if (range && later) showRange(wf, scale.inside(ms(Math.min(...range)), ms(Math.max(...range))));
          else if (later && !moved && !edge && !scale.whole) {
            showRange(wf, scale.panned((ms(begin) - (scale.from + scale.to) / 2) / (scale.to - scale.from)));
          }
          wf.redraw();
        },
      });
    },
    { signal },
  );
}

/** The edge between names and bars. @param {any} wf @param {HTMLElement} divider @param {AbortSignal} signal */
export function listenDivider(wf, divider, signal) {
  divider.addEventListener(
    "pointerdown",
    (event) => {
      event.preventDefault();
      const before = wf.labelWidth - event.clientX;
      follow(wf, event, divider, { move: (later) => wf.setLabelWidth(before + later.clientX), end: () => {} });
    },
    { signal },
  );
  divider.addEventListener("dblclick", () => wf.setLabelWidth(0), { signal });
  divider.addEventListener(
    "keydown",
    (event) => {
      const by = event.key === "ArrowLeft" ? -16 : event.key === "ArrowRight" ? 16 : 0;
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      wf.setLabelWidth(wf.labelWidth + by);
    },
    { signal },
  );
}
