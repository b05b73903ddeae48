// @ts-check
/** Numbers as texts, the same ones as in the plots of the kernel. */

/** @param {number} value */
export function grouped(value) {
  return value.toLocaleString("en-US");
}

/** @param {number} count @param {string} noun */
export function counted(count, noun) {
  return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * A duration with three digits and a fitting unit, "?" where it is unknown.
 * @param {number} ms
 */
export function durationText(ms) {
  const size = Math.abs(ms);
  if (Number.isNaN(size)) return "?";
  if (size >= 59999.5) {
    const seconds = Math.round(size / 1000);
    const minutes = Math.floor(seconds / 60);
    const sign = ms < 0 ? "-" : "";
    return minutes < 60
      ? `${sign}${minutes} min ${seconds % 60} s`
      : `${sign}${grouped(Math.floor(minutes / 60))} h ${minutes % 60} min`;
  }
  const [unit, scale] =
    size >= 999.5 ? ["s", 1e-3] : size >= 0.9995 || !size ? ["ms", 1] : size >= 0.0009995 ? ["µs", 1e3] : ["ns", 1e6];
  const value = ms * Number(scale);
  const digits = Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2;
  return `${Number(value.toFixed(digits))} ${unit}`;
}

/**
 * A duration for the detail pane: all digits down to nanoseconds.
 * @param {number | null | undefined} ms
 */
export function exactText(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "unknown";
  const whole = Number(ms.toFixed(6));
  return `${whole.toLocaleString("en-US", { maximumFractionDigits: 6 })} ms`;
}

/** An ISO instant for a headline, cut to milliseconds. @param {string} iso */
export function instantText(iso) {
  const found = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d{1,3})?\d*(?:Z|\+00:00)$/.exec(iso);
  return found ? `${found[1]} ${found[2]}${found[3] ?? ""} UTC` : iso;
}
