// @ts-check
/** The elements of the widget, and where each of them stands. */
import { foldAll, foldLevel } from "./actions.js";
import { makeDetail } from "./detail.js";
import { button, make } from "./dom.js";
import { counted, instantText } from "./format.js";
import { makeHelp } from "./keys.js";
import { makeLegend, makeToolbar } from "./toolbar.js";
import { makeTip } from "./tooltip.js";

/** Put the elements in their places. @param {any} wf */
export function build(wf) {
  const { data, root, scroller, spacer, canvas } = wf;
  wf.tip = makeTip(wf);
  wf.help = makeHelp(wf);
  wf.toolbar = makeToolbar(wf);
  wf.legend = makeLegend(wf);
  wf.detailBox = makeDetail(wf);
  const title = make("div", "ta-title");
  const one = data.traces.length === 1 ? data.traces[0] : null;
  const errors = data.errors[data.n];
  const whole = `${counted(data.traces.length, "trace")} · ${counted(data.n, "span")}${errors ? ` · ${counted(errors, "error")}` : ""}`;
  title.append(make("strong", "", one ? one.title : whole, { title: one ? one.title : whole }));
  if (one?.started_at) title.append(make("span", "ta-muted", instantText(one.started_at)));
  const pin = make("div", "ta-pin");
  pin.append(canvas);
  scroller.append(pin, spacer);
  canvas.setAttribute("aria-label", `Waterfall of ${whole}. Arrow keys move through time, j and k through rows, ? lists the keys.`);
  const tools = make("div", "ta-corner-tools");
  tools.append(
    button("−", "Collapse one level (p)", () => foldLevel(wf, true), "ta-quiet"),
    button("+", "Expand one level (o)", () => foldLevel(wf, false), "ta-quiet"),
    button("⊟", "Collapse all (])", () => foldAll(wf, true), "ta-quiet"),
    button("⊞", "Expand all ([)", () => foldAll(wf, false), "ta-quiet"),
  );
  wf.corner = make("div", "ta-corner");
  wf.shownText = make("span", "ta-muted ta-shown");
  wf.corner.append(wf.shownText, tools);
  const headRow = make("div", "ta-head");
  headRow.append(wf.corner, wf.axis);
  const mapRow = make("div", "ta-map-row");
  wf.mapCorner = make("div", "ta-map-corner");
  wf.viewText = make("strong");
  wf.mapCorner.append(make("span", "ta-muted", "In view"), wf.viewText);
  mapRow.append(wf.mapCorner, wf.map);
  wf.divider = make("div", "ta-divider", "", { role: "separator", "aria-orientation": "vertical", "aria-label": "Width of the names", tabindex: "0" });
  wf.empty = make("div", "ta-empty");
  wf.emptyText = make("p");
  wf.emptyClear = button("Clear filter", "Clear the filter", () => {
    wf.put("filter", "");
    if (wf.rows.askedCount === 0) wf.put("only", false);
  });
  wf.empty.append(wf.emptyText, wf.emptyClear);
  const chart = make("div", "ta-chart");
  chart.append(mapRow, headRow, scroller, wf.divider, wf.empty);
  const main = make("div", "ta-main");
  main.append(chart, wf.detailBox);
  root.append(title, wf.toolbar.box, wf.toolbar.error, wf.legend.box, main, wf.live, wf.tip.box, wf.help.box);
  wf.el.append(root);
}
