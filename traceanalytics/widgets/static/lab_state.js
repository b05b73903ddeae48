// @ts-check
/** What is to be seen: the kernel's last answer, or, while it is to be guessed, the answer before the change. */

/** Whether two sets of changes are the same. @param {any} one @param {any} other */
function sameChanges(one, other) {
  const text = (/** @type {any} */ changes) =>
    JSON.stringify(Object.entries(changes).map(([key, { longer_ms: a = 0, later_ms: b = 0 }]) => [key, a, b]).filter(([, a, b]) => a || b).sort());
  return text(one) === text(other);
}

/**
 * @param {any} lab `lab.shown` keeps what was seen last, with the changes that it belongs to
 * @returns {{tables: any, now: any, changes: any, concealed: boolean, guess: (row: number) => [number, number] | null}}
 */
export function labState(lab) {
  const { model, tables } = lab;
  const now = model.get("_now") ?? {};
  const changes = model.get("changes") ?? {};
  const concealed = Boolean(model.get("predict")) && lab.shown !== null && !sameChanges(changes, lab.shown.changes);
  if (!concealed) lab.shown = { now, changes };
  const { now: seen, changes: before } = lab.shown;
  const of = (/** @type {any} */ from, /** @type {string} */ key, /** @type {string} */ name) =>
    (Object.hasOwn(from, key) ? from[key][name] : 0) ?? 0;
  /** Where a changed span itself would lie, while the rest is to be guessed. @param {number} row */
  const guess = (row) => {
    const key = tables.rows[row].key;
    const later = of(changes, key, "later_ms") - of(before, key, "later_ms");
    const longer = of(changes, key, "longer_ms") - of(before, key, "longer_ms");
    if (!concealed || seen.start[row] === null || (!later && !longer)) return null;
    return [seen.start[row] + later, seen.end[row] + later + longer];
  };
  return { tables, now: seen, changes, concealed, guess };
}
