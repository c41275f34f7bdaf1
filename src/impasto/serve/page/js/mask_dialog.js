// The mask tool: a dialog in which a mask is painted over a picture. It knows nothing of the rest of the page.

import { byId, h, show } from "./dom.js";
import { blur, selectSimilar } from "./mask_fill.js";
import { MaskPixels, union } from "./mask_pixels.js";
import { decodeMask, encodeMask } from "./mask_png.js";
import { MaskView } from "./mask_view.js";
import { t } from "./texts.js";

const LONGEST = 4096; // pixels of a mask's longer side; the server resizes masks to the size of the painting
const FIRST_BRUSH = 0.08; // of the picture's longer side
const LARGEST_BRUSH = 0.25; // of the picture's longer side
const STEP = 1.15; // of the brush's size, by key
const HARDNESS_STEP = 0.1;
const ZOOM_STEP = 1.25;
const CLICK = 8; // pixels that a finger may move while it clicks
const LINE = 16; // pixels of the screen for one line of a mouse wheel
const OTHER_COLORS = ["#2f7ed8", "#e0a100", "#3d9a4b", "#9b4dca", "#1aa6a6"];
const LETTERS = { e: () => erase(!erases), f: () => fill(!fills), 0: fit, "+": () => zoomBy(ZOOM_STEP), "=": () => zoomBy(ZOOM_STEP), "-": () => zoomBy(1 / ZOOM_STEP) };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const dialog = byId("mask-dialog");
const leave = byId("mask-leave");
const canvas = byId("mask-canvas");
const cursor = byId("mask-cursor");
const view = new MaskView(byId("mask-picture"), canvas);

let task = null; // what is being painted; null while the dialog is closed
let pixels = null;
let colors = null; // the picture in the size of the mask, for filling
let erases = false;
let fills = false;
let lastFill = null; // {point, isStep} while it is the last change: a new tolerance does it again
let fillsAgain = false;
let spot = { x: 0, y: 0 }; // of the brush on the canvas, in the screen's pixels
let isOver = false; // the pointer is over the canvas
let byKeys = false; // the keyboard moved the brush last
let spaceHeld = false;
let stroke = null; // {pointer}
let drag = null; // {pointer, x, y} that pans
let press = null; // {pointer, x, y} where it went down: a fill is a click
let queue = []; // points of the stroke that are not drawn yet
let dirty = null; // box of the mask that is not drawn yet
let stale = false; // all is to be drawn anew
let frame = 0;
const fingers = new Map(); // pointer -> its place on the canvas

/**
 * Lets a mask be painted over a picture.
 * @param {{picture: File, mask: Blob | null, title: string, hint: string, others: {name: string, mask: Blob}[]}} wanted
 * @returns {Promise<Blob | null>} the mask, a gray PNG; the one given if nothing is to change; null if it is black all over
 */
export async function editMask(wanted) {
  if (task) return wanted.mask;
  task = wanted;
  try {
    const picture = await createImageBitmap(wanted.picture, { imageOrientation: "from-image" });
    const factor = Math.min(1, LONGEST / Math.max(picture.width, picture.height));
    pixels = new MaskPixels(...[picture.width, picture.height].map((side) => Math.max(1, Math.round(side * factor))));
    const levels = wanted.mask && (await decodeMask(wanted.mask, pixels.width, pixels.height).catch(() => null));
    if (levels) pixels.open(levels);
    const others = await readOthers(wanted.others);
    await view.open(picture, pixels, others);
    for (const { bitmap } of others) bitmap.close();
    dress(wanted, others);
    if (wanted.mask && !levels) say(t("mask.unreadable", { name: wanted.mask.name ?? "" }));
    return await shown();
  } finally {
    task = pixels = colors = null;
    view.close();
  }
}

// The other masks that the browser can read, with their colors.
async function readOthers(others) {
  const bitmaps = await Promise.all(others.map(({ mask }) => createImageBitmap(mask).catch(() => null)));
  return others.map(({ name }, n) => ({ name, bitmap: bitmaps[n] })).filter(({ bitmap }) => bitmap)
    .slice(0, OTHER_COLORS.length).map((one, n) => ({ ...one, color: OTHER_COLORS[n] }));
}

// The dialog, open until it is closed.
async function shown() {
  const size = new ResizeObserver(() => { view.resize(); redraw(); });
  const outside = { keydown: typed, keyup: released, blur: () => { spaceHeld = false; }, paste: pasted, drop: dropped, dragover: dropped };
  for (const [name, listener] of Object.entries(outside)) window.addEventListener(name, listener, true);
  dialog.showModal();
  canvas.focus();
  view.fits = true;
  view.resize();
  spot = { x: canvas.width / 2, y: canvas.height / 2 };
  size.observe(canvas);
  redraw();
  await new Promise((answer) => dialog.addEventListener("close", answer, { once: true }));
  size.disconnect();
  for (const [name, listener] of Object.entries(outside)) window.removeEventListener(name, listener, true);
  cancelAnimationFrame(frame);
  frame = 0;
  if (leave.open) leave.close();
  return task.result === undefined ? task.mask : task.result;
}

function dress({ title, hint }, others) {
  byId("mask-title").textContent = title;
  byId("mask-hint").textContent = hint;
  byId("mask-others").replaceChildren(...others.map(({ name, color }) => {
    const chip = h("span", { class: "chip" });
    chip.style.backgroundColor = color;
    return h("li", {}, chip, name);
  }));
  show(byId("mask-others"), others.length > 0);
  const longest = Math.max(view.picture.width, view.picture.height);
  byId("mask-size").max = Math.max(2, Math.round(LARGEST_BRUSH * longest));
  byId("mask-feather").max = Math.max(1, Math.round(0.05 * longest));
  byId("mask-feather").value = Math.min(10, byId("mask-feather").max);
  isOver = byKeys = spaceHeld = false;
  stroke = drag = lastFill = dirty = null;
  queue = [];
  fingers.clear();
  resizeBrush(FIRST_BRUSH * longest);
  erase(false);
  fill(false);
  say("");
  sliders();
  steps();
}

// ---- The controls

const number = (id) => Number(byId(id).value);
const say = (sentence) => { byId("mask-said").textContent = sentence; };

// Both the slider, on which sizes grow by ratio, and the field.
function resizeBrush(size) {
  const field = byId("mask-size");
  const wanted = Math.min(Number(field.max), Math.max(1, size || 1));
  field.value = wanted < 10 ? Math.round(10 * wanted) / 10 : Math.round(wanted);
  byId("mask-size-slider").value = (100 * Math.log(wanted)) / Math.log(Number(field.max));
  redraw(null);
}

const sizeOfSlider = () => Math.exp((number("mask-size-slider") / 100) * Math.log(Number(byId("mask-size").max)));
// In pixels of the mask; the field counts those of the picture.
const radius = () => Math.max(0.5, (Math.min(number("mask-size"), Number(byId("mask-size").max)) * view.perPixel) / 2);

function sliders() {
  for (const id of ["mask-hardness", "mask-opacity"]) byId(id).nextElementSibling.textContent = `${Math.round(100 * number(id))} %`;
  byId("mask-tolerance").nextElementSibling.textContent = byId("mask-tolerance").value;
  byId("mask-feather").nextElementSibling.textContent = t("mask.pixels", { count: byId("mask-feather").value });
  redraw(null);
}

function erase(wanted) {
  erases = wanted;
  byId("mask-erase").setAttribute("aria-pressed", String(wanted));
  cursor.classList.toggle("erases", wanted);
}

function fill(wanted) {
  fills = wanted;
  byId("mask-fill").setAttribute("aria-pressed", String(wanted));
  for (const one of dialog.querySelectorAll(".for-brush")) show(one, !wanted);
  for (const one of dialog.querySelectorAll(".for-fill")) show(one, wanted);
  redraw(null);
}

function steps() {
  for (const [id, there] of [["mask-undo", pixels.done.length], ["mask-redo", pixels.undone.length]]) {
    if (!there && document.activeElement === byId(id)) canvas.focus();
    byId(id).disabled = !there;
  }
}

function changed(box, sentence) {
  lastFill = null;
  dirty = union(dirty, box);
  redraw(null);
  steps();
  if (sentence) say(sentence);
}

const back = () => { if (!stroke) changed(pixels.undo(), t("mask.undone")); };
const forth = () => { if (!stroke) changed(pixels.redo(), t("mask.redone")); };

function edit(change, box = pixels.whole) {
  if (stroke) return false;
  const isStep = pixels.change(change, box);
  changed(box);
  return isStep;
}

const invert = () => edit((levels) => { for (let n = 0; n < levels.length; n++) levels[n] = 255 - levels[n]; });
const clear = () => edit((levels) => levels.fill(0));
const feather = () => edit((levels) => blur(levels, pixels.width, pixels.height, number("mask-feather") * view.perPixel));

function fillAt(point) {
  if (point.x < 0 || point.y < 0 || point.x >= pixels.width || point.y >= pixels.height) return;
  const { selected, box } = selectSimilar(pictureColors(), point, number("mask-tolerance"), byId("mask-contiguous").checked);
  const [level, opacity, { width }] = [erases ? 0 : 255, number("mask-opacity"), pixels];
  const isStep = edit((levels) => {
    for (let y = box.top; y < box.bottom; y++) {
      for (let at = y * width + box.left, end = y * width + box.right; at < end; at++) {
        if (selected[at]) levels[at] += (level - levels[at]) * opacity + 0.5;
      }
    }
  }, box);
  lastFill = { point, isStep };
}

// While a fill is the last change, its controls change it.
function fillAgain() {
  fillsAgain = false;
  if (!lastFill) return;
  const { point, isStep } = lastFill;
  if (isStep) changed(pixels.undo());
  fillAt(point);
}

function pictureColors() {
  if (!colors) {
    const pen = new OffscreenCanvas(pixels.width, pixels.height).getContext("2d", { willReadFrequently: true });
    pen.drawImage(view.picture, 0, 0, pixels.width, pixels.height);
    colors = pen.getImageData(0, 0, pixels.width, pixels.height);
  }
  return colors;
}

async function load(file) {
  if (!file) return;
  const levels = await decodeMask(file, pixels.width, pixels.height).catch(() => undefined);
  if (!task) return;
  if (levels) edit((all) => all.set(levels));
  else say(t(levels === null ? "mask.proportions" : "mask.unreadable", { name: file.name, width: view.picture.width, height: view.picture.height }));
}

async function save() {
  const name = `${task.picture.name.replace(/\.[^.]*$/, "")}-mask.png`;
  const url = URL.createObjectURL(await encodeMask(pixels.levels, pixels.width, pixels.height));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

async function use() {
  endStroke();
  const mine = task;
  if (pixels.position !== 0) mine.result = pixels.isEmpty ? null : await encodeMask(pixels.levels, pixels.width, pixels.height);
  if (task === mine) dialog.close();
}

// What would be lost is asked about.
function cancel() {
  endStroke();
  if (pixels.position === 0) dialog.close();
  else if (!leave.open) leave.showModal();
}

// ---- Drawing, at most once a frame

// Without a box all is drawn, with null what is known to have changed.
function redraw(box) {
  if (box === undefined) stale = true;
  frame ||= requestAnimationFrame(draw);
}

function draw() {
  frame = 0;
  if (!task) return;
  if (fillsAgain) fillAgain();
  drawStroke();
  if (stale) view.draw();
  else view.drawMask(dirty);
  stale = false;
  dirty = null;
  drawCursor();
  canvas.classList.toggle("pans", spaceHeld || drag !== null);
  byId("mask-zoom-now").textContent = `${Math.round(100 * view.zoom)} %`;
}

// Points close together say nothing of a large brush's way; the last one is where the pointer is.
function drawStroke() {
  for (const [n, point] of queue.entries()) {
    const last = pixels.stroke.last;
    const near = last && Math.hypot(point.x - last.x, point.y - last.y) < point.radius / 4;
    if (!near || n === queue.length - 1) dirty = union(dirty, pixels.lineTo(point));
  }
  queue = [];
}

function drawCursor() {
  const size = (2 * radius() * view.scale) / view.ratio;
  show(cursor, !fills && (isOver || byKeys || stroke !== null));
  cursor.style.width = cursor.style.height = `${size}px`;
  cursor.style.transform = `translate(${spot.x / view.ratio - size / 2}px, ${spot.y / view.ratio - size / 2}px)`;
  cursor.style.setProperty("--hard", `${(50 * (1 - number("mask-hardness"))).toFixed(1)}%`);
}

// ---- The pointer

function point(event, at = view.spotOf(event)) {
  const pressure = event?.pointerType === "pen" ? event.pressure : 1;
  return {
    ...view.toMask(at),
    radius: Math.max(0.5, radius() * (byId("mask-pressure-size").checked ? pressure : 1)),
    opacity: number("mask-opacity") * (byId("mask-pressure-opacity").checked ? pressure : 1),
  };
}

function beginStroke(event) {
  const [hardness, erasing] = [number("mask-hardness"), erases || event.button === 5]; // 5: the pen's other end
  pixels.beginStroke({ hardness, radius: radius(), erases: erasing });
  stroke = { pointer: event.pointerId };
  say("");
  queue = [point(event)];
}

function endStroke() {
  if (!stroke) return;
  drawStroke();
  pixels.endStroke();
  stroke = null;
  changed(null);
}

function pressed(event) {
  byKeys = false;
  isOver = true;
  spot = view.spotOf(event);
  canvas.setPointerCapture(event.pointerId);
  if (event.pointerType === "touch") fingers.set(event.pointerId, spot);
  if (fingers.size === 2) pinch();
  else if (fingers.size < 2 && !stroke && !drag) {
    if (event.button === 1 || spaceHeld) drag = { pointer: event.pointerId, ...spot };
    else if (!fills && (event.button === 0 || event.button === 5)) beginStroke(event);
    press = { pointer: event.pointerId, ...spot };
  }
  redraw(null);
}

// A second finger means zoom and pan: what the first one drew is taken back.
function pinch() {
  press = null;
  if (!stroke) return;
  stroke = null;
  queue = [];
  changed(pixels.abandonStroke());
}

function moved(event) {
  byKeys = false;
  isOver = true;
  spot = view.spotOf(event);
  if (fingers.size === 2 && fingers.has(event.pointerId)) twoFingers(event.pointerId);
  else if (drag?.pointer === event.pointerId) {
    view.pan(spot.x - drag.x, spot.y - drag.y);
    drag = { pointer: event.pointerId, ...spot };
    stale = true;
  } else if (stroke?.pointer === event.pointerId) {
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) queue.push(point(one));
  }
  if (fingers.has(event.pointerId)) fingers.set(event.pointerId, spot);
  redraw(null);
}

function twoFingers(moving) {
  const [other] = [...fingers].filter(([id]) => id !== moving).map(([, place]) => place);
  const before = fingers.get(moving);
  const middle = { x: (spot.x + other.x) / 2, y: (spot.y + other.y) / 2 };
  view.pan((spot.x - before.x) / 2, (spot.y - before.y) / 2);
  const ratio = Math.hypot(spot.x - other.x, spot.y - other.y) / Math.max(1, Math.hypot(before.x - other.x, before.y - other.y));
  view.zoomTo(view.zoom * ratio, middle);
  stale = true;
}

function lifted(event) {
  fingers.delete(event.pointerId);
  if (event.pointerType === "touch") isOver = false;
  if (drag?.pointer === event.pointerId) drag = null;
  else if (stroke?.pointer === event.pointerId) endStroke();
  else if (fills && press?.pointer === event.pointerId && event.type === "pointerup" && event.button === 0) {
    const here = view.spotOf(event);
    if (Math.hypot(here.x - press.x, here.y - press.y) <= CLICK * view.ratio) fillAt(view.toMask(here));
  }
  press = null;
  redraw(null);
}

function wheeled(event) {
  event.preventDefault();
  if (stroke) return;
  const by = event.deltaY * [1, LINE, canvas.clientHeight][event.deltaMode];
  view.zoomTo(view.zoom * Math.exp(-by / (event.ctrlKey ? 100 : 400)), view.spotOf(event));
  redraw();
}

function zoomBy(factor) {
  view.zoomTo(view.zoom * factor);
  redraw();
}

function fit() {
  view.fit();
  redraw();
}

// ---- The keys: the page behind hears none of them

function typed(event) {
  if (event.target !== document.body && !dialog.contains(event.target) && !leave.contains(event.target)) return;
  event.stopImmediatePropagation();
  if (event.isComposing || leave.open) return;
  if (event.key === "Escape") {
    event.preventDefault();
    return cancel();
  }
  if (event.target.type === "number") return;
  if (command(event)) event.preventDefault();
}

function command(event) {
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && !event.getModifierState("AltGraph")) {
    const step = key === "z" ? (event.shiftKey ? forth : back) : key === "y" ? forth : null;
    step?.();
    return step !== null || key === "enter";
  }
  const bracket = { BracketLeft: -1, BracketRight: 1 }[event.code] ?? { "[": -1, "]": 1, "{": -1, "}": 1 }[key];
  if (bracket) {
    if (event.shiftKey || key === "{" || key === "}") harden(bracket * HARDNESS_STEP);
    else resizeBrush(number("mask-size") * STEP ** bracket + bracket * 0.5);
    return true;
  }
  if (key === "tab") byKeys = true;
  if (event.target === canvas && ARROWS[event.key]) return step(ARROWS[event.key], event.shiftKey);
  if (key === " " && !byKeys && isOver) {
    spaceHeld = true;
    redraw(null);
    return true;
  }
  if (key === " " && event.target === canvas) return event.repeat || dab();
  if (!Object.hasOwn(LETTERS, key) || event.altKey) return false;
  if (!stroke) LETTERS[key]();
  return true;
}

function released(event) {
  if (event.key !== " " || !spaceHeld) return;
  spaceHeld = false;
  redraw(null);
  event.preventDefault(); // a button that has the focus is not meant
}

function harden(by) {
  byId("mask-hardness").value = number("mask-hardness") + by;
  sliders();
}

// With the arrow keys and space, for whoever has no pointer.
function step([right, down], isLarge) {
  const much = isLarge ? 40 : 10;
  byKeys = true;
  spot = {
    x: Math.min(canvas.width, Math.max(0, spot.x + right * much * view.ratio)),
    y: Math.min(canvas.height, Math.max(0, spot.y + down * much * view.ratio)),
  };
  const { x, y } = view.toMask(spot);
  say(t("mask.spot", { x: Math.round(x / view.perPixel), y: Math.round(y / view.perPixel) }));
  redraw(null);
  return true;
}

function dab() {
  if (stroke) return true;
  byKeys = true;
  if (fills) fillAt(view.toMask(spot));
  else {
    pixels.beginStroke({ hardness: number("mask-hardness"), radius: radius(), erases });
    dirty = union(dirty, pixels.lineTo(point(null, spot)));
    pixels.endStroke();
    changed(null);
  }
  return true;
}

// A file that is dropped or pasted is a mask; the page behind would take it for a picture.
function dropped(event) {
  event.preventDefault();
  event.stopImmediatePropagation();
  if (event.type === "drop") load(event.dataTransfer?.files[0]);
}

function pasted(event) {
  event.stopImmediatePropagation();
  load(event.clipboardData?.files[0]);
}

const CLICKS = {
  "mask-erase": () => erase(!erases), "mask-fill": () => fill(!fills), "mask-undo": back, "mask-redo": forth,
  "mask-invert": invert, "mask-clear": clear, "mask-apply-feather": feather,
  "mask-load": () => byId("mask-file").click(), "mask-save": save,
  "mask-zoom-out": () => zoomBy(1 / ZOOM_STEP), "mask-zoom-in": () => zoomBy(ZOOM_STEP), "mask-zoom-fit": fit,
  "mask-zoom-100": () => { view.zoomTo(1); redraw(); },
  "mask-cancel": cancel, "mask-done": use,
  "mask-stay": () => leave.close(), "mask-discard": () => dialog.close(),
};
for (const [id, act] of Object.entries(CLICKS)) byId(id).addEventListener("click", act);
for (const id of ["mask-hardness", "mask-opacity", "mask-tolerance", "mask-feather"]) byId(id).addEventListener("input", sliders);
for (const id of ["mask-tolerance", "mask-contiguous"]) byId(id).addEventListener("input", () => { fillsAgain = true; redraw(null); });
byId("mask-size-slider").addEventListener("input", () => resizeBrush(sizeOfSlider()));
byId("mask-size").addEventListener("input", () => redraw(null));
byId("mask-size").addEventListener("change", () => resizeBrush(number("mask-size")));
byId("mask-file").addEventListener("change", ({ target }) => { load(target.files[0]); target.value = ""; });
dialog.addEventListener("cancel", (event) => { if (event.target === dialog) { event.preventDefault(); cancel(); } });
canvas.addEventListener("pointerdown", pressed);
canvas.addEventListener("pointermove", moved);
canvas.addEventListener("pointerup", lifted);
canvas.addEventListener("pointercancel", lifted);
canvas.addEventListener("pointerleave", () => { isOver = false; redraw(null); });
canvas.addEventListener("wheel", wheeled, { passive: false }); // with Ctrl two fingers on a touchpad move apart
for (const name of ["mousedown", "contextmenu"]) canvas.addEventListener(name, (event) => { if (event.button !== 0) event.preventDefault(); });
