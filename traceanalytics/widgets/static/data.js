// @ts-check
/** The kernel's columns as typed arrays, and what follows from them, worked out once. Rows are spans in pre-order. */

export const ERROR = 1 << 5;
export const LOOSE = 1 << 6;
export const DETACHED = 1 << 7;
export const RAISED = 1 << 9;
export const LINKS = 1 << 10;
export const LINKED = 1 << 11;
export const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"];
export const STATUSES = ["unset", "ok", "error", "?"];

/**
 * A trait of bytes as a typed array; buffers of a message may begin anywhere, which typed arrays do not bear.
 * @param {any} value
 * @param {any} Kind
 * @returns {any}
 */
export function typed(value, Kind) {
  if (!value || !value.byteLength) return new Kind(0);
  const buffer = value.buffer ?? value;
  const offset = value.byteOffset ?? 0;
  const size = Kind.BYTES_PER_ELEMENT;
  const length = Math.floor(value.byteLength / size);
  return offset % size ? new Kind(buffer.slice(offset, offset + length * size)) : new Kind(buffer, offset, length);
}

/** Whole numbers in as many bytes as the column has for each of its n rows. @param {any} value @param {number} n */
export function codesIn(value, n) {
  const bytes = n && value ? value.byteLength / n : 1;
  return typed(value, bytes >= 4 ? Uint32Array : bytes >= 2 ? Uint16Array : Uint8Array);
}

/**
 * Order items by their row: those of row r are order[offset[r]] .. order[offset[r + 1] - 1]; ~r stands for r, too.
 * @param {Int32Array} rows
 * @param {number} n
 */
function byRow(rows, n) {
  const offset = new Int32Array(n + 1);
  for (const row of rows) offset[(row < 0 ? ~row : row) + 1] += 1;
  for (let r = 0; r < n; r += 1) offset[r + 1] += offset[r];
  const next = offset.slice();
  const order = new Int32Array(rows.length);
  for (let at = 0; at < rows.length; at += 1) order[next[rows[at] < 0 ? ~rows[at] : rows[at]]++] = at;
  return { offset, order };
}

/** @param {any} model @returns {any} */
export function readData(model) {
  const tables = model.get("_tables") ?? {};
  const start = typed(model.get("_start"), Float64Array);
  const n = start.length;
  const traces = tables.traces ?? [];
  const data = {
    n,
    tables,
    traces,
    names: tables.names ?? [],
    services: tables.services ?? [],
    start,
    end: typed(model.get("_end"), Float64Array),
    parent: typed(model.get("_parent"), Int32Array),
    name: codesIn(model.get("_name"), n),
    service: codesIn(model.get("_service"), n),
    bits: typed(model.get("_bits"), Uint16Array),
    depth: new Int32Array(n),
    /** Where the rows below a row end. */
    below: new Int32Array(n),
    /** Errors among the rows before one. */
    errors: new Int32Array(n + 1),
    trace: new Uint16Array(n),
    deepest: 0,
    low: 0,
    high: 0,
    path: readPath(model, traces, start, n),
    events: readEvents(model, n),
  };
  const { depth, below, errors, parent, bits } = data;
  for (let r = 0; r < n; r += 1) {
    depth[r] = parent[r] < 0 ? 0 : depth[parent[r]] + 1;
    if (depth[r] > data.deepest) data.deepest = depth[r];
    errors[r + 1] = errors[r] + (bits[r] & ERROR ? 1 : 0);
  }
  for (let r = n - 1; r >= 0; r -= 1) {
    if (!below[r]) below[r] = r + 1;
    if (parent[r] >= 0 && below[r] > below[parent[r]]) below[parent[r]] = below[r];
  }
  traces.forEach((/** @type {any} */ trace, /** @type {number} */ at) => {
    data.trace.fill(at, trace.first_row, trace.first_row + trace.n_rows);
    if (Number.isFinite(trace.first_ms)) data.low = Math.min(data.low, trace.first_ms);
    if (Number.isFinite(trace.last_ms)) data.high = Math.max(data.high, trace.last_ms);
  });
  return data;
}

/** @param {any} model @param {any[]} traces @param {Float64Array} start @param {number} n */
function readPath(model, traces, start, n) {
  const row = typed(model.get("_path_row"), Int32Array);
  const end = typed(model.get("_path_end"), Float64Array);
  const begin = new Float64Array(end.length);
  for (const trace of traces) {
    let before = start[trace.main_row];
    for (let at = trace.first_segment; at < trace.first_segment + trace.n_segments; at += 1) {
      begin[at] = before;
      before = end[at];
    }
  }
  return { row, begin, end, ...byRow(row, n) };
}

/** @param {any} model @param {number} n */
function readEvents(model, n) {
  const row = typed(model.get("_event_row"), Int32Array);
  return { row, time: typed(model.get("_event_time"), Float64Array), ...byRow(row, n) };
}

/** @param {any} data @param {number} row */
export function nameOf(data, row) {
  const name = data.names[data.name[row]] ?? "";
  return name.trim() ? name : "(no name)";
}

/** "" where the span has no service. @param {any} data @param {number} row */
export function serviceOf(data, row) {
  return data.services[data.service[row]] ?? "";
}

/** @param {any} data @param {number} row */
export function lengthOf(data, row) {
  return data.end[row] - data.start[row];
}

/** Time of a row on the critical path, waiting left out, in ms. @param {any} data @param {number} row */
export function pathMs(data, row) {
  const { offset, order, begin, end, row: rows } = data.path;
  let total = 0;
  for (let at = offset[row]; at < offset[row + 1]; at += 1) {
    if (rows[order[at]] >= 0) total += end[order[at]] - begin[order[at]];
  }
  return total;
}
