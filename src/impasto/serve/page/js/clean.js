// How much of the noise is taken away, changed after the run: blended here, at once.

import { after } from "./compare.js";
import { byId, h, show } from "./dom.js";

const QUICK = 1_000_000; // pixels that are blended while a slider moves; the rest follows when it rests
let noisy = null; // ImageData of the whole
let clean = null;
let textured = null; // ImageData of the whole with all of the texture given back; fetched when it is first asked for
let fetchTextured = null;
let linked = true; // the colors follow the light until their own slider is moved

// `fetched` gives a promise of the bitmap with all of the texture.
export function open(before, bitmap, fetched) {
  fetchTextured = fetched;
  const pen = after.getContext("2d", { willReadFrequently: true });
  clean = pen.getImageData(0, 0, bitmap.width, bitmap.height);
  noisy = before.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, bitmap.width, bitmap.height);
  show(byId("clean-sliders"), true);
}

export function close() {
  noisy = clean = textured = fetchTextured = null;
  show(byId("clean-sliders"), false);
}

export function set(strength, chroma, detail) {
  linked = chroma === "same";
  byId("clean-strength").value = strength;
  byId("clean-chroma").value = linked ? strength : chroma;
  byId("clean-detail").value = detail;
  blend(1);
  if (detail > 0) texture();
}

async function texture() {
  const ask = fetchTextured;
  if (!ask) return;
  fetchTextured = null;
  const bitmap = await ask().catch(() => null);
  if (!clean) return;
  if (!bitmap) { fetchTextured = ask; return; }
  const pen = h("canvas", { width: bitmap.width, height: bitmap.height }).getContext("2d");
  pen.drawImage(bitmap, 0, 0);
  textured = pen.getImageData(0, 0, bitmap.width, bitmap.height);
  blend(1);
}

// What a download asks for.
export function shares() {
  if (!clean) return "";
  return `&strength=${byId("clean-strength").value}&chroma=${byId("clean-chroma").value}&detail=${byId("clean-detail").value}`;
}

// out = noisy − s·light − c·(residual − light), where light is the residual's mean over the colors and the residual is
// what is between the noisy picture and the clean one with a share of its texture.
function blend(step) {
  const s = Number(byId("clean-strength").value);
  const c = Number(byId("clean-chroma").value);
  const d = textured ? Number(byId("clean-detail").value) : 0;
  for (const one of ["strength", "chroma", "detail"]) {
    const input = byId(`clean-${one}`);
    input.nextElementSibling.textContent = `${Math.round(100 * input.value)} %`;
  }
  if (!clean) return;
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
  after.getContext("2d").putImageData(out, 0, 0);
}

// Fill the pixels between those that were blended.
function spread(o, top, row, step, height) {
  const words = new Uint32Array(o.buffer);
  const wide = row / 4;
  const start = top * wide;
  for (let left = 0; left < wide; left++) words[start + left] = words[start + left - (left % step)];
  for (let more = 1; more < step && top + more < height; more++) words.copyWithin(start + more * wide, start, start + wide);
}

export function start() {
  const quick = () => blend(clean ? Math.max(1, Math.ceil(Math.sqrt((clean.width * clean.height) / QUICK))) : 1);
  byId("clean-strength").addEventListener("input", () => {
    if (linked) byId("clean-chroma").value = byId("clean-strength").value;
    quick();
  });
  byId("clean-chroma").addEventListener("input", () => { linked = false; quick(); });
  byId("clean-detail").addEventListener("input", () => { texture(); quick(); });
  for (const one of ["strength", "chroma", "detail"]) byId(`clean-${one}`).addEventListener("change", () => blend(1));
}
