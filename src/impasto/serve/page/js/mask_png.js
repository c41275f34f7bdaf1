// Masks as files: gray PNGs of 8 bits, white where the mask acts.

const LUMA = [0.2126, 0.7152, 0.0722]; // Rec. 709, as the server has it

/** @param {Uint8Array} levels @returns {Promise<Blob>} */
export async function encodeMask(levels, width, height) {
  const rows = new Uint8Array((width + 1) * height); // each row begins with its filter: none
  for (let y = 0; y < height; y++) rows.set(levels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const packed = new Response(new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate")));
  const header = new Uint8Array(13); // width, height, 8 bits, gray, no interlacing
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8;
  const chunks = [chunk("IHDR", header), chunk("IDAT", new Uint8Array(await packed.arrayBuffer())), chunk("IEND", new Uint8Array(0))];
  return new Blob([new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]), ...chunks], { type: "image/png" });
}

function chunk(name, data) {
  const made = new Uint8Array(data.length + 12);
  const view = new DataView(made.buffer);
  view.setUint32(0, data.length);
  for (let n = 0; n < 4; n++) made[4 + n] = name.charCodeAt(n);
  made.set(data, 8);
  view.setUint32(data.length + 8, checksum(made.subarray(4, data.length + 8)));
  return made;
}

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte;
});

function checksum(data) {
  let crc = 0xffffffff;
  for (const byte of data) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/**
 * Reads a picture as a mask of a size; colors count by their luminance, transparent is black.
 * @param {Blob} file
 * @returns {Promise<Uint8Array | null>} levels; null if its proportions are others
 */
export async function decodeMask(file, width, height) {
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  const expected = (bitmap.width * height) / width;
  const fits = Math.abs(bitmap.height - expected) <= Math.max(1, 0.01 * expected); // as the server asks
  const levels = fits ? readLevels(bitmap, width, height) : null;
  bitmap.close();
  return levels;
}

function readLevels(bitmap, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, width, height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, width, height);
  const levels = new Uint8Array(width * height);
  const rows = Math.max(1, Math.floor(2 ** 20 / width)); // a strip at a time
  for (let top = 0; top < height; top += rows) {
    const { data } = pen.getImageData(0, top, width, Math.min(rows, height - top));
    for (let n = 0, at = top * width; n < data.length; n += 4, at++) {
      levels[at] = LUMA[0] * data[n] + LUMA[1] * data[n + 1] + LUMA[2] * data[n + 2] + 0.5;
    }
  }
  return levels;
}
