// @ts-check
/**
 * The host of an exported page: it stands where a notebook's kernel and widget manager would, without either.
 *
 * State lies in the page as JSON, columns as base64 of gzip; what the widget sets stays in the page.
 */

const pageStateId = "traceanalytics-state";

/**
 * @param {string} text base64
 * @returns {Uint8Array<ArrayBuffer>}
 */
function pageBytes(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

/**
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {Promise<ArrayBuffer>}
 */
function pageUnzipped(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/**
 * A model as anywidget hands it to `render`, for a page that has no kernel.
 * @param {Record<string, any>} state
 */
function pageModel(state) {
  /** @type {Map<string, Set<Function>>} */
  const listeners = new Map();
  /** @type {Promise<Record<string, any>> | undefined} */
  let details;
  /** @param {string} event @param {any[]} values */
  const emit = (event, ...values) => {
    for (const listener of [...(listeners.get(event) ?? [])]) listener(...values);
  };
  const readDetails = async () => {
    const zipped = state._details;
    if (!zipped?.byteLength) return {};
    const bytes = new Uint8Array(zipped.buffer, zipped.byteOffset, zipped.byteLength);
    return JSON.parse(new TextDecoder().decode(await pageUnzipped(bytes)));
  };
  return {
    /** @param {string} name */
    get: (name) => state[name],
    /** @param {string} name @param {any} value */
    set(name, value) {
      if (Object.is(state[name], value)) return;
      state[name] = value;
      emit(`change:${name}`, this, value);
      emit("change", this);
    },
    save_changes() {},
    /** @param {any} message */
    async send(message) {
      if (message?.type !== "detail") return;
      details ??= readDetails();
      const detail = (await details)[message.row] ?? null;
      emit("msg:custom", { type: "detail", row: message.row, request: message.request, detail }, []);
    },
    /** @param {string} event @param {Function} listener */
    on(event, listener) {
      if (!listeners.has(event)) listeners.set(event, new Set());
      listeners.get(event)?.add(listener);
    },
    /** @param {string | null} [event] @param {Function | null} [listener] */
    off(event, listener) {
      if (!event) listeners.clear();
      else if (!listener) listeners.delete(event);
      else listeners.get(event)?.delete(listener);
    },
  };
}

/**
 * Draw the widget of this page.
 * @param {{ initialize?: Function, render: Function }} widget
 */
export async function startPage(widget) {
  const el = /** @type {HTMLElement} */ (document.getElementById("widget"));
  try {
    const text = document.getElementById(pageStateId)?.textContent ?? "{}";
    const { state, columns, zipped } = JSON.parse(text);
    for (const name of Object.keys(columns)) {
      state[name] = new DataView(await pageUnzipped(pageBytes(columns[name])));
    }
    for (const name of Object.keys(zipped)) state[name] = new DataView(pageBytes(zipped[name]).buffer);
    const model = pageModel(state);
    const signal = new AbortController().signal;
    await widget.initialize?.({ model, signal });
    await widget.render({ model, el, signal });
  } catch (error) {
    el.textContent = `This page needs a browser of 2023 or later (${error}).`;
    throw error;
  }
}
