// @ts-check
// What a file is, from its first bytes: its format, and its size where the header says it.

/** @typedef {{kind: string, width?: number, height?: number}} Facts */

export const CLIPS = ["mp4", "mov", "webm", "mkv", "avi"];
const HEAD = 2 ** 18; // bytes that are looked at

/**
 * @param {File} file
 * @returns {Promise<Facts>} `kind` is "" for what is no picture and no film
 */
export async function sniff(file) {
  const bytes = new Uint8Array(await file.slice(0, HEAD).arrayBuffer());
  const view = new DataView(bytes.buffer);
  const text = (/** @type {number} */ at, /** @type {number} */ length) => String.fromCharCode(...bytes.subarray(at, at + length));
  try {
    if (bytes[0] === 0xff && bytes[1] === 0xd8) return { kind: "jpeg", ...jpeg(view) };
    if (text(1, 3) === "PNG") return text(12, 4) === "IHDR" ? { kind: "png", width: view.getUint32(16), height: view.getUint32(20) } : { kind: "png" };
    if (text(0, 4) === "GIF8") return { kind: "gif", width: view.getUint16(6, true), height: view.getUint16(8, true) };
    if (text(0, 4) === "RIFF" && text(8, 4) === "AVI ") return { kind: "avi" };
    if (text(0, 4) === "\x1aE\xdf\xa3") return { kind: text(0, 64).includes("webm") ? "webm" : "mkv" };
    if (text(0, 4) === "RIFF" && text(8, 4) === "WEBP") return { kind: "webp", ...webp(view, text(12, 4)) };
    if (text(0, 2) === "BM") return { kind: "bmp", width: view.getInt32(18, true), height: Math.abs(view.getInt32(22, true)) };
    if (["II*\0", "MM\0*", "II+\0", "MM\0+"].includes(text(0, 4))) return { kind: "tiff" };
    if (text(4, 4) === "ftyp") return boxes(view, text);
    if (text(0, 2) === "\xff\x0a" || text(4, 4) === "JXL ") return { kind: "jxl" };
    if (/^P[1-6]\s/.test(text(0, 3))) return { kind: "ppm", ...ppm(text(0, 400)) };
  } catch { /* it ends within its header */ }
  return { kind: "" };
}

/** The size stands in the frame's header, after segments of metadata. @param {DataView} view */
function jpeg(view) {
  for (let at = 2; at + 9 < view.byteLength && view.getUint8(at) === 0xff;) {
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) { at += 1; continue; }
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    at += 2 + view.getUint16(at + 2);
  }
  return {};
}

/**
 * @param {DataView} view
 * @param {string} chunk
 */
function webp(view, chunk) {
  const three = (/** @type {number} */ at) => 1 + view.getUint16(at, true) + (view.getUint8(at + 2) << 16);
  if (chunk === "VP8X") return { width: three(24), height: three(27) };
  if (chunk === "VP8 ") return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  const bits = view.getUint32(21, true);
  return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >> 14) & 0x3fff) };
}

/**
 * AVIF; HEIC, which the server does not read; and films.
 * @param {DataView} view
 * @param {(at: number, length: number) => string} text
 */
function boxes(view, text) {
  const brands = text(8, Math.min(64, view.getUint32(0)) - 8);
  if (!/avi[fs]/.test(brands)) return { kind: /hei[cxms]|hev[cx]|mif1|msf1/.test(brands) ? "heic" : brands.startsWith("qt  ") ? "mov" : "mp4" };
  const end = Math.min(4000, view.byteLength - 16);
  for (let at = 0; at < end; at++) if (text(at, 4) === "ispe") return { kind: "avif", width: view.getUint32(at + 8), height: view.getUint32(at + 12) };
  return { kind: "avif" };
}

/** @param {string} head */
function ppm(head) {
  const [, width, height] = head.replace(/#.*\n/g, "").split(/\s+/).map(Number);
  return { width, height };
}
