// @ts-check
/** Bars under the mouse: the end changes the length, the middle moves the span with all below it. */

/** @param {any} lab @param {AbortSignal} signal */
export function listenLabBars(lab, signal) {
  lab.chart.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => pressBar(lab, event), { signal });
}

/** @param {any} lab @param {PointerEvent} event */
function pressBar(lab, event) {
  const target = /** @type {HTMLElement} */ (event.target);
  const box = /** @type {HTMLElement | null} */ (target.closest(".ta-lab-span"));
  if (!box || event.button !== 0) return;
  const row = Number(box.dataset.row);
  lab.chart.focus({ preventScroll: true });
  lab.select(row);
  const name = target.closest(".ta-lab-grip") ? "longer_ms" : target.closest(".ta-lab-bar, .ta-lab-guess") ? "later_ms" : "";
  if (!name) return;
  event.preventDefault();
  const { step } = lab.tables;
  const changes = lab.model.get("changes") ?? {};
  const key = lab.tables.rows[row].key;
  const before = (Object.hasOwn(changes, key) ? changes[key][name] : 0) ?? 0;
  const time = (/** @type {PointerEvent} */ at) => lab.scale.ms(at.clientX - lab.axis.getBoundingClientRect().left);
  const from = time(event);
  const stop = new AbortController();
  const listening = { signal: stop.signal };
  lab.signal.addEventListener("abort", () => stop.abort(), listening);
  lab.dragging = name;
  lab.rows[row].box.classList.add("ta-lab-held");
  target.setPointerCapture(event.pointerId);
  const end = () => {
    stop.abort();
    lab.dragging = false;
    lab.rows[row].box.classList.remove("ta-lab-held");
    lab.paint();
    lab.speak();
  };
  target.addEventListener(
    "pointermove",
    (/** @type {PointerEvent} */ later) => lab.change(row, { [name]: Math.round((before + time(later) - from) / step) * step }),
    listening,
  );
  target.addEventListener("pointerup", end, listening);
  target.addEventListener("pointercancel", end, listening);
  lab.root.addEventListener(
    "keydown",
    (/** @type {KeyboardEvent} */ pressed) => {
      if (pressed.key !== "Escape") return;
      lab.change(row, { [name]: before });
      end();
    },
    listening,
  );
}
