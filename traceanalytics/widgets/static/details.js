// @ts-check
/** Details of spans, asked from the kernel (in an exported page: from the page) on demand. */

const KEPT = 100;
const PATIENCE = 15000;

/**
 * Returns a function that calls back with the detail of a row: at once where it is at hand, with null where it is not to be had.
 * @param {any} wf
 * @returns {(row: number, call: (detail: any) => void) => void}
 */
export function detailSource(wf) {
  const { model, signal } = wf;
  /** @type {Map<number, any>} */
  const known = new Map();
  /** @type {Map<number, {calls: ((detail: any) => void)[], timer: number}>} */
  const waiting = new Map();
  /** @param {number} row @param {any} detail */
  function answer(row, detail) {
    const asked = waiting.get(row);
    if (detail) known.set(row, detail);
    if (known.size > KEPT) known.delete(/** @type {number} */ (known.keys().next().value));
    waiting.delete(row);
    clearTimeout(asked?.timer);
    asked?.calls.forEach((call) => call(detail));
  }

  const hear = (/** @type {any} */ message) => {
    if (message?.type === "detail" && Number.isInteger(message.row)) answer(message.row, message.detail ?? null);
  };
  model.on("msg:custom", hear);
  signal.addEventListener("abort", () => {
    model.off("msg:custom", hear);
    for (const { timer } of waiting.values()) clearTimeout(timer);
  });

  let request = 0;
  return (row, call) => {
    if (known.has(row)) return call(known.get(row));
    const asked = waiting.get(row);
    if (asked) asked.calls.push(call);
    else {
      waiting.set(row, { calls: [call], timer: window.setTimeout(() => answer(row, null), PATIENCE) });
      model.send({ type: "detail", row, request: (request += 1) });
    }
    return undefined;
  };
}
