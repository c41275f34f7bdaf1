// @ts-check
// Files in one ZIP, stored as they are: pictures do not get smaller. Loaded when it is first wanted.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** @param {Uint8Array} data */
function crc32(data) {
  let sum = 0xffffffff;
  for (let n = 0; n < data.length; n++) sum = TABLE[(sum ^ data[n]) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

/**
 * @param {{name: string, data: Blob, date: Date}[]} files
 * @returns {Promise<Blob>}
 */
export async function zip(files) {
  /** @type {BlobPart[]} */
  const parts = [];
  /** @type {BlobPart[]} */
  const index = [];
  let at = 0;
  for (const { name, data, date } of files) {
    const label = new TextEncoder().encode(name);
    const size = data.size;
    const day = ((date.getFullYear() - 1980) << 9) | ((date.getMonth() + 1) << 5) | date.getDate();
    const time = (date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1);
    // Version 2.0, names in UTF-8, stored.
    const facts = [[20, 2], [0x800, 2], [0, 2], [time, 2], [day, 2], [crc32(new Uint8Array(await data.arrayBuffer())), 4], [size, 4], [size, 4], [label.length, 2], [0, 2]];
    const head = record([[0x04034b50, 4], ...facts]);
    parts.push(head, label, data);
    index.push(record([[0x02014b50, 4], [20, 2], ...facts, [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]]), label);
    at += head.byteLength + label.length + size;
  }
  const size = index.reduce((sum, part) => sum + /** @type {any} */ (part).byteLength, 0);
  return new Blob([...parts, ...index, record([[0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [size, 4], [at, 4], [0, 2]])], { type: "application/zip" });
}

/** @param {number[][]} fields [value, bytes] */
function record(fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [, bytes]) => sum + bytes, 0)));
  let at = 0;
  for (const [value, bytes] of fields) {
    if (bytes === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += bytes;
  }
  return view.buffer;
}
