// @ts-check
/** Which rows are shown, and which are in question. Arrays are made once; nothing here makes an object for a span. */

/** @typedef {ReturnType<typeof makeRows>} Rows */

/** @param {any} data */
export function makeRows(data) {
  const n = data.n;
  return {
    /** Spans by row number, titles of traces as ~number of the trace. */
    shown: new Int32Array(n + data.traces.length),
    count: 0,
    /** Where a row is shown, -1 where it is not. */
    place: new Int32Array(n).fill(-1),
    collapsed: new Uint8Array(n),
    asked: new Uint8Array(n).fill(1),
    askedCount: n,
    /** Nothing is asked: all rows are in question. */
    all: true,
    /** In question, or above one that is. */
    kept: new Uint8Array(n),
    /** Another child of the same parent is shown further down. */
    more: new Uint8Array(n),
    seen: new Uint8Array(n),
    selected: new Uint8Array(n),
  };
}

/** @param {any} data @param {Rows} rows @param {any} list */
export function markCollapsed(data, rows, list) {
  rows.collapsed.fill(0);
  for (const row of list ?? []) if (data.below[row] > row + 1) rows.collapsed[row] = 1;
}

/**
 * List the rows to show again: after collapsing, expanding, or with another question.
 * @param {any} data
 * @param {Rows} rows
 * @param {boolean} only leave out what is not in question
 */
export function listRows(data, rows, only) {
  const { shown, place, collapsed, asked, kept, more, seen } = rows;
  const { below, parent, traces } = data;
  const whole = !only || rows.all;
  place.fill(-1);
  if (!whole) {
    kept.set(asked);
    for (let r = data.n - 1; r >= 0; r -= 1) if (kept[r] && parent[r] >= 0) kept[parent[r]] = 1;
  }
  let count = 0;
  for (let t = 0; t < traces.length; t += 1) {
    const end = traces[t].first_row + traces[t].n_rows;
    if (traces.length > 1) shown[count++] = ~t;
    for (let r = traces[t].first_row; r < end; ) {
      if (whole || kept[r]) {
        place[r] = count;
        shown[count++] = r;
      }
      r = collapsed[r] || !(whole || kept[r]) ? below[r] : r + 1;
    }
  }
  rows.count = count;
  more.fill(0);
  seen.fill(0);
  for (let at = count - 1; at >= 0; at -= 1) {
    const row = shown[at];
    if (row < 0 || parent[row] < 0) continue;
    more[row] = seen[parent[row]];
    seen[parent[row]] = 1;
  }
}

/**
 * Settle which rows are in question.
 * @param {any} data
 * @param {Rows} rows
 * @param {{filter: string, highlight: string | null, match: Uint8Array}} question
 */
export function askRows(data, rows, { filter, highlight, match }) {
  const { asked } = rows;
  const n = data.n;
  const text = filter.trim();
  rows.all = false;
  if (text.startsWith("{") && match.length) {
    for (let r = 0; r < n; r += 1) asked[r] = (match[r >> 3] >> (r & 7)) & 1;
  } else if (text && !text.startsWith("{")) {
    const names = hits(data.names, text);
    const services = hits(data.services, text);
    for (let r = 0; r < n; r += 1) asked[r] = names[data.name[r]] | services[data.service[r]];
  } else if (highlight === "errors") {
    for (let r = 0; r < n; r += 1) asked[r] = (data.bits[r] >> 5) & 1;
  } else if (highlight === "critical_path" && data.path.row.length) {
    const { offset } = data.path;
    for (let r = 0; r < n; r += 1) asked[r] = offset[r + 1] > offset[r] ? 1 : 0;
  } else {
    rows.all = true;
    asked.fill(1);
  }
  rows.askedCount = 0;
  for (let r = 0; r < n; r += 1) rows.askedCount += asked[r];
}

/** Which texts of a table hold a text, whatever the case. @param {string[]} table @param {string} text */
function hits(table, text) {
  const low = text.toLowerCase();
  const found = new Uint8Array(Math.max(65536, table.length)); // the code that says "no service" finds a 0, too
  table.forEach((label, at) => {
    if (label.toLowerCase().includes(low)) found[at] = 1;
  });
  return found;
}

/**
 * The collapsed rows as the trait has them, after a change of some.
 * @param {any} data
 * @param {Rows} rows
 * @param {(row: number, collapsed: boolean) => boolean} rule
 */
export function collapsedBy(data, rows, rule) {
  const list = [];
  for (let r = 0; r < data.n; r += 1) {
    if (data.below[r] > r + 1 && rule(r, rows.collapsed[r] === 1)) list.push(r);
  }
  return list;
}

/**
 * One level less or more than what is shown: the depth whose rows are to be collapsed or expanded, -1 for none.
 * @param {any} data @param {Rows} rows @param {boolean} collapse
 */
export function nextLevel(data, rows, collapse) {
  let level = -1;
  for (let at = 0; at < rows.count; at += 1) {
    const row = rows.shown[at];
    if (row < 0 || data.below[row] === row + 1 || (rows.collapsed[row] === 1) === collapse) continue;
    const depth = data.depth[row];
    if (level < 0 || (collapse ? depth > level : depth < level)) level = depth;
  }
  return level;
}
