// @ts-check
/** Elements, listeners and the clipboard. Texts of a trace reach the page through `textContent` and `fillText` only. */

/**
 * @param {string} tag
 * @param {string} [className]
 * @param {string} [text]
 * @param {Record<string, string>} [attributes]
 * @returns {any}
 */
export function make(tag, className = "", text = "", attributes = {}) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  for (const name in attributes) element.setAttribute(name, attributes[name]);
  return element;
}

/**
 * @param {string} text
 * @param {string} title
 * @param {() => void} run
 * @param {string} [className]
 * @returns {HTMLButtonElement}
 */
export function button(text, title, run, className = "") {
  const element = make("button", `ta-button ${className}`, text, { type: "button", title, "aria-label": title });
  element.addEventListener("click", run);
  return element;
}

/**
 * A drop-down list.
 * @param {string} label
 * @param {[string, string][]} choices value and text
 * @param {(value: string) => void} run
 */
export function choice(label, choices, run) {
  const box = make("label", "ta-choice", label);
  const list = make("select", "", "", { "aria-label": label });
  for (const [value, text] of choices) list.append(make("option", "", text, { value }));
  list.addEventListener("change", () => run(list.value));
  box.append(list);
  return { box, list };
}

/**
 * What a reader sees of a text: control characters and those that turn the direction of writing are marked, not obeyed.
 * @param {string} text
 */
export function visible(text) {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, "\ufffd");
}

/**
 * Copy a text; where the page may not use the clipboard, by way of a selected field.
 * @param {string} text
 * @param {HTMLElement} root
 * @returns {Promise<boolean>}
 */
export async function copyText(text, root) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = make("textarea", "ta-offstage", "", { "aria-hidden": "true", tabindex: "-1" });
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    field.value = text;
    root.append(field);
    field.select();
    let done = false;
    try {
      done = document.execCommand("copy");
    } catch {
      done = false;
    }
    field.remove();
    before?.focus({ preventScroll: true });
    return done;
  }
}
