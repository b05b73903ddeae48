// @ts-check
/** Light or dark, as the page around; colours come from the kernel's tables and are taken only in the form #rrggbb. */
import { KINDS, STATUSES } from "./data.js";

const HEX = /^#[0-9a-f]{6}$/i;
const ACCENT = { light: "#1f6fd6", dark: "#74b1ff" };
const KIND_COLORS = ["#a6a6a6", "#56b4e9", "#0072b2", "#e69f00", "#009e73", "#cc79a7"];
const STATUS_COLORS = ["#9aa7b4", "#009e73", "#d1495b", "#a6a6a6"];
const FALLBACK = {
  background: "#ffffff",
  text: "#1a1a1a",
  muted: "#6b6b6b",
  grid: "#dedede",
  band: "#f6f7f8",
  guide: "#c4c8cc",
  path: "#111111",
  wait: "#8a8a8a",
  error: "#b3001b",
  edge: "#000000",
};

/** @param {any} color @param {string} [other] */
export function safeColor(color, other = "#a6a6a6") {
  return typeof color === "string" && HEX.test(color) ? color : other;
}

/** @param {string} color @param {number} at */
function channel(color, at) {
  return parseInt(color.slice(1 + 2 * at, 3 + 2 * at), 16);
}

/** A colour with a share of another one. @param {string} color @param {string} other @param {number} share */
export function mixed(color, other, share) {
  let found = "#";
  for (let at = 0; at < 3; at += 1) {
    const value = Math.round(channel(color, at) * (1 - share) + channel(other, at) * share);
    found += value.toString(16).padStart(2, "0");
  }
  return found;
}

/** As one number of an image's pixels. @param {string} color */
export function pixelOf(color) {
  return (255 << 24) | (channel(color, 2) << 16) | (channel(color, 1) << 8) | channel(color, 0);
}

/** How bright a colour is, 0 to 1. @param {string} color */
export function brightness(color) {
  return (0.299 * channel(color, 0) + 0.587 * channel(color, 1) + 0.114 * channel(color, 2)) / 255;
}

/** @param {any} chosen the trait @returns {"light" | "dark"} */
export function themeName(chosen) {
  if (chosen === "light" || chosen === "dark") return chosen;
  const body = document.body;
  const lab = body.dataset.jpThemeLight;
  if (lab !== undefined) return lab === "false" ? "dark" : "light";
  const kind = body.dataset.vscodeThemeKind ?? body.className;
  if (/vscode-(dark|high-contrast(?!-light))/.test(kind)) return "dark";
  if (/vscode-/.test(kind)) return "light";
  const page = getComputedStyle(body).getPropertyValue("--jp-layout-color0").trim();
  if (HEX.test(page)) return brightness(page) < 0.5 ? "dark" : "light";
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** Call back whenever the page around may have changed its theme. @param {() => void} changed @param {AbortSignal} signal */
export function watchTheme(changed, signal) {
  const query = matchMedia("(prefers-color-scheme: dark)");
  query.addEventListener("change", changed, { signal });
  const watch = new MutationObserver(changed);
  const attributeFilter = ["class", "data-jp-theme-light", "data-vscode-theme-kind"];
  for (const element of [document.documentElement, document.body]) watch.observe(element, { attributes: true, attributeFilter });
  signal.addEventListener("abort", () => watch.disconnect());
}

/** @param {any} tables @param {"light" | "dark"} name @returns {any} */
export function themeColors(tables, name) {
  const given = tables.themes?.[name] ?? {};
  /** @type {any} */
  const theme = { name };
  for (const key in FALLBACK) theme[key] = safeColor(given[key], FALLBACK[/** @type {"text"} */ (key)]);
  theme.accent = ACCENT[name];
  theme.hover = mixed(theme.background, theme.text, name === "dark" ? 0.09 : 0.055);
  theme.chosen = mixed(theme.background, theme.accent, name === "dark" ? 0.24 : 0.14);
  return theme;
}

/** @param {HTMLElement} root @param {any} theme */
export function applyTheme(root, theme) {
  for (const key in theme) {
    if (HEX.test(theme[key])) root.style.setProperty(`--ta-${key}`, theme[key]);
  }
  root.style.colorScheme = theme.name;
}

/**
 * What the bars are coloured by.
 * @param {any} data
 * @param {{key: string, table: any, codes: any, theme: any}} from
 * @returns {any} codes by row; fills, dims and edges by code; labels and patterns by code
 */
export function paletteOf(data, { key, table, codes, theme }) {
  const none = safeColor(data.tables.no_service);
  let found;
  if (key !== "service" && table?.key === key && codes.length === data.n) {
    found = { codes, labels: table.labels ?? [], colors: table.colors ?? [], patterns: [], none: "no value" };
  } else if (key === "kind") {
    const kinds = data.bits.map((/** @type {number} */ bits) => Math.min(bits & 7, 5));
    found = { codes: kinds, labels: KINDS, colors: KIND_COLORS, patterns: [], none: "" };
  } else if (key === "status") {
    const statuses = data.bits.map((/** @type {number} */ bits) => (bits >> 3) & 3);
    found = { codes: statuses, labels: STATUSES, colors: STATUS_COLORS, patterns: [], none: "" };
  } else {
    const { service_colors: colors = [], service_patterns: patterns = [] } = data.tables;
    found = { codes: data.service, labels: data.services, colors, patterns, none: "no service" };
  }
  const fills = found.labels.map((/** @type {any} */ _, /** @type {number} */ at) => safeColor(found.colors[at], none));
  fills.push(none); // of codes beyond the table: rows without a value
  const edge = (/** @type {string} */ fill) => mixed(fill, theme.edge, 0.45);
  const dim = (/** @type {string} */ fill) => mixed(fill, theme.background, 0.7);
  return { ...found, fills, edges: fills.map(edge), dims: fills.map(dim), dimEdges: fills.map(dim).map(edge).map(dim) };
}

/**
 * A hatching over a bar: 1 diagonal, 2 dots, 3 crossed, 4 horizontal; null for none.
 * @param {CanvasRenderingContext2D} context
 * @param {number} number
 * @param {string} color
 */
export function hatching(context, number, color) {
  if (!(number >= 1 && number <= 4)) return null;
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const pen = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
  pen.strokeStyle = pen.fillStyle = color;
  pen.beginPath();
  if (number === 1 || number === 3) {
    for (const shift of [-6, 0, 6]) pen.moveTo(shift - 1, 7), pen.lineTo(shift + 7, -1);
  }
  if (number === 3) {
    for (const shift of [-6, 0, 6]) pen.moveTo(shift - 1, -1), pen.lineTo(shift + 7, 7);
  }
  if (number === 4) pen.moveTo(0, 2.5), pen.lineTo(6, 2.5);
  pen.stroke();
  if (number === 2) pen.fillRect(1, 1, 2, 2), pen.fillRect(4, 4, 2, 2);
  return context.createPattern(tile, "repeat");
}
