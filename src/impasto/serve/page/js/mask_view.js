// What the mask tool shows: the picture with the other masks below, the mask in front; zoom and pan.

/** @typedef {import("./mask_pixels.js").Box} Box */
/** @typedef {import("./mask_pixels.js").MaskPixels} MaskPixels */

const TINT = [232, 70, 40, 0.62]; // red, green, blue and opacity where the mask is white
const OTHER_OPACITY = 0.4;
const OTHER_SIDE = 1024; // pixels of another mask's longer side
const SMALLEST_SIDE = 512; // of the smaller copies of the picture
const LARGEST_ZOOM = 16; // pixels of the screen for one of the picture
const MARGIN = 40; // pixels of the picture's that stay in view

// Opacity in the highest byte, as in the memory of a canvas.
const TINTS = Uint32Array.from({ length: 256 }, (_, level) => {
  const [red, green, blue, opacity] = TINT;
  return ((Math.round(opacity * level) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
});

export class MaskView {
  /** @param {HTMLCanvasElement} back of the picture @param {HTMLCanvasElement} front of the mask */
  constructor(back, front) {
    this.back = back;
    this.front = front;
    this.copies = []; // of the picture, each half as large as the one before
  }

  /**
   * @param {ImageBitmap} picture
   * @param {MaskPixels} pixels
   * @param {{bitmap: ImageBitmap, color: string}[]} others
   */
  async open(picture, pixels, others) {
    this.close();
    this.picture = picture;
    this.pixels = pixels;
    this.perPixel = pixels.width / picture.width; // pixels of the mask for one of the picture
    this.others = others.map(({ bitmap, color }) => tinted(bitmap, color));
    this.copies = [picture];
    for (let last = picture; Math.max(last.width, last.height) > 2 * SMALLEST_SIDE; this.copies.push(last)) {
      const size = { resizeWidth: Math.max(1, last.width >> 1), resizeHeight: Math.max(1, last.height >> 1) };
      last = await createImageBitmap(last, { ...size, resizeQuality: "medium" });
    }
  }

  // Bitmaps are large, and are not left to the garbage collector.
  close() {
    for (const copy of this.copies) copy.close();
    this.copies = [];
    this.others = [];
    this.picture = this.pixels = this.image = this.colors = null;
  }

  // Takes the size of its place on the screen; a view that fits goes on fitting.
  resize() {
    const ratio = window.devicePixelRatio || 1;
    const [wide, high] = [this.front.clientWidth, this.front.clientHeight];
    if (!wide || !high) return;
    for (const canvas of [this.back, this.front]) {
      canvas.width = Math.round(wide * ratio);
      canvas.height = Math.round(high * ratio);
    }
    this.ratio = ratio;
    this.image = new ImageData(this.front.width, this.front.height);
    this.colors = new Uint32Array(this.image.data.buffer);
    if (this.fits !== false) this.fit();
    else this.place();
  }

  fit() {
    const { width, height } = this.front;
    this.scale = Math.min(width / this.pixels.width, height / this.pixels.height); // screen's pixels for one of the mask
    this.x = (width - this.pixels.width * this.scale) / 2;
    this.y = (height - this.pixels.height * this.scale) / 2;
    this.fits = true;
  }

  // One pixel of the picture on one of the screen is 1.
  get zoom() {
    return this.scale * this.perPixel;
  }

  /** @param {number} zoom @param {{x: number, y: number}} spot of the screen that stays, in its pixels */
  zoomTo(zoom, spot = { x: this.front.width / 2, y: this.front.height / 2 }) {
    const whole = Math.min(this.front.width / this.picture.width, this.front.height / this.picture.height);
    const wanted = Math.min(LARGEST_ZOOM, Math.max(Math.min(1, whole) / 2, zoom)) / this.perPixel;
    this.x = spot.x - (spot.x - this.x) * (wanted / this.scale);
    this.y = spot.y - (spot.y - this.y) * (wanted / this.scale);
    this.scale = wanted;
    this.fits = false;
    this.place();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fits = false;
    this.place();
  }

  // Some of the picture stays in view.
  place() {
    const margin = MARGIN * this.ratio;
    this.x = Math.min(this.front.width - margin, Math.max(margin - this.pixels.width * this.scale, this.x));
    this.y = Math.min(this.front.height - margin, Math.max(margin - this.pixels.height * this.scale, this.y));
  }

  /** @returns where a pointer is on the canvas, in the screen's pixels */
  spotOf({ clientX, clientY }) {
    const box = this.front.getBoundingClientRect();
    return { x: (clientX - box.left) * this.ratio, y: (clientY - box.top) * this.ratio };
  }

  toMask({ x, y }) {
    return { x: (x - this.x) / this.scale, y: (y - this.y) / this.scale };
  }

  toScreen({ x, y }) {
    return { x: this.x + x * this.scale, y: this.y + y * this.scale };
  }

  draw() {
    if (!this.image) return;
    this.drawPicture();
    this.front.getContext("2d").clearRect(0, 0, this.front.width, this.front.height);
    this.colors.fill(0);
    this.drawMask(this.pixels.whole);
  }

  drawPicture() {
    const pen = this.back.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.back.width, this.back.height);
    pen.setTransform(this.scale, 0, 0, this.scale, this.x, this.y);
    pen.imageSmoothingEnabled = this.zoom < 2;
    const needed = this.pixels.width * this.scale;
    const copy = this.copies.findLast((one) => one.width >= needed) ?? this.picture;
    pen.drawImage(copy, 0, 0, this.pixels.width, this.pixels.height);
    pen.imageSmoothingEnabled = true;
    pen.globalAlpha = OTHER_OPACITY;
    for (const other of this.others) pen.drawImage(other, 0, 0, this.pixels.width, this.pixels.height);
    pen.globalAlpha = 1;
  }

  /** Draws the mask where it has changed. @param {Box | null} box in pixels of the mask */
  drawMask(box) {
    if (!box || !this.image) return;
    const { width, height, levels } = this.pixels;
    const { scale, colors } = this;
    const [first, last] = [this.toScreen({ x: box.left, y: box.top }), this.toScreen({ x: box.right, y: box.bottom })];
    const [left, top] = [Math.max(0, Math.ceil(first.x - 0.5)), Math.max(0, Math.ceil(first.y - 0.5))];
    const right = Math.min(this.front.width, Math.ceil(last.x - 0.5));
    const bottom = Math.min(this.front.height, Math.ceil(last.y - 0.5));
    if (left >= right || top >= bottom) return;
    // The level under the middle of each of the screen's pixels.
    const columns = new Int32Array(right - left);
    for (let n = 0; n < columns.length; n++) columns[n] = within((left + n + 0.5 - this.x) / scale, width);
    for (let y = top; y < bottom; y++) {
      const row = within((y + 0.5 - this.y) / scale, height) * width;
      for (let n = 0, at = y * this.front.width + left; n < columns.length; n++, at++) colors[at] = TINTS[levels[row + columns[n]]];
    }
    this.front.getContext("2d").putImageData(this.image, 0, 0, left, top, right - left, bottom - top);
  }
}

const within = (place, size) => Math.min(size - 1, Math.max(0, Math.floor(place)));

// A mask as a color that is opaque where the mask is white.
function tinted(bitmap, color) {
  const factor = Math.min(1, OTHER_SIDE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * factor)));
  const canvas = new OffscreenCanvas(width, height);
  const pen = canvas.getContext("2d");
  pen.drawImage(bitmap, 0, 0, width, height);
  const image = pen.getImageData(0, 0, width, height);
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  for (let n = 0; n < image.data.length; n += 4) {
    const level = (image.data[n] * image.data[n + 3]) / 255;
    image.data.set([red, green, blue, level], n);
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}
