// @ts-check
/** Sizes, and the sums written out, factor by factor. */
import { errorTraceShare } from "./lab_storage_sums.js";

/** @type {Record<string, [number, string[]]>} */
const SIZE_UNITS = {
  decimal: [1000, ["B", "kB", "MB", "GB", "TB", "PB", "EB"]],
  binary: [1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]],
};

/** @param {number} value */
function threeDigits(value) {
  return Number(value.toPrecision(3)).toLocaleString("en-US", { maximumFractionDigits: 20 });
}

/** Three digits; a whole number below a million has all of its digits. @param {number} value */
export function numberText(value) {
  return Number.isInteger(value) && Math.abs(value) < 1e6 ? value.toLocaleString("en-US") : threeDigits(value);
}

/** A sum of money: whole units from 100 on. @param {number} amount */
export function moneyText(amount) {
  return amount >= 100 && amount < 1e6 ? Math.round(amount).toLocaleString("en-US") : numberText(amount);
}

/** A share in per cent. @param {number} share */
export function shareText(share) {
  return `${numberText(Number((share * 100).toPrecision(12)))} %`;
}

/** @param {number} size bytes @param {string} [units] "decimal" or "binary" */
export function bytesText(size, units = "decimal") {
  const [base, names] = SIZE_UNITS[units];
  let value = size;
  let at = 0;
  while (at < names.length - 1 && value >= base - 0.5) {
    value /= base;
    at += 1;
  }
  return `${value >= 1000 ? Math.round(value).toLocaleString("en-US") : threeDigits(value)} ${names[at]}`;
}

/** Share of traces with an error. @param {any} inputs */
export function errorShare(inputs) {
  return inputs.error_level === "span" ? errorTraceShare(inputs.error_rate, inputs.spans_per_trace) : inputs.error_rate;
}

/** What is kept, as a factor: nothing where it is 1. @param {any} inputs @param {any} row @returns {[string, string][]} */
function keptFactors(inputs, row) {
  const errors = errorShare(inputs);
  const larger = inputs.error_size_ratio === 1 ? "" : ` × ${numberText(inputs.error_size_ratio)}`;
  const { error_kept_share: error, healthy_kept_share: healthy } = row;
  if (row.decided_at === "end") {
    return [[`(${shareText(errors)}${larger} × ${shareText(error)} + ${shareText(1 - errors)} × ${shareText(healthy)})`, "errors kept + others kept"]];
  }
  /** @type {[string, string][]} */
  const found = larger ? [[`(${shareText(errors)}${larger} + ${shareText(1 - errors)})`, "larger errors + others"]] : [];
  return healthy === 1 ? found : [...found, [shareText(healthy), "kept"]];
}

/** Factors with "×" between them. @param {[string, string][]} factors @returns {any[]} */
function product(factors) {
  return factors.flatMap((factor, at) => (at ? ["×", factor] : [factor]));
}

/**
 * The sums of a strategy: lines of [value, caption] with operators between them.
 * @param {any} inputs @param {any} row @param {string} units
 * @returns {{name: string, parts: any[]}[]}
 */
export function storageSums(inputs, row, units) {
  const day = row.gb_per_day * 1e9;
  const { price_per_gb_month: price, retention_days: days } = inputs;
  /** @type {[string, string][]} */
  const load = [[numberText(inputs.requests_per_s), "requests/s"], [numberText(inputs.spans_per_trace), "spans a trace"], [`${numberText(inputs.bytes_per_span)} B`, "a span"]];
  const rate = [bytesText(row.bytes_per_s), ""];
  const kept = [...product([...load, ...keptFactors(inputs, row)]), "=", [`${rate[0]}/s`, "kept"], "×", ["86,400 s", "of a day"], "="];
  const sums = [{ name: "A day", parts: [...kept, [bytesText(day), "units of 1,000"], "=", [bytesText(day, "binary"), "units of 1,024"]] }];
  /** @type {[string, string][]} */
  const disk = [[bytesText(day, units), "a day"]];
  if (inputs.compression !== 1) disk.push([shareText(inputs.compression), "compressed to"]);
  if (inputs.replication !== 1) disk.push([numberText(inputs.replication), "copies"]);
  if (inputs.index_overhead) disk.push([numberText(1 + inputs.index_overhead), "with indices"]);
  disk.push([`${numberText(days)} days`, "kept for"]);
  const stored = [...product(disk), "=", [bytesText(row.stored_gb * 1e9, units), "on disk"]];
  const money = row.monthly_cost === null ? [] : ["×", [numberText(price), "a GB and month"], "=", [moneyText(row.monthly_cost), "a month"]];
  sums.push({ name: "On disk", parts: [...stored, ...money] });
  if (row.decided_at === "end") {
    const wait = ["×", [`${numberText(inputs.decision_wait_s)} s`, "until it decides"], "=", [bytesText(row.buffer_gb * 1e9, units), "in memory"]];
    sums.push({ name: "Collector", parts: [[`${bytesText(row.collector_bytes_per_s, units)}/s`, "all of it comes in"], ...wait] });
  }
  return sums;
}

/** The same as a line of text. @param {{parts: any[]}} sum */
export function sumText({ parts }) {
  return parts.map((part) => (typeof part === "string" ? part : part[0])).join(" ");
}

/** What a strategy means. @param {any} inputs @param {any} row @param {string} units */
export function strategyText(inputs, row, units) {
  const rate = `${bytesText(row.collector_bytes_per_s, units)}/s`;
  const errors = row.error_kept_share;
  const name = row.strategy === "your own" ? "Your own strategy" : `“${row.strategy}”`;
  if (row.decided_at === "end") {
    const what = errors === 1 ? "every one with an error among them" : `${shareText(errors)} of those with an error`;
    return (
      `${name} keeps ${shareText(row.kept_share)} of the traces, ${what}. It saves disk, but no transport: all ${rate} must reach a collector, ` +
      `where ${numberText(row.buffer_traces)} traces (${bytesText(row.buffer_gb * 1e9, units)}) wait for a decision. Its objects take more than the bytes sent.`
    );
  }
  if (errors === 1) return `${name} keeps every trace: ${rate} are sent, stored and paid for.`;
  if (errors === 0) return `${name} keeps nothing, and nothing can be asked later.`;
  return (
    `${name} decides before a trace begins, so ${shareText(1 - errors)} of the traces are never sent: ${rate} are left. ` +
    `It cannot know what will fail: ${shareText(1 - errors)} of the traces with an error are lost too.`
  );
}
