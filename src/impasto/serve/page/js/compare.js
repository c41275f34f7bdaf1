// @ts-check
// Two pictures, one over the other, with a line between them; zoom and pan, which stay from one pair to the next.

import { byId, first } from "./dom.js";

const area = byId("compare");
const plane = first(".plane", area);
const handle = byId("compare-handle");
const view = { width: 1, height: 1, scale: 1, x: 0, y: 0, split: 0.5, fits: true };

/** @type {HTMLCanvasElement} */
export const before = first(".before", plane);
/** @type {HTMLCanvasElement} */
export const after = first(".after", plane);

/**
 * Two bitmaps; the first is stretched to the second's size.
 * @param {ImageBitmap} left
 * @param {ImageBitmap} right
 */
export function open(left, right) {
  // What was looked at stays in view if the next picture has the same form.
  const same = !view.fits && Math.abs(right.width / right.height / (view.width / view.height) - 1) < 0.01;
  const ratio = view.width / right.width;
  [view.width, view.height] = [right.width, right.height];
  paint(before, left);
  paint(after, right);
  if (same) { view.scale *= ratio; place(); } else fit();
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {ImageBitmap} bitmap
 */
function paint(canvas, bitmap) {
  canvas.width = view.width;
  canvas.height = view.height;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, view.width, view.height);
}

export function fit() {
  const [wide, high] = [area.clientWidth || 1, area.clientHeight || 1];
  view.scale = Math.min(wide / view.width, high / view.height);
  view.x = (wide - view.width * view.scale) / 2;
  view.y = (high - view.height * view.scale) / 2;
  view.fits = true;
  place();
}

/** Lay it out again, once it is visible. */
export const settle = () => (view.fits ? fit : place)();

// One pixel of the picture on one of the screen is 100 %.
const whole = () => 1 / (window.devicePixelRatio || 1);

export function zoomTo(/** @type {number} */ scale, x = area.clientWidth / 2, y = area.clientHeight / 2) {
  const least = Math.min(whole(), area.clientWidth / view.width, area.clientHeight / view.height) / 2;
  const wanted = Math.min(16, Math.max(least, scale));
  view.x = x - (x - view.x) * (wanted / view.scale);
  view.y = y - (y - view.y) * (wanted / view.scale);
  view.scale = wanted;
  view.fits = false;
  place();
}

function place() {
  plane.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  plane.classList.toggle("sharp", !view.fits && view.scale >= 2 * whole());
  const line = view.split * area.clientWidth;
  const cut = Math.min(view.width, Math.max(0, (line - view.x) / view.scale));
  after.style.clipPath = `inset(0 0 0 ${cut}px)`;
  handle.style.left = `${line}px`;
  handle.setAttribute("aria-valuenow", String(Math.round(100 * view.split)));
  byId("zoom-now").textContent = `${Math.round((100 * view.scale) / whole())} %`;
}

/** @param {number} share */
function split(share) {
  view.split = Math.min(1, Math.max(0, share));
  place();
}

export function start() {
  handle.addEventListener("pointerdown", (event) => {
    event.stopPropagation();
    handle.setPointerCapture(event.pointerId);
    const move = (/** @type {PointerEvent} */ moved) => split((moved.clientX - area.getBoundingClientRect().left) / area.clientWidth);
    handle.addEventListener("pointermove", move);
    for (const end of ["pointerup", "pointercancel"]) handle.addEventListener(end, () => handle.removeEventListener("pointermove", move), { once: true });
  });
  handle.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -0.02, ArrowRight: 0.02, ArrowDown: -0.02, ArrowUp: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    split(view.split + by);
  });
  area.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = area.getBoundingClientRect();
    zoomTo(view.scale * Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  fingers();
  byId("zoom-fit").addEventListener("click", fit);
  byId("zoom-100").addEventListener("click", () => zoomTo(whole()));
  byId("zoom-in").addEventListener("click", () => zoomTo(view.scale * 1.5));
  byId("zoom-out").addEventListener("click", () => zoomTo(view.scale / 1.5));
  new ResizeObserver(() => { if (!area.hidden) settle(); }).observe(area);
}

// One finger pans, two pinch.
function fingers() {
  /** @type {Map<number, PointerEvent>} */
  const down = new Map();
  area.addEventListener("pointerdown", (event) => {
    area.setPointerCapture(event.pointerId);
    down.set(event.pointerId, event);
  });
  for (const end of /** @type {const} */ (["pointerup", "pointercancel"])) area.addEventListener(end, (event) => down.delete(event.pointerId));
  area.addEventListener("pointermove", (event) => {
    const last = down.get(event.pointerId);
    if (!last) return;
    const other = [...down.values()].find((one) => one.pointerId !== event.pointerId);
    if (other) {
      const apart = (/** @type {PointerEvent} */ one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      const box = area.getBoundingClientRect();
      zoomTo(view.scale * (apart(event) / Math.max(1, apart(last))), (event.clientX + other.clientX) / 2 - box.left, (event.clientY + other.clientY) / 2 - box.top);
    } else {
      view.x += event.clientX - last.clientX;
      view.y += event.clientY - last.clientY;
      view.fits = false;
      place();
    }
    down.set(event.pointerId, event);
  });
}
