// @ts-check
// Pictures that come in: what they are is looked at before they are taken.

import { complain, quiet } from "./errors.js";
import { methodOf } from "./settings.js";
import { CLIPS, sniff } from "./sniff.js";
import { edit, state, update } from "./store.js";
import { t } from "./texts.js";

/** @typedef {import("./store.js").Picture} Picture */
/** @typedef {"content" | "style" | "add-style" | "init"} Role */

const MODEL = /\.impasto$/i;

export const ACCEPT = ".jpg,.jpeg,.jfif,.png,.webp,.tif,.tiff,.avif,.jxl,.gif,.bmp,.ppm,.pgm,.pbm,.pnm";
export const ACCEPT_CLIPS = ".mp4,.m4v,.mov,.webm,.mkv,.avi";
const SHOWN = ["jpeg", "png", "webp", "avif", "gif", "bmp"]; // that browsers decode
const THUMB = 640; // pixels of the longer side
const LEAST = 16; // pixels of a side, of what a network looks at

/**
 * Take files for a role; each that cannot be used is named, with the reason, and the others are taken.
 * @param {Role} role
 * @param {File[]} files
 */
export async function take(role, files) {
  quiet();
  /** @type {Picture[]} */
  const pictures = [];
  const wrong = [];
  for (const file of files) {
    if (file.name.endsWith(".json")) return (await import("./recipe.js")).read(file);
    if (MODEL.test(file.name)) { useModel(file); continue; }
    const found = await look(file);
    if (typeof found === "string") { wrong.push(found); continue; }
    if (found.clip && role !== "content") { wrong.push(t("errors.clip", { name: file.name })); continue; }
    if (!found.clip && await carriesRecipe(file) && (await useOf(file)) !== "picture") continue;
    pictures.push(found);
  }
  if (pictures.length) put(role, pictures, wrong);
  if (wrong.length) complain(wrong.join(" "));
}

/** A fitted model takes the place of the styles. @param {File} file */
function useModel(file) {
  if (file.size === 0) complain(t("errors.empty", { name: file.name }));
  else edit({ mode: "style", making: "painting", model: modelOf(file) });
}

/** @param {File} file @returns {Picture} */
export const modelOf = (file) => ({ file, name: file.name, width: null, height: null, thumb: null, planes: 1 });

/** @param {File} file */
const useOf = (file) => new Promise((answer) => update({ asked: { file, answer } }));

/**
 * @param {File} file
 * @returns {Promise<Picture | string>} why it cannot be used, in a sentence
 */
export async function look(file) {
  const { most_bytes: bytes, most_pixels: pixels } = state.choices.limits;
  const name = file.name;
  if (file.size === 0) return t("errors.empty", { name });
  if (file.size > bytes) return t("errors.large", { name, most: Math.round(bytes / 2 ** 20) });
  const facts = await sniff(file);
  if (facts.kind === "heic") return t("errors.heic", { name });
  if (!facts.kind) return t("errors.kind", { name });
  if (CLIPS.includes(facts.kind)) return { file, name, planes: 1, clip: true, ...await (await import("./clips.js")).look(file) };
  let [width, height] = [facts.width ?? null, facts.height ?? null];
  const large = () => width && height && width * height > pixels ? t("errors.pixels", { name, width, height, most: Math.floor(pixels / 1e6) }) : null;
  if (large()) return large() ?? "";
  let thumb = null;
  let planes = 1;
  if (facts.kind === "tiff") {
    const tiff = await import("./tiff.js");
    const found = await tiff.look(file, THUMB).catch(() => null);
    if (found) ({ width, height, thumb, planes } = found);
    if (large()) return large() ?? "";
  } else if (SHOWN.includes(facts.kind)) {
    try {
      const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
      [width, height] = [bitmap.width, bitmap.height];
      thumb = await small(bitmap);
      bitmap.close();
    } catch {
      if (facts.kind !== "avif") return t("errors.broken", { name });
    }
  }
  if (width && height && Math.min(width, height) < (methodOf() === "denoise" ? 1 : LEAST)) return t("errors.small", { name, width, height, least: LEAST });
  return { file, name, width, height, thumb, planes };
}

/**
 * @param {ImageBitmap | HTMLCanvasElement} bitmap
 * @returns {Promise<Blob | null>}
 */
export function small(bitmap, longest = THUMB) {
  const factor = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * factor));
  canvas.height = Math.max(1, Math.round(bitmap.height * factor));
  const pen = canvas.getContext("2d");
  if (!pen) return Promise.resolve(null);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/webp", 0.9));
}

/**
 * @param {Role} role
 * @param {Picture[]} pictures
 * @param {string[]} wrong gets a sentence about what is left out
 */
export function put(role, pictures, wrong = []) {
  const { draft } = state;
  const most = state.choices.limits.styles;
  if (role === "init") {
    edit({ init: pictures[0] });
  } else if (role === "content") {
    const photographed = /** @type {Picture[]} */ ([draft.content, ...draft.more].filter((one) => one && !one.clip));
    if (draft.making === "model" && draft.mode === "style" && photographed.length) {
      const all = [...photographed, ...pictures];
      const photographs = state.choices.limits.photographs;
      for (const { name } of all.slice(photographs)) wrong.push(t("errors.photographs", { name, most: photographs }));
      edit({ content: all[0], more: all.slice(1, photographs) });
      return;
    }
    // Masks belong to a picture.
    edit({ content: pictures[0], more: pictures.slice(1), masks: { protect: null, keep: null }, styles: draft.styles.map((one) => ({ ...one, region: null })) });
  } else {
    // One picture replaces one; to several, and by the button below them, it is added.
    const kept = role === "add-style" || draft.styles.length > 1 ? draft.styles : [];
    const styles = pictures.map((picture) => ({ picture, weight: 1, region: null, mask: null }));
    for (const { picture } of styles.slice(most - kept.length)) wrong.push(t("errors.styles", { name: picture.name, most }));
    if (kept.length < most) edit({ styles: [...kept, ...styles].slice(0, most), model: null });
  }
}

/**
 * Without a well that was aimed at, the content comes first, then the styles.
 * @param {File[]} files
 */
export async function anywhere(files) {
  const { mode, content, making } = state.draft;
  if (mode !== "style" || making === "model") return take("content", files);
  if (making === "texture") return take("style", files);
  if (files.some((file) => MODEL.test(file.name))) return take("style", files);
  if (content && files.length === 1) return take("style", files);
  await take("content", files.slice(0, 1));
  if (files.length > 1) await take("style", files.slice(1));
}

/** A painting of impasto's own carries its recipe in an XMP packet near its beginning or end. @param {File} file */
async function carriesRecipe(file) {
  const size = 2 ** 18;
  const ends = [file.slice(0, size), file.slice(Math.max(0, file.size - size))];
  const texts = await Promise.all(ends.map(async (part) => new TextDecoder("latin1").decode(await part.arrayBuffer())));
  return texts.some((text) => text.includes("xmpmeta") && /impasto/i.test(text));
}

/**
 * A picture as a bitmap, upright: a TIFF is decoded here, as browsers cannot.
 * @param {Blob} file
 * @returns {Promise<ImageBitmap>}
 */
export async function bitmapOf(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    const tiff = await import("./tiff.js");
    return tiff.bitmap(file);
  }
}
