// @ts-check
// Elements without markup in strings: the page's Trusted Types policy allows none.

/** @type {(id: string) => HTMLElement} */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
export const input = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (byId(id));
export const button = (/** @type {string} */ id) => /** @type {HTMLButtonElement} */ (byId(id));
export const dialog = (/** @type {string} */ id) => /** @type {HTMLDialogElement} */ (byId(id));
export const canvas = (/** @type {string} */ id) => /** @type {HTMLCanvasElement} */ (byId(id));
/** @type {(selector: string, root?: ParentNode) => any} */
export const first = (selector, root = document) => root.querySelector(selector);

/**
 * h("button", {class: "small", onclick: f, "aria-label": "x"}, "text", child)
 * @param {string} tag
 * @param {Record<string, any>} props
 * @param {...any} children
 * @returns {any}
 */
export function h(tag, props = {}, ...children) {
  const made = /** @type {any} */ (document.createElement(tag));
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (name in made && !name.startsWith("aria") && !name.startsWith("data-")) made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** @param {Element} element */
export function show(element, wanted) {
  /** @type {HTMLElement} */ (element).hidden = !wanted;
}

/**
 * Lines in a list that is not there without any.
 * @param {HTMLElement} element
 * @param {string[]} lines
 */
export function list(element, lines) {
  element.replaceChildren(...lines.map((line) => h("li", {}, line)));
  show(element, lines.length > 0);
}

/** @type {WeakMap<Blob, string>} */
const urls = new WeakMap();

/**
 * Show a blob; each has one URL as long as it lives.
 * @param {HTMLImageElement} image
 * @param {Blob} blob
 */
export function picture(image, blob) {
  let url = urls.get(blob);
  if (!url) urls.set(blob, (url = URL.createObjectURL(blob)));
  if (image.src !== url) image.src = url;
}

// `loading="lazy"` fetches what is out of sight in a strip, too.
const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    /** @type {any} */ (target).src = /** @type {any} */ (target).dataset.src;
  }
});

/** A picture that is fetched once it can be seen. @param {string} src */
export function lazy(src) {
  const image = h("img", { alt: "", "data-src": src });
  seen.observe(image);
  return image;
}

/** Give the URL of a blob back that will not be shown again. @param {Blob | null | undefined} blob */
export function release(blob) {
  const url = blob && urls.get(blob);
  if (!url) return;
  urls.delete(blob);
  setTimeout(() => URL.revokeObjectURL(url), 2000);
}

/** @param {number} seconds */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
