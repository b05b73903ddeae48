// @ts-check
/** All about one span. Everything that comes from the trace is text of an element, never markup. */
import { goTo } from "./actions.js";
import { KINDS, STATUSES, lengthOf, nameOf, serviceOf } from "./data.js";
import { button, copyText, make, visible } from "./dom.js";
import { durationText, exactText, grouped } from "./format.js";

const LONG = 400;
const MOST = 500;

/** @param {any} wf */
export function makeDetail(wf) {
  const box = make("aside", "ta-detail", "", { "aria-label": "Details of the span", tabindex: "-1" });
  box.hidden = true;
  return box;
}

/** @param {any} wf @param {number} row @param {any} detail undefined: asked for; null: not to be had */
export function fillDetail(wf, row, detail) {
  const { data, detailBox: box } = wf;
  const place = box.scrollTop;
  const same = box.dataset.row === String(row);
  box.dataset.row = String(row);
  box.replaceChildren();
  const head = make("header", "ta-detail-head");
  const title = make("div", "ta-detail-title");
  if (row < 0) {
    title.append(make("span", "ta-muted", "No span is selected"));
    head.append(title, button("✕", "Close (Esc)", () => wf.openDetail(false), "ta-quiet"));
    box.append(head);
    return;
  }
  const swatch = make("i", "ta-swatch");
  swatch.style.backgroundColor = wf.palette.fills[Math.min(wf.palette.codes[row], wf.palette.fills.length - 1)];
  const heading = make("strong", "", nameOf(data, row));
  title.append(swatch, heading, make("span", "ta-muted", serviceOf(data, row) || "no service"));
  head.append(title, button("✕", "Close (Esc)", () => wf.openDetail(false), "ta-quiet"));
  box.append(head, factsOf(wf, row, detail ?? {}));
  if (detail === undefined) box.append(make("p", "ta-muted ta-note", "Loading …"));
  else if (!detail) box.append(make("p", "ta-muted ta-note", "Attributes and events of this span are not part of this page."));
  else {
    box.append(attributesOf(wf, detail.attributes ?? []));
    const events = detail.events ?? [];
    if (events.length) box.append(eventsOf(wf, events));
    if ((detail.links ?? []).length) box.append(linksOf(wf, detail.links));
    if ((detail.linked_from ?? []).length) box.append(linkedFrom(wf, detail.linked_from));
  }
  box.scrollTop = same ? place : 0;
}

/** @param {string} title @param {number} [count] */
function part(title, count) {
  const section = make("section");
  const head = make("div", "ta-part-head");
  const heading = make("h4", "", title);
  if (count !== undefined) heading.append(make("small", "", grouped(count)));
  head.append(heading);
  section.append(head);
  return { section, head };
}

/** @param {any} wf @param {number} row @param {any} detail */
function factsOf(wf, row, detail) {
  const { data } = wf;
  const bits = data.bits[row];
  const list = make("dl", "ta-facts");
  /** @param {string} key @param {any} value @param {string} [className] @param {boolean} [copies] */
  const fact = (key, value, className = "", copies = false) => {
    if (value === null || value === undefined || value === "") return;
    const text = make("dd", className);
    text.append(make("span", "ta-value", visible(String(value))));
    if (copies) text.append(copier(wf, String(value)));
    list.append(make("dt", "", key), text);
  };
  const status = detail.status ? String(detail.status).toLowerCase() : STATUSES[(bits >> 3) & 3];
  fact("duration", exactText(detail.duration_ms ?? lengthOf(data, row)), "ta-number");
  fact("starts at", exactText(detail.offset_ms ?? data.start[row]), "ta-number");
  if (typeof detail.self_ms === "number") fact("self time", exactText(detail.self_ms), "ta-number");
  if (typeof detail.path_ms === "number" && detail.path_ms > 0) fact("critical path", exactText(detail.path_ms), "ta-number");
  fact("kind", detail.kind ? String(detail.kind).toLowerCase() : KINDS[bits & 7]);
  fact("status", detail.status_message ? `${status}: ${detail.status_message}` : status, bits & 32 ? "ta-failed" : "");
  if (Array.isArray(detail.flags) && detail.flags.length) fact("flags", detail.flags.join(", "));
  fact("start", detail.start, "ta-number");
  fact("scope", detail.scope);
  if (detail.children) fact("children", grouped(Number(detail.children)));
  fact("span id", detail.span_id, "ta-mono", true);
  fact("parent", detail.parent_span_id, "ta-mono", true);
  fact("trace id", detail.trace_id, "ta-mono", true);
  return list;
}

/** @param {any} wf @param {string} text */
function copier(wf, text) {
  return button("⧉", "Copy", () => copied(wf, text), "ta-quiet ta-copy");
}

/** @param {any} wf @param {string} text */
async function copied(wf, text) {
  wf.say((await copyText(text, wf.root)) ? "Copied" : "The page may not copy");
}

/** A text of any length: the first part, all of it on request. @param {any} text @param {any} full */
function longText(text, full) {
  const shown = make("span", "ta-value");
  const all = visible(String(text));
  const total = Number(full) || all.length;
  if (all.length <= LONG) shown.textContent = all;
  else {
    shown.textContent = `${all.slice(0, LONG)}…`;
    const more = button(`show ${grouped(all.length)} of ${grouped(total)} characters`, "Show more of this text", () => {
      shown.textContent = all.length < total ? `${all}…` : all;
    }, "ta-quiet ta-unfold");
    shown.append(more);
  }
  return shown;
}

/** @param {any} wf @param {any[]} entries of key, text, full length */
function tableOf(wf, entries) {
  const table = make("table", "ta-table");
  const body = make("tbody");
  for (const [key, text, full] of entries.slice(0, MOST)) {
    const line = make("tr");
    const value = make("td");
    value.append(longText(text, full));
    const copy = make("td", "ta-copy-cell");
    copy.append(copier(wf, String(text)));
    const head = make("th", "", "", { scope: "row" });
    head.append(make("span", "ta-key", visible(String(key))));
    line.append(head, value, copy);
    body.append(line);
  }
  table.append(body);
  return table;
}

/** @param {any} wf @param {any[]} attributes */
function attributesOf(wf, attributes) {
  const { section, head } = part("Attributes", attributes.length);
  if (!attributes.length) {
    section.append(make("p", "ta-muted ta-note", "This span has no attributes."));
    return section;
  }
  const asJson = () => {
    const found = Object.create(null); // keys of a trace may be called __proto__
    for (const [scope, key, text] of attributes) (found[scope] ??= Object.create(null))[key] = text;
    return JSON.stringify(found, null, 2);
  };
  head.append(button("Copy all as JSON", "Copy all attributes as JSON", () => copied(wf, asJson()), "ta-quiet"));
  const scopes = [...new Set(attributes.map((each) => each[0]))];
  for (const scope of scopes) {
    if (scopes.length > 1 || scope !== "span") section.append(make("h5", "", visible(String(scope))));
    section.append(tableOf(wf, attributes.filter((each) => each[0] === scope).map((each) => each.slice(1))));
  }
  return section;
}

/** @param {any} wf @param {any[]} events */
function eventsOf(wf, events) {
  const { section } = part("Events", events.length);
  for (const event of events.slice(0, MOST)) {
    const raised = event.name === "exception";
    const item = make("div", `ta-event${raised ? " ta-event-failed" : ""}`);
    const head = make("div", "ta-event-head");
    head.append(make("i", raised ? "ta-diamond ta-diamond-failed" : "ta-diamond"), make("strong", "", visible(String(event.name ?? ""))));
    if (typeof event.offset_ms === "number") head.append(make("span", "ta-muted ta-number", `+${durationText(event.offset_ms)}`));
    item.append(head);
    if ((event.attributes ?? []).length) item.append(tableOf(wf, event.attributes));
    if (event.stack) {
      const frame = make("div", "ta-stack");
      frame.append(make("pre", "", visible(String(event.stack)), { tabindex: "0" }), copier(wf, String(event.stack)));
      item.append(frame);
    }
    section.append(item);
  }
  return section;
}

/** @param {any} wf @param {number} row */
function jump(wf, row) {
  return button(`${nameOf(wf.data, row)}`, "Go to this span", () => goTo(wf, row), "ta-link");
}

/** @param {any} wf @param {any} row */
function isRow(wf, row) {
  return Number.isInteger(row) && row >= 0 && row < wf.data.n;
}

/** @param {any} wf @param {any[]} links */
function linksOf(wf, links) {
  const { section } = part("Links", links.length);
  for (const link of links.slice(0, MOST)) {
    const item = make("div", "ta-event");
    const head = make("div", "ta-event-head");
    if (isRow(wf, link.row)) head.append(make("span", "", "→"), jump(wf, link.row));
    else head.append(make("span", "ta-mono", visible(`${link.trace_id ?? "?"} / ${link.span_id ?? "?"}`)), ...outside(wf, link));
    item.append(head);
    if ((link.attributes ?? []).length) item.append(tableOf(wf, link.attributes));
    section.append(item);
  }
  return section;
}

/** Where the user's own trace viewer shows a trace. @param {any} wf @param {any} link */
function outside(wf, link) {
  const address = wf.data.tables.trace_url;
  if (typeof address !== "string" || !/^https?:\/\//i.test(address) || !link.trace_id) return [];
  const filled = address
    .replaceAll("{trace_id}", encodeURIComponent(String(link.trace_id)))
    .replaceAll("{span_id}", encodeURIComponent(String(link.span_id ?? "")));
  return [make("a", "ta-link", "open trace ↗", { href: filled, target: "_blank", rel: "noreferrer noopener" })];
}

/** @param {any} wf @param {any[]} rows */
function linkedFrom(wf, rows) {
  const { section } = part("Linked from", rows.length);
  for (const row of rows.slice(0, MOST)) {
    if (!isRow(wf, row)) continue;
    const item = make("div", "ta-event-head");
    item.append(make("span", "", "←"), jump(wf, row), make("span", "ta-muted", serviceOf(wf.data, row)));
    section.append(item);
  }
  return section;
}
