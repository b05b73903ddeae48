// @ts-check
/** What storage costs, for pages without a kernel: the sum of `storage_cost`, column by column. The tests hold both to the same numbers. */

const STORAGE_DAY = 86400;

/** Share of traces with an error where a share of the spans has one. @param {number} rate @param {number} spans */
export function errorTraceShare(rate, spans) {
  return rate === 1 ? 1 : -Math.expm1(spans * Math.log1p(-rate));
}

/** The strategies and what they keep: [of error traces, of others, decided at the end]. @param {any} own */
function strategiesWith(own) {
  const yours = Array.isArray(own) ? [own[0], own[1], true] : [own, own, false];
  return Object.entries({ all: [1, 1, false], "head 10 %": [0.1, 0.1, false], "head 1 %": [0.01, 0.01, false], "errors + 1 %": [1, 0.01, true], "your own": yours });
}

/** @param {any} inputs the lab's numbers @returns {any} columns */
export function storageTable(inputs) {
  const { requests_per_s: traces, spans_per_trace: spans, error_size_ratio: size, decision_wait_s: wait } = inputs;
  const errors = inputs.error_level === "span" ? errorTraceShare(inputs.error_rate, spans) : inputs.error_rate;
  const perTrace = spans * inputs.bytes_per_span;
  const perGb = inputs.compression * inputs.replication * (1 + inputs.index_overhead) * inputs.retention_days;
  const complete = traces * perTrace * (errors * size + (1 - errors));
  /** @type {any} */
  const table = {};
  const add = (/** @type {any} */ row) => {
    for (const name in row) (table[name] ??= []).push(row[name]);
  };
  for (const [strategy, [error, healthy, late]] of strategiesWith(inputs.own)) {
    const sent = traces * perTrace * (errors * error * size + (1 - errors) * healthy);
    const stored = ((sent * STORAGE_DAY) / 1e9) * perGb;
    add({
      strategy,
      decided_at: late ? "end" : "start",
      kept_share: errors * error + (1 - errors) * healthy,
      error_kept_share: error,
      healthy_kept_share: healthy,
      collector_bytes_per_s: late ? complete : sent,
      bytes_per_s: sent,
      gb_per_day: (sent * STORAGE_DAY) / 1e9,
      gib_per_day: (sent * STORAGE_DAY) / 2 ** 30,
      stored_gb: stored,
      monthly_cost: inputs.price_per_gb_month === null ? null : stored * inputs.price_per_gb_month,
      buffer_traces: late ? traces * wait : 0,
      buffer_gb: late ? (complete * wait) / 1e9 : 0,
    });
  }
  return table;
}

/** One strategy of a table. @param {any} table @param {number} at @returns {any} */
export function storageRow(table, at) {
  return Object.fromEntries(Object.entries(table).map(([name, column]) => [name, column[at]]));
}
