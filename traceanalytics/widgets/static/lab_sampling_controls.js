// @ts-check
/** The column of settings: the strategy, its numbers, what storage costs. */
import { make } from "./dom.js";
import { switchBox } from "./lab_board.js";
import { buildChoices, buildGroup, buildSlider } from "./lab_sliders.js";

/** @param {any} board */
export function buildSamplingControls(board) {
  const { model, tables } = board;
  const box = make("div", "ta-board-controls");
  const of = (/** @type {string} */ name) => ({ get: () => model.get(name), put: (/** @type {any} */ value) => board.put(name, value) });
  if (tables.offline) box.append(make("p", "ta-sampling-offline", "This page has no kernel, and shows one sample. Open it in a notebook to draw others."));
  const choices = buildChoices(board, "Strategy", tables.strategies, of("strategy"));
  choices.classList.add("ta-board-list");
  box.append(buildGroup("Strategy", [choices]));
  /** @type {Map<string, any[]>} */
  const groups = new Map([["tail", [switchBox(board, "tail_errors", "Every trace with an error", "Keep every trace in which something failed")]], ["priority", endpointSliders(board)]]);
  for (const spec of tables.controls) groups.set(spec.group, [...(groups.get(spec.group) ?? []), buildSlider(board, spec, of(spec.name))]);
  for (const [name] of tables.strategies) {
    const group = buildGroup("What is kept", groups.get(name) ?? []);
    group.classList.toggle("ta-sampling-endpoints", name === "priority");
    board.paints.push(() => {
      group.hidden = model.get("strategy") !== name;
    });
    box.append(group);
  }
  box.append(buildGroup("Storage, kept for 30 days", groups.get("Storage") ?? []));
  if (tables.offline) for (const input of box.querySelectorAll("input")) input.disabled = true;
  return box;
}

/** A slider for each of the most frequent endpoints. @param {any} board @returns {any[]} */
function endpointSliders(board) {
  const { model, put, tables } = board;
  return tables.endpoints.map((/** @type {string} */ name) => {
    const rules = () => model.get("rules") ?? {};
    const get = () => (Object.hasOwn(rules(), name) ? rules()[name] : model.get("rest_p"));
    return buildSlider(board, { ...tables.share, name: `rule ${name}`, label: name, hint: name }, { get, put: (value) => put("rules", { ...rules(), [name]: value }) });
  });
}
