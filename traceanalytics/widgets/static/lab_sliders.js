// @ts-check
/** Sliders with a box for the exact number, and small choices. The stops of a slider and what is allowed come from the kernel. */
import { boardName } from "./lab_board.js";
import { make } from "./dom.js";

/** Free of the last digits that multiplying by 100 leaves. @param {number} value */
function tidy(value) {
  return Number(value.toPrecision(12));
}

/** The stop nearest to a number. @param {number[]} stops @param {number} value */
export function nearestStop(stops, value) {
  const after = stops.findIndex((stop) => stop >= value);
  if (after < 0) return stops.length - 1;
  if (after === 0) return 0;
  return value - stops[after - 1] < stops[after] - value ? after - 1 : after;
}

/** What a box must hold, in words. @param {any} spec */
function allowedText(spec) {
  const scale = spec.percent ? 100 : 1;
  const unit = spec.percent ? " %" : "";
  const whole = spec.whole ? "a whole number" : "a number";
  if (spec.high > 1e14) return `${whole} ${spec.open_low ? "above" : "from"} ${spec.low * scale}${unit}`;
  return `${whole} ${spec.open_low ? "above" : "from"} ${spec.low * scale} ${spec.open_low ? "and at most" : "to"} ${spec.high * scale}${unit}`;
}

/** @param {any} spec @param {number} value */
function isAllowed(spec, value) {
  if (!Number.isFinite(value) || (spec.whole && !Number.isInteger(value))) return false;
  return (spec.open_low ? value > spec.low : value >= spec.low) && value <= spec.high;
}

/**
 * A slider and a box for one number.
 * @param {any} board
 * @param {any} spec as the kernel tells it
 * @param {{get: () => any, put: (value: any) => void}} value
 * @returns {any} the row
 */
export function buildSlider(board, spec, { get, put }) {
  const row = make("div", "ta-board-control", "", spec.hint ? { title: spec.hint } : {});
  const scale = spec.percent ? 100 : 1;
  const unit = spec.unit ? ` ${spec.unit}` : "";
  const slider = make("input", "ta-board-slider", "", { type: "range", min: "0", max: String(spec.stops.length - 1), step: "1", "aria-label": spec.label });
  const box = make("input", "ta-board-box", "", { type: "number", step: "any", inputmode: "decimal", "aria-label": `${spec.label}${unit}` });
  row.dataset.control = spec.name;
  row.append(make("span", "ta-board-label", spec.label), slider, box, make("span", "ta-board-unit ta-muted", spec.unit));
  const putNew = (/** @type {any} */ number) => {
    if (number !== get()) put(number);
  };
  slider.addEventListener("input", () => putNew(spec.stops[slider.valueAsNumber]));
  const typed = () => {
    const nothing = box.value.trim() === "" && !box.validity.badInput;
    const number = nothing && spec.none ? null : tidy(Number(box.value) / scale);
    const fine = number === null || (!nothing && !box.validity.badInput && isAllowed(spec, number));
    box.setAttribute("aria-invalid", String(!fine));
    box.title = fine ? "" : `Expected ${allowedText(spec)}`;
    if (fine) putNew(number);
    else board.say(`${spec.label}: expected ${allowedText(spec)}`);
  };
  box.addEventListener("change", typed);
  box.addEventListener("blur", () => {
    if (box.getAttribute("aria-invalid") !== "true") return;
    box.setAttribute("aria-invalid", "false");
    box.title = "";
    show();
  });
  box.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter") return typed();
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    event.preventDefault(); // the browser's own step is 1, whatever the number is
    const up = event.key === "ArrowUp";
    const value = get() ?? spec.stops[0];
    const next = up ? spec.stops.find((/** @type {number} */ stop) => stop > value) : spec.stops.findLast((/** @type {number} */ stop) => stop < value);
    if (next === undefined) return;
    putNew(next);
    show();
  });
  const show = () => {
    const value = get();
    const text = value === null ? "" : String(tidy(value * scale));
    slider.value = String(value === null ? 0 : nearestStop(spec.stops, value));
    slider.setAttribute("aria-valuetext", value === null ? "none" : `${tidy(value * scale).toLocaleString("en-US", { maximumFractionDigits: 9 })}${unit}`);
    slider.style.setProperty("--ta-share", `${(slider.valueAsNumber / Math.max(spec.stops.length - 1, 1)) * 100}%`);
    box.value = text;
  };
  board.paints.push(() => {
    // What is being typed stays as it is.
    const typing = document.activeElement === box && box.getAttribute("aria-invalid") === "true";
    if (!typing && box.dataset.shown !== String(get())) {
      box.dataset.shown = String(get());
      box.setAttribute("aria-invalid", "false");
      box.title = "";
      show();
    }
  });
  return row;
}

/**
 * A choice between a few words, as radio buttons in one frame.
 * @param {any} board
 * @param {string} label
 * @param {[any, string][]} choices value and text
 * @param {{get: () => any, put: (value: any) => void}} value
 */
export function buildChoices(board, label, choices, { get, put }) {
  const box = make("div", "ta-board-choices", "", { role: "radiogroup", "aria-label": label });
  const name = boardName();
  const buttons = choices.map(([value, text]) => {
    const holder = make("label", "ta-board-choice");
    const radio = make("input", "", "", { type: "radio", name });
    radio.addEventListener("change", () => put(value));
    holder.append(radio, make("span", "", text));
    box.append(holder);
    return [value, radio, holder];
  });
  board.paints.push(() => {
    for (const [value, radio, holder] of buttons) {
      radio.checked = get() === value;
      holder.classList.toggle("ta-board-chosen", radio.checked);
    }
  });
  return box;
}

/** Rows of controls under a word. @param {string} title @param {any[]} rows */
export function buildGroup(title, rows) {
  const group = make("div", "ta-board-group", "", { role: "group", "aria-label": title });
  group.append(make("div", "ta-board-caption", title), ...rows);
  return group;
}
