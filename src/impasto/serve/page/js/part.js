// @ts-check
// A test first: a part of the picture as it will be in the whole, or all of it in small.

import { button, byId, first, show } from "./dom.js";
import { formOf, tryOut } from "./jobs.js";
import { bitmapOf } from "./pictures.js";
import { finalSize } from "./plan.js";
import { lacks, methodOf, value, wanted } from "./settings.js";
import { differs, state, watch } from "./store.js";
import { t } from "./texts.js";

/** @typedef {import("./store.js").State} State */

const CLEANED = 512; // pixels of the picture, of a part that is cleaned
const PAINTED = 320; // pixels of the painting, of a part that is painted
const DRAFT = 256; // pixels of a painting in small
const well = byId("content-well");
const square = button("part-square");
/** @type {{file: File, x: number, y: number} | null} */
let spot = null; // middle of the square, in pixels of the picture
let dragged = false;

export function start() {
  byId("part-look").addEventListener("click", look);
  byId("part-draft").addEventListener("click", draft);
  square.addEventListener("pointerdown", drag);
  square.addEventListener("keydown", step);
  square.addEventListener("click", () => { if (!dragged) look(); dragged = false; });
  new ResizeObserver(() => place()).observe(well);
  watch((now, before) => { if (differs(now, before, "draft", "sending", "diagnosis", "language")) place(); });
}

/** The size of the picture in pixels; null if there is no part of it to look at. */
function size() {
  const { content } = state.draft;
  if (!content || !["style", "denoise"].includes(methodOf()) || content.planes > 1) return null;
  if (content.width && content.height) return { width: content.width, height: content.height };
  const found = state.diagnosis?.file === content.file ? state.diagnosis.found : null; // of what only the server can read
  return found?.width && !found.stack ? { width: found.width, height: found.height } : null;
}

/** The part in pixels of the picture; null where it would be the whole or there is none. */
function box() {
  const whole = size();
  const { content } = state.draft;
  if (!whole || !content) return null;
  let side = CLEANED;
  if (methodOf() === "style") {
    const final = finalSize(state);
    if (!final || !content.thumb) return null;
    side = Math.round(PAINTED * (whole.width / final.width));
    if (side >= Math.max(whole.width, whole.height)) return null;
  }
  const [width, height] = [Math.min(side, whole.width), Math.min(side, whole.height)];
  if (spot?.file !== content.file) spot = { file: content.file, x: whole.width / 2, y: whole.height / 2 };
  const inside = (/** @type {number} */ middle, /** @type {number} */ part, /** @type {number} */ all) => Math.floor(Math.min(all - part, Math.max(0, middle - part / 2)));
  return { x: inside(spot.x, width, whole.width), y: inside(spot.y, height, whole.height), width, height, whole };
}

/** Where the whole picture lies in the well. @param {{width: number, height: number}} whole */
function placed(whole) {
  const scale = Math.min(well.clientWidth / whole.width, well.clientHeight / whole.height);
  return { scale, left: (well.clientWidth - whole.width * scale) / 2, top: (well.clientHeight - whole.height * scale) / 2 };
}

function place() {
  const part = box();
  const { content } = state.draft;
  const painting = methodOf() === "style";
  show(byId("part-tools"), part !== null || (painting && content !== null));
  show(byId("part-look"), part !== null);
  show(byId("part-draft"), painting);
  first("#part-tools .hint").textContent = t(painting ? "part.hint.style" : "part.hint.denoise");
  show(square, part !== null && content?.thumb);
  const idle = !state.sending && !lacks();
  button("part-look").disabled = button("part-draft").disabled = !idle;
  if (!part) return;
  const { scale, left, top } = placed(part.whole);
  square.style.left = `${left + part.x * scale}px`;
  square.style.top = `${top + part.y * scale}px`;
  square.style.width = `${part.width * scale}px`;
  square.style.height = `${part.height * scale}px`;
  square.setAttribute("aria-label", t("part.square", part));
}

/**
 * @param {number} x
 * @param {number} y
 */
function move(x, y) {
  const part = box();
  if (!part || !spot) return;
  const { width, height, whole } = part;
  spot.x = Math.round(Math.min(whole.width - width, Math.max(0, x))) + width / 2;
  spot.y = Math.round(Math.min(whole.height - height, Math.max(0, y))) + height / 2;
  place();
}

/** @param {PointerEvent} event */
function drag(event) {
  event.preventDefault();
  square.focus();
  square.setPointerCapture(event.pointerId);
  dragged = false;
  const part = box();
  if (!part) return;
  const { scale } = placed(part.whole);
  const moved = (/** @type {PointerEvent} */ now) => {
    const [right, down] = [now.clientX - event.clientX, now.clientY - event.clientY];
    dragged ||= Math.hypot(right, down) > 3;
    if (dragged) move(part.x + right / scale, part.y + down / scale);
  };
  square.addEventListener("pointermove", moved);
  for (const end of ["pointerup", "pointercancel"]) square.addEventListener(end, () => square.removeEventListener("pointermove", moved), { once: true });
}

/** @param {KeyboardEvent} event */
function step(event) {
  const much = event.shiftKey ? 8 : 64;
  const by = { ArrowLeft: [-much, 0], ArrowRight: [much, 0], ArrowUp: [0, -much], ArrowDown: [0, much] }[event.key];
  const part = box();
  if (!by || !part) return;
  event.preventDefault();
  move(part.x + by[0], part.y + by[1]);
}

async function look() {
  const part = box();
  const { content, mode } = state.draft;
  if (!part || !content || lacks()) return;
  if (mode === "denoise") return tryOut(content, formOf(state.draft, content, { ...wanted(), crop: [part.x, part.y, part.width, part.height] }));
  const share = { x: part.x / part.whole.width, y: part.y / part.whole.height, width: part.width / part.whole.width, height: part.height / part.whole.height };
  const cut = async (/** @type {Blob | null} */ one) => one && cutOut(one, share);
  const { styles, masks, init } = state.draft;
  const piece = async (/** @type {import("./store.js").Picture} */ one) => ({ ...one, file: new File([/** @type {Blob} */ (await cut(one.file))], named(one.name)), name: named(one.name) });
  const trial = {
    ...state.draft,
    styles: await Promise.all(styles.map(async (one) => ({ ...one, region: await cut(one.region) }))),
    masks: { protect: await cut(masks.protect), keep: await cut(masks.keep) },
    init: init && await piece(init),
  };
  const final = finalSize(state);
  const longest = Math.max(16, Math.round(Math.max(part.width, part.height) * ((final?.width ?? 1) / part.whole.width)));
  const strokes = value("style_scale") === "fit" ? Math.min(8, Math.max(final?.width ?? 0, final?.height ?? 0) / 512) : value("style_scale");
  return tryOut(content, formOf(trial, await piece(content), { ...wanted(), size: longest, style_scale: strokes }));
}

function draft() {
  const { content } = state.draft;
  if (content) tryOut(content, formOf(state.draft, content, { ...wanted(), size: DRAFT, effort: "quick" }));
}

/** @param {string} name */
const named = (name) => `${name.replace(/\.[^.]*$/, "")} (${t("part.name")}).png`;

/**
 * @param {Blob} file
 * @param {{x: number, y: number, width: number, height: number}} share of the whole
 * @returns {Promise<Blob>}
 */
async function cutOut(file, share) {
  const bitmap = await bitmapOf(file);
  const canvas = document.createElement("canvas");
  const [left, top] = [Math.round(share.x * bitmap.width), Math.round(share.y * bitmap.height)];
  canvas.width = Math.max(1, Math.round(share.width * bitmap.width));
  canvas.height = Math.max(1, Math.round(share.height * bitmap.height));
  canvas.getContext("2d")?.drawImage(bitmap, -left, -top);
  bitmap.close();
  return new Promise((done, fail) => canvas.toBlob((data) => (data ? done(data) : fail(new Error("toBlob"))), "image/png"));
}
