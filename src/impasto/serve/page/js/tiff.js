// @ts-check
// TIFF, which browsers do not decode: gray and color, 8 to 64 bits, in strips or tiles, as photographs and stacks have it.
// The server decodes what is painted and cleaned; this shows it. Loaded when the first TIFF comes.

import { small } from "./pictures.js";

/** @typedef {{width: number, height: number, channels: number, data: ArrayLike<number>, photo: boolean, inverted: boolean}} Plane */
/** @typedef {Record<number, number[]>} Tags */

const MOST = 256 * 2 ** 20; // bytes that are read
/** @type {Record<number, number>} bytes of a value of each type */
const WIDE = { 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8 };
const [WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, OFFSETS, ORIENTATION, CHANNELS, ROWS, COUNTS, PLANAR] = [256, 257, 258, 259, 262, 273, 274, 277, 278, 279, 284];
const [SUBFILE, PREDICTOR, COLORS, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, FORMAT] = [254, 317, 320, 322, 323, 324, 325, 339];

/**
 * What a file has to show.
 * @param {Blob} file
 * @param {number} longest pixels of the small picture
 */
export async function look(file, longest) {
  const stack = await open(file);
  const plane = await stack.read(0);
  const shown = await stack.bitmap(plane, stack.range(plane));
  return { width: shown.width, height: shown.height, thumb: await small(shown, longest), planes: stack.pages.length };
}

/** @param {Blob} file */
export async function bitmap(file) {
  const stack = await open(file);
  const plane = await stack.read(0);
  return stack.bitmap(plane, stack.range(plane));
}

/** @param {Blob} file */
export async function open(file) {
  if (file.size > MOST) throw new Error("too large to be shown");
  const bytes = new Uint8Array(await file.arrayBuffer());
  const view = new DataView(bytes.buffer);
  const little = bytes[0] === 0x49;
  const pages = directories(view, little);
  if (!pages.length) throw new Error("no page");
  return {
    pages,
    read: (/** @type {number} */ index) => readPage(bytes, little, pages[index]),
    range,
    bitmap: (/** @type {Plane} */ plane, /** @type {[number, number]} */ limits) => paint(plane, limits, pages[0][ORIENTATION]?.[0] ?? 1),
  };
}

/**
 * The tags of each page that is not a smaller one of another.
 * @param {DataView} view
 * @param {boolean} little
 */
function directories(view, little) {
  const big = view.getUint16(2, little) === 43;
  const word = (/** @type {number} */ at) => (big ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little));
  const [step, size] = big ? [20, 8] : [12, 4];
  /** @type {Tags[]} */
  const pages = [];
  const seen = new Set();
  for (let at = word(big ? 8 : 4); at && !seen.has(at); ) {
    seen.add(at);
    const count = big ? Number(view.getBigUint64(at, little)) : view.getUint16(at, little);
    const first = at + (big ? 8 : 2);
    /** @type {Tags} */
    const tags = {};
    for (let entry = first; entry < first + count * step; entry += step) {
      const type = view.getUint16(entry + 2, little);
      const many = word(entry + 4);
      const width = WIDE[type];
      if (!width || many > 1e7) continue;
      const place = many * width <= size ? entry + 4 + size : word(entry + 4 + size);
      if (![3, 4, 1, 16, 13].includes(type)) continue;
      tags[view.getUint16(entry, little)] = Array.from({ length: many }, (_, index) => valueAt(view, place + index * width, type, little));
    }
    if (!((tags[SUBFILE]?.[0] ?? 0) & 1)) pages.push(tags);
    at = word(first + count * step);
  }
  return pages;
}

/**
 * @param {DataView} view
 * @param {number} at
 * @param {number} type
 * @param {boolean} little
 */
function valueAt(view, at, type, little) {
  if (type === 1) return view.getUint8(at);
  if (type === 3) return view.getUint16(at, little);
  return type === 16 ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little);
}

/**
 * @param {Uint8Array} bytes
 * @param {boolean} little
 * @param {Tags} tags
 * @returns {Promise<Plane>}
 */
async function readPage(bytes, little, tags) {
  const one = (/** @type {number} */ tag, otherwise = 1) => tags[tag]?.[0] ?? otherwise;
  const [width, height, bits, format, kind] = [one(WIDTH), one(HEIGHT), one(BITS), one(FORMAT), one(PHOTOMETRIC)];
  const channels = one(CHANNELS);
  const apart = one(PLANAR) === 2 && channels > 1;
  if (![8, 16, 32, 64].includes(bits) || ![0, 1, 2, 3].includes(kind) || width * height * channels > 2e8) throw new Error("not shown");
  const tiled = TILE_OFFSETS in tags;
  const wide = tiled ? one(TILE_WIDTH) : width;
  const high = tiled ? one(TILE_HEIGHT) : Math.min(height, one(ROWS, height));
  const across = Math.ceil(width / wide);
  const perPlane = across * Math.ceil(height / high);
  const offsets = tags[tiled ? TILE_OFFSETS : OFFSETS];
  const counts = tags[tiled ? TILE_COUNTS : COUNTS];
  const make = arrayOf(bits, format);
  const data = new make(width * height * channels);
  const inside = apart ? 1 : channels;
  for (let index = 0; index < offsets.length; index++) {
    const packed = bytes.subarray(offsets[index], offsets[index] + counts[index]);
    const rows = Math.min(high, height - Math.floor((index % perPlane) / across) * high);
    const raw = await unpack(packed, one(COMPRESSION), wide * (tiled ? high : rows) * inside * (bits / 8));
    const values = numbers(raw, bits, format, little, one(PREDICTOR), wide, inside);
    const [left, top] = [((index % perPlane) % across) * wide, Math.floor((index % perPlane) / across) * high];
    const channel = apart ? Math.floor(index / perPlane) : 0;
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < Math.min(wide, width - left); x++) {
        for (let c = 0; c < inside; c++) data[((top + y) * width + left + x) * channels + channel + c] = values[(y * wide + x) * inside + c];
      }
    }
  }
  if (kind === 3) return { width, height, channels: 3, data: colored(data, tags[COLORS], 2 ** bits), photo: true, inverted: false };
  return { width, height, channels, data, photo: kind === 2 || (bits === 8 && format === 1), inverted: kind === 0 };
}

/**
 * @param {number} bits
 * @param {number} format 1 for whole numbers, 2 for those with a sign, 3 for floats
 * @returns {any}
 */
function arrayOf(bits, format) {
  if (format === 3) return bits === 64 ? Float64Array : Float32Array;
  if (format === 2) return bits === 8 ? Int8Array : bits === 16 ? Int16Array : Int32Array;
  return bits === 8 ? Uint8Array : bits === 16 ? Uint16Array : Uint32Array;
}

/**
 * @param {Uint8Array} packed
 * @param {number} compression
 * @param {number} size in bytes, unpacked
 */
async function unpack(packed, compression, size) {
  if (compression === 1) return packed;
  if (compression === 8 || compression === 32946) {
    const stream = new Blob([/** @type {any} */ (packed)]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }
  if (compression === 32773) return packBits(packed, size);
  if (compression === 5) return lzw(packed, size);
  throw new Error("not shown");
}

/**
 * @param {Uint8Array} packed
 * @param {number} size
 */
function packBits(packed, size) {
  const out = new Uint8Array(size);
  for (let from = 0, to = 0; from < packed.length && to < size; ) {
    const code = packed[from++];
    if (code < 128) { out.set(packed.subarray(from, from + code + 1), to); from += code + 1; to += code + 1; }
    else if (code > 128) { out.fill(packed[from++], to, to + 257 - code); to += 257 - code; }
  }
  return out;
}

/**
 * @param {Uint8Array} packed
 * @param {number} size
 */
function lzw(packed, size) {
  const out = new Uint8Array(size);
  // An entry is a run of what is already out: where it begins and how long it is.
  const starts = new Int32Array(4097);
  const lengths = new Int32Array(4097);
  let [next, wide, to, at, before] = [258, 9, 0, 0, -1];
  while (at + wide <= packed.length * 8 && to < size) {
    const byte = at >> 3;
    const code = (((packed[byte] << 16) | ((packed[byte + 1] ?? 0) << 8) | (packed[byte + 2] ?? 0)) >> (24 - wide - (at & 7))) & ((1 << wide) - 1);
    at += wide;
    if (code === 257) break;
    if (code === 256) { [next, wide, before] = [258, 9, -1]; continue; }
    const start = to;
    if (code < 256) out[to++] = code;
    else {
      // The entry may still be in the making: it ends with its own first byte.
      const length = lengths[code];
      for (let n = 0; n < length && to < size; n++, to++) out[to] = out[starts[code] + n];
    }
    if (before >= 0 && next < 4096) next++;
    starts[next] = start;
    lengths[next] = to - start + 1;
    before = start;
    if (next >= (1 << wide) - 1 && wide < 12) wide++;
  }
  return out;
}

/**
 * Bytes as numbers, after the differences to the left neighbor are summed.
 * @param {Uint8Array} raw
 * @param {number} bits
 * @param {number} format
 * @param {boolean} little
 * @param {number} predictor
 * @param {number} wide
 * @param {number} channels
 */
function numbers(raw, bits, format, little, predictor, wide, channels) {
  const size = bits / 8;
  const row = wide * channels;
  if (predictor === 3) {
    // Floats: the bytes of a row by significance, each as a difference.
    const out = new Uint8Array(raw.length);
    for (let top = 0; top + row * size <= raw.length; top += row * size) {
      for (let at = channels; at < row * size; at++) raw[top + at] += raw[top + at - channels];
      for (let x = 0; x < row; x++) for (let byte = 0; byte < size; byte++) out[top + x * size + byte] = raw[top + byte * row + x];
    }
    return numbers(out, bits, format, false, 1, wide, channels);
  }
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const count = Math.floor(raw.length / size);
  const make = arrayOf(bits, format);
  const out = new make(count);
  const read = /** @type {Record<string, (at: number) => number>} */ ({
    "8,1": (at) => view.getUint8(at), "8,2": (at) => view.getInt8(at), "16,1": (at) => view.getUint16(at, little), "16,2": (at) => view.getInt16(at, little),
    "32,1": (at) => view.getUint32(at, little), "32,2": (at) => view.getInt32(at, little), "32,3": (at) => view.getFloat32(at, little), "64,3": (at) => view.getFloat64(at, little),
  })[`${bits},${format}`];
  if (!read) throw new Error("not shown");
  for (let n = 0; n < count; n++) out[n] = read(n * size);
  if (predictor === 2) for (let n = 0; n < count; n++) if (n % row >= channels) out[n] += out[n - channels];
  return out;
}

/**
 * @param {ArrayLike<number>} data
 * @param {number[]} colors red, green, blue of each number, 16 bit
 * @param {number} many
 */
function colored(data, colors, many) {
  const out = new Uint8Array(3 * data.length);
  for (let n = 0; n < data.length; n++) for (let c = 0; c < 3; c++) out[3 * n + c] = colors[c * many + data[n]] >> 8;
  return out;
}

/** What is black and what is white: of measured data, the least and the most. @param {Plane} plane @returns {[number, number]} */
function range({ data, photo }) {
  if (photo && data instanceof Uint8Array) return [0, 255];
  if (photo && data instanceof Uint16Array) return [0, 65535];
  let [least, most] = [Infinity, -Infinity];
  for (let n = 0; n < data.length; n++) {
    if (data[n] < least) least = data[n];
    if (data[n] > most) most = data[n];
  }
  return least < most ? [least, most] : [least - 1, least + 1];
}

/**
 * @param {Plane} plane
 * @param {[number, number]} limits
 * @param {number} orientation as in EXIF
 */
function paint({ width, height, channels, data, inverted }, [least, most], orientation) {
  const image = new ImageData(width, height);
  const factor = 255 / (most - least);
  const color = channels >= 3;
  for (let n = 0; n < width * height; n++) {
    for (let c = 0; c < 3; c++) {
      const value = (data[n * channels + (color ? c : 0)] - least) * factor;
      image.data[4 * n + c] = inverted ? 255 - value : value;
    }
    image.data[4 * n + 3] = 255;
  }
  return upright(image, orientation);
}

/**
 * @param {ImageData} image
 * @param {number} orientation
 */
async function upright(image, orientation) {
  const whole = await createImageBitmap(image);
  if (orientation < 2 || orientation > 8) return whole;
  const { width, height } = image;
  const turned = orientation > 4;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = turned ? [height, width] : [width, height];
  const pen = canvas.getContext("2d");
  const [w, h] = [canvas.width, canvas.height];
  const turns = [[-1, 0, 0, 1, w, 0], [-1, 0, 0, -1, w, h], [1, 0, 0, -1, 0, h], [0, 1, 1, 0, 0, 0], [0, 1, -1, 0, w, 0], [0, -1, -1, 0, w, h], [0, -1, 1, 0, 0, h]];
  const [a, b, c, d, e, f] = turns[orientation - 2];
  pen?.setTransform(a, b, c, d, e, f);
  pen?.drawImage(whole, 0, 0);
  return createImageBitmap(canvas);
}
