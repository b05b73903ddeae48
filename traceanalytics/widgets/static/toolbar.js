// @ts-check
/** Search, overlays, colours; below them what the colours mean. */
import { nextAsked, showRange } from "./actions.js";
import { button, choice, make } from "./dom.js";
import { counted, grouped } from "./format.js";

/** @param {any} wf */
export function makeToolbar(wf) {
  const { model, data } = wf;
  const box = make("div", "ta-toolbar", "", { role: "toolbar", "aria-label": "Waterfall" });
  const search = make("input", "ta-search", "", {
    type: "search",
    placeholder: "Search names and services, or { duration > 5ms }",
    "aria-label": "Search: text, or a TraceQL filter in braces",
    spellcheck: "false",
    autocomplete: "off",
  });
  const count = make("span", "ta-count", "", { role: "status" });
  const field = make("div", "ta-field");
  const steps = make("span", "ta-steps");
  steps.append(
    button("↑", "Previous match (b)", () => nextAsked(wf, -1), "ta-quiet"),
    button("↓", "Next match (f)", () => nextAsked(wf, 1), "ta-quiet"),
  );
  field.append(search, count, steps);
  let timer = 0;
  const send = () => {
    clearTimeout(timer);
    if (search.value !== model.get("filter")) wf.put("filter", search.value);
  };
  search.addEventListener("input", () => {
    clearTimeout(timer);
    const half = search.value.trim().startsWith("{") && !search.value.trim().endsWith("}");
    if (!half) timer = window.setTimeout(send, search.value ? 150 : 0); // half a filter is no filter
  });
  search.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    send();
    nextAsked(wf, event.shiftKey ? -1 : 1);
  });
  const highlight = choice(
    "Highlight",
    [
      ["", "nothing"],
      ["critical_path", "critical path"],
      ["errors", "errors"],
    ],
    (value) => wf.put("highlight", value || null),
  );
  const only = make("label", "ta-switch");
  const check = make("input", "", "", { type: "checkbox", "aria-label": "Matches only" });
  check.addEventListener("change", () => wf.put("only", check.checked));
  only.append(check, make("span", "", "Matches only"));
  const color = choice(
    "Colour",
    colorKeys(wf).map((key) => /** @type {[string, string]} */ ([key, key])),
    (value) => wf.put("color", value),
  );
  const all = button("Fit", "Show all of the time (0)", () => showRange(wf, null));
  const details = button("Details", "Details of the span (Enter)", () => wf.openDetail(!wf.detailOpen));
  details.setAttribute("aria-pressed", "false");
  const help = button("?", "Keys (?)", () => wf.help.show(wf.help.box.hidden), "ta-round");
  const end = make("div", "ta-end");
  end.append(all, details, help);
  box.append(field, highlight.box, only, color.box, end);
  const error = make("div", "ta-error", "", { role: "alert" });
  error.hidden = true;
  wf.signal.addEventListener("abort", () => clearTimeout(timer));

  /** Show what the model says. */
  function update() {
    const filter = model.get("filter") ?? "";
    if (search.value !== filter && !(document.activeElement === search && search.value.trim() === filter.trim())) search.value = filter;
    highlight.list.value = wf.highlight ?? "";
    check.checked = Boolean(model.get("only"));
    color.list.value = model.get("color") ?? "service";
    all.disabled = wf.scale.whole;
    details.setAttribute("aria-pressed", String(wf.detailOpen));
    const text = filter.trim();
    const message = wf.filterError();
    const asks = !wf.rows.all && !message;
    count.textContent = asks ? `${grouped(wf.rows.askedCount)} of ${grouped(data.n)}` : text.startsWith("{") && !message && wf.rows.all ? "…" : "";
    count.title = asks ? `${counted(wf.rows.askedCount, "span")} in question` : "";
    steps.hidden = !asks;
    error.hidden = !message;
    error.textContent = message;
    search.setAttribute("aria-invalid", String(Boolean(message)));
  }
  return { box, error, search, update };
}

/** An exported page has only the colours that were exported. @param {any} wf @returns {string[]} */
function colorKeys(wf) {
  const { tables } = wf.data;
  const keys = [...new Set(["service", "kind", "status", ...(tables.color_keys ?? [])])];
  const now = wf.model.get("color") ?? "service";
  const sent = wf.model.get("_color_table")?.key;
  const fine = tables.offline ? keys.filter((/** @type {string} */ key) => ["service", "kind", "status", sent].includes(key)) : keys;
  return fine.includes(now) ? fine : [...fine, now];
}

/** What the colours mean, the commonest first; two lines at most until asked for more. @param {any} wf */
export function makeLegend(wf) {
  const box = make("div", "ta-legend", "", { role: "group", "aria-label": "Colours" });
  let open = false;
  function fill() {
    const { palette, data } = wf;
    const last = palette.fills.length - 1;
    const counts = new Int32Array(last + 1);
    for (let r = 0; r < data.n; r += 1) counts[Math.min(palette.codes[r], last)] += 1;
    const order = [...counts.keys()].filter((code) => counts[code]).sort((a, b) => counts[b] - counts[a] || a - b);
    box.replaceChildren();
    const filter = wf.model.get("filter");
    for (const code of order.slice(0, 400)) {
      const label = code < last ? String(palette.labels[code]) : palette.none;
      const clicks = palette.codes === data.service && code < last;
      const chip = make(clicks ? "button" : "span", "ta-chip", "", { title: `${label}: ${counted(counts[code], "span")}` });
      const swatch = make("i", `ta-swatch ta-hatch-${Number(palette.patterns[code]) || 0}`);
      swatch.style.backgroundColor = palette.fills[code];
      swatch.style.borderColor = palette.edges[code];
      chip.append(swatch, make("span", "ta-chip-text", label), make("small", "", grouped(counts[code])));
      if (clicks) {
        chip.type = "button";
        chip.setAttribute("aria-pressed", String(filter === label));
        chip.addEventListener("click", () => wf.put("filter", wf.model.get("filter") === label ? "" : label));
      }
      box.append(chip);
    }
    fit();
  }
  const rest = button("", "Show all colours", () => {
    open = !open;
    fit();
  }, "ta-quiet ta-more");

  /** Hide the chips below the second line. */
  function fit() {
    rest.remove();
    const chips = /** @type {HTMLElement[]} */ ([...box.children]);
    for (const chip of chips) chip.hidden = false;
    if (!chips.length || !box.offsetWidth) return;
    const lines = [...new Set(chips.map((chip) => chip.offsetTop))].sort((a, b) => a - b);
    if (lines.length <= 2) return;
    box.append(rest);
    if (open) {
      rest.textContent = "less";
      return;
    }
    let shown = chips.filter((chip) => chip.offsetTop <= lines[1]).length;
    for (const chip of chips.slice(shown)) chip.hidden = true;
    rest.textContent = `+${chips.length - shown}`;
    while (shown > 1 && rest.offsetTop > lines[1] + 4) {
      chips[(shown -= 1)].hidden = true;
      rest.textContent = `+${chips.length - shown}`;
    }
  }
  return { box, fill, fit };
}
