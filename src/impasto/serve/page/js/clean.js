// @ts-check
// How much of the noise is taken away, changed after the run: blended here, at once. Each job has shares of its own.

import { after } from "./compare.js";
import { first, h, input, show, byId } from "./dom.js";
import { state, update, watch } from "./store.js";

/** @typedef {import("./store.js").Job} Job */
/** @typedef {import("./store.js").Shares} Shares */

const QUICK = 1_000_000; // pixels that are blended while a slider moves; the rest follows when it rests
const NAMES = /** @type {const} */ (["strength", "chroma", "detail"]);

/**
 * What is in view.
 * @type {{id: string, noisy: ImageData, clean: ImageData, textured: ImageData | null, texture: (() => Promise<ImageBitmap>) | null} | null}
 */
let opened = null;
let moving = false;

/** The shares of a job: as they were left, or as its recipe has them. @param {Job} job @returns {Shares} */
export function sharesOf(job) {
  const { strength, chroma, detail } = job.recipe;
  return state.shares[job.id] ?? { strength, chroma: chroma === "same" ? strength : chroma, detail: detail ?? 0, linked: chroma === "same" };
}

/** What a download asks for; nothing where there are no sliders. @param {Job} job */
export function query(job) {
  if (job.method !== "denoise" || job.result?.stack) return "";
  const { strength, chroma, detail } = sharesOf(job);
  return `&strength=${strength}&chroma=${chroma}&detail=${detail}`;
}

/**
 * @param {Job} job
 * @param {ImageBitmap} noisy
 * @param {ImageBitmap} clean
 * @param {() => Promise<ImageBitmap>} texture gives the bitmap with all of the texture
 */
export function open(job, noisy, clean, texture) {
  opened = { id: job.id, noisy: pixels(noisy, clean.width, clean.height), clean: pixels(clean, clean.width, clean.height), textured: null, texture };
  draw(1);
}

export function close() {
  opened = null;
}

/**
 * @param {ImageBitmap} bitmap
 * @param {number} width
 * @param {number} height
 */
function pixels(bitmap, width, height) {
  const pen = h("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  pen.drawImage(bitmap, 0, 0, width, height);
  return pen.getImageData(0, 0, width, height);
}

export function start() {
  for (const name of NAMES) {
    const slider = input(`clean-${name}`);
    slider.addEventListener("input", () => { moving = true; set(name, Number(slider.value)); });
    slider.addEventListener("change", () => { moving = false; draw(1); });
  }
  watch((now, before) => {
    const job = now.jobs.get(now.current ?? "");
    const there = job?.method === "denoise" && job.result && !job.result.stack && !["queued", "running"].includes(job.status);
    show(byId("clean-sliders"), there);
    if (!there || !job) return;
    const shares = sharesOf(job);
    for (const name of NAMES) {
      const slider = input(`clean-${name}`);
      if (Number(slider.value) !== shares[name]) slider.value = String(shares[name]);
      first("output", /** @type {Element} */ (slider.parentElement)).textContent = `${Math.round(100 * shares[name])} %`;
    }
    if (opened?.id !== job.id || now.shares === before?.shares) return;
    draw(moving ? Math.max(1, Math.ceil(Math.sqrt((opened.clean.width * opened.clean.height) / QUICK))) : 1);
  });
}

/**
 * @param {"strength" | "chroma" | "detail"} name
 * @param {number} wanted
 */
function set(name, wanted) {
  const job = state.jobs.get(state.current ?? "");
  if (!job) return;
  const shares = { ...sharesOf(job), [name]: wanted };
  // The colors follow the light until their own slider is moved.
  if (name === "chroma") shares.linked = false;
  if (name === "strength" && shares.linked) shares.chroma = wanted;
  update({ shares: { ...state.shares, [job.id]: shares } });
}

async function fetchTexture() {
  const mine = opened;
  if (!mine?.texture) return;
  const ask = mine.texture;
  mine.texture = null;
  const bitmap = await ask().catch(() => null);
  if (bitmap) mine.textured = pixels(bitmap, bitmap.width, bitmap.height);
  else mine.texture = ask;
  if (bitmap && opened === mine) draw(1);
}

/**
 * out = noisy − s·light − c·(residual − light), where light is the residual's mean over the colors and the residual is
 * what is between the noisy picture and the clean one with a share of its texture.
 * @param {number} step in pixels; the others are copied
 */
function draw(step) {
  const job = opened && state.jobs.get(opened.id);
  if (!opened || !job || state.current !== job.id) return;
  const { strength: s, chroma: c, detail } = sharesOf(job);
  if (detail > 0) fetchTexture();
  const { noisy, clean, textured } = opened;
  const d = textured ? detail : 0;
  const out = new ImageData(clean.width, clean.height);
  const [a, b, x, o] = [noisy.data, clean.data, (textured ?? clean).data, out.data];
  const row = 4 * clean.width;
  for (let top = 0; top < clean.height; top += step) {
    for (let left = 0; left < row; left += 4 * step) {
      const i = top * row + left;
      const r = a[i] - b[i] - d * (x[i] - b[i]);
      const g = a[i + 1] - b[i + 1] - d * (x[i + 1] - b[i + 1]);
      const l = a[i + 2] - b[i + 2] - d * (x[i + 2] - b[i + 2]);
      const light = (r + g + l) / 3;
      const shared = (s - c) * light;
      o[i] = a[i] - c * r - shared;
      o[i + 1] = a[i + 1] - c * g - shared;
      o[i + 2] = a[i + 2] - c * l - shared;
      o[i + 3] = b[i + 3];
    }
    if (step > 1) spread(o, top, row, step, clean.height);
  }
  after.getContext("2d")?.putImageData(out, 0, 0);
}

/**
 * Fill the pixels between those that were blended.
 * @param {Uint8ClampedArray} o
 * @param {number} top
 * @param {number} row
 * @param {number} step
 * @param {number} height
 */
function spread(o, top, row, step, height) {
  const words = new Uint32Array(o.buffer);
  const wide = row / 4;
  const begin = top * wide;
  for (let left = 0; left < wide; left++) words[begin + left] = words[begin + left - (left % step)];
  for (let more = 1; more < step && top + more < height; more++) words.copyWithin(begin + more * wide, begin, begin + wide);
}
