// @ts-check
/** Time to pixels: the part of the traces that is seen, and the ticks of its axis. */

const STEPS = [1, 2, 5, 10];
const CLOCK_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

export class Scale {
  /** @param {number} low @param {number} high the whole, in ms */
  constructor(low, high) {
    this.low = low;
    this.high = high > low ? high : low + 1;
    this.from = this.low;
    this.to = this.high;
    /** Where the bars begin, and how wide they are, in CSS pixels. */
    this.left = 0;
    this.width = 1;
  }

  /** @param {number} ms */
  x(ms) {
    return this.left + ((ms - this.from) / (this.to - this.from)) * this.width;
  }

  /** @param {number} x */
  ms(x) {
    return this.from + ((x - this.left) / this.width) * (this.to - this.from);
  }

  get whole() {
    return this.from <= this.low && this.to >= this.high;
  }

  /** @param {any} view the trait: null, or [from, to] */
  show(view) {
    const fine = Array.isArray(view) && view.length === 2 && Number.isFinite(view[0]) && Number.isFinite(view[1]);
    [this.from, this.to] = fine && view[1] > view[0] ? this.inside(view[0], view[1]) : [this.low, this.high];
  }

  /**
   * The nearest range that lies in the whole and is not shorter than what numbers can tell apart.
   * @param {number} from @param {number} to @returns {[number, number]}
   */
  inside(from, to) {
    const all = this.high - this.low;
    const length = Math.min(all, Math.max(to - from, all * 1e-9, 1e-5));
    const middle = (from + to) / 2;
    const start = Math.min(Math.max(middle - length / 2, this.low), this.high - length);
    return [start, start + length];
  }

  /** @param {number} factor below 1: nearer @param {number} [at] the instant that stays where it is, in ms @returns {[number, number]} */
  zoomed(factor, at = (this.from + this.to) / 2) {
    const length = Math.min((this.to - this.from) * factor, this.high - this.low);
    const share = (at - this.from) / (this.to - this.from);
    const start = Math.min(Math.max(at - share * length, this.low), this.high - length);
    return this.inside(start, start + length);
  }

  /** @param {number} share of what is seen @returns {[number, number]} */
  panned(share) {
    const length = this.to - this.from;
    const start = Math.min(Math.max(this.from + share * length, this.low), this.high - length);
    return [start, start + length];
  }

  /** Distance between ticks that lie at least so many pixels apart, in ms. @param {number} apart */
  step(apart) {
    const rough = ((this.to - this.from) / this.width) * apart;
    if (rough > 1000) {
      const seconds = CLOCK_STEPS.find((step) => step * 1000 >= rough);
      if (seconds) return seconds * 1000;
      return Math.ceil(rough / 86400000) * 86400000;
    }
    const power = 10 ** Math.floor(Math.log10(rough));
    return power * /** @type {number} */ (STEPS.find((step) => step * power >= rough * 0.999999));
  }
}

/**
 * What a tick says; the unit is that of the longest number in view.
 * @param {number} ms
 * @param {number} step
 * @param {number} most the largest size of an instant in view
 */
export function tickText(ms, step, most) {
  const value = Math.abs(ms) < step / 1e6 ? 0 : ms;
  if (most >= 120000 && step >= 1000) {
    const seconds = Math.round(Math.abs(value) / 1000);
    const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
    const clock = `${Math.floor(seconds / 60) % 60}`;
    const hours = Math.floor(seconds / 3600);
    return `${value < 0 ? "-" : ""}${hours ? `${hours}:${clock.padStart(2, "0")}` : clock}:${two(seconds % 60)}`;
  }
  const [unit, scale] = most >= 1000 ? ["s", 1e-3] : most >= 1 ? ["ms", 1] : most >= 1e-3 ? ["µs", 1e3] : ["ns", 1e6];
  const digits = Math.max(0, Math.min(9, -Math.floor(Math.log10(step * Number(scale)) + 1e-9)));
  return `${(value * Number(scale)).toFixed(digits)} ${unit}`;
}
