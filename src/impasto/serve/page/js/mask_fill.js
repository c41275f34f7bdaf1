// Pixels of similar color, and soft edges.

/** @typedef {import("./mask_pixels.js").Box} Box */

/**
 * Selects the pixels whose channels are all near those around a point.
 * @param {ImageData} image
 * @param {{x: number, y: number}} point in pixels
 * @param {number} tolerance the largest difference of a channel, 0 to 255
 * @param {boolean} contiguous only what is connected to the point
 * @returns {{selected: Uint8Array, box: Box}} 1 where selected, and the box around it
 */
export function selectSimilar(image, point, tolerance, contiguous) {
  const { data, width, height } = image;
  const [x, y] = [clamp(point.x, width), clamp(point.y, height)];
  const [red, green, blue] = meanColor(image, x, y);
  const isNear = (pixel) => Math.abs(data[4 * pixel] - red) <= tolerance
    && Math.abs(data[4 * pixel + 1] - green) <= tolerance && Math.abs(data[4 * pixel + 2] - blue) <= tolerance;
  const selected = new Uint8Array(width * height);
  const box = { left: x, top: y, right: x + 1, bottom: y + 1 };
  selected[y * width + x] = 1;
  if (contiguous) flood(selected, width, y * width + x, isNear, box);
  else {
    for (let row = 0, pixel = 0; row < height; row++) {
      for (let column = 0; column < width; column++, pixel++) {
        if (!isNear(pixel)) continue;
        selected[pixel] = 1;
        extend(box, column, column, row);
      }
    }
  }
  return { selected, box };
}

const clamp = (number, size) => Math.min(size - 1, Math.max(0, Math.floor(number)));

// Of 3 × 3 pixels, so that noise matters less.
function meanColor({ data, width, height }, x, y) {
  const sums = [0, 0, 0];
  for (let dy = -1; dy <= 1; dy++) {
    for (let dx = -1; dx <= 1; dx++) {
      const at = 4 * (clamp(y + dy, height) * width + clamp(x + dx, width));
      for (let channel = 0; channel < 3; channel++) sums[channel] += data[at + channel];
    }
  }
  return sums.map((sum) => sum / 9);
}

// Fills row by row: each run of near pixels puts the runs above and below it on the stack.
function flood(selected, width, start, isNear, box) {
  const stack = [start];
  selected[start] = 0;
  while (stack.length) {
    const pixel = stack.pop();
    if (selected[pixel]) continue;
    const row = pixel - (pixel % width);
    let [left, right] = [pixel, pixel];
    while (left > row && !selected[left - 1] && isNear(left - 1)) left--;
    while (right < row + width - 1 && !selected[right + 1] && isNear(right + 1)) right++;
    selected.fill(1, left, right + 1);
    extend(box, left - row, right - row, row / width);
    for (const by of [-width, width]) {
      if (row + by < 0 || row + by >= selected.length) continue;
      let inRun = false;
      for (let next = left + by; next <= right + by; next++) {
        const open = !selected[next] && isNear(next);
        if (open && !inRun) stack.push(next);
        inRun = open;
      }
    }
  }
}

function extend(box, left, right, row) {
  box.left = Math.min(box.left, left);
  box.right = Math.max(box.right, right + 1);
  box.top = Math.min(box.top, row);
  box.bottom = Math.max(box.bottom, row + 1);
}

/**
 * Blurs levels: three box blurs in each direction are close to a Gaussian.
 * @param {Uint8Array} levels
 * @param {number} deviation of the Gaussian, in pixels
 */
export function blur(levels, width, height, deviation) {
  const reach = Math.max(1, Math.round(Math.sqrt(deviation ** 2 + 0.25) - 0.5)); // variance of three boxes: reach · (reach + 1)
  const lines = [new Float32Array(Math.max(width, height)), new Float32Array(Math.max(width, height))];
  for (let y = 0; y < height; y++) blurLine(levels, lines, y * width, 1, width, reach);
  for (let x = 0; x < width; x++) blurLine(levels, lines, x, width, height, reach);
}

function blurLine(levels, [from, to], start, stride, length, reach) {
  for (let n = 0, at = start; n < length; n++, at += stride) from[n] = levels[at];
  for (let pass = 0; pass < 3; pass++, [from, to] = [to, from]) average(from, to, length, reach);
  for (let n = 0, at = start; n < length; n++, at += stride) levels[at] = from[n] + 0.5;
}

// The mean of each value's neighbors on both sides; beyond the ends the last value goes on.
function average(from, to, length, reach) {
  let sum = 0;
  for (let n = -reach; n <= reach; n++) sum += from[Math.min(length - 1, Math.max(0, n))];
  const share = 1 / (2 * reach + 1);
  for (let n = 0; n < length; n++) {
    to[n] = sum * share;
    sum += from[Math.min(length - 1, n + reach + 1)] - from[Math.max(0, n - reach)];
  }
}
