// The levels of a mask, 0 to 255, and how they change: by strokes, by whole changes, by undo and redo.

/** @typedef {{left: number, top: number, right: number, bottom: number}} Box in pixels; right and bottom lie outside */
/** @typedef {{x: number, y: number, radius: number, opacity: number}} Point of a stroke, in pixels; opacity in [0, 1] */

const TILE = 256; // pixels a side; undo keeps the tiles that changed
const HISTORY_BYTES = 48 * 2 ** 20; // of all tiles that undo and redo keep
const PROFILE_STEPS = 4096;

export class MaskPixels {
  /** @param {number} width @param {number} height */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.levels = new Uint8Array(width * height);
    this.before = new Uint8Array(width * height); // levels before the change under way; between changes the same
    this.cover = new Uint8Array(width * height); // how much the stroke covers each pixel
    this.columns = Math.ceil(width / TILE);
    this.touched = new Set(); // tiles that the stroke has reached
    this.stroke = null;
    this.done = [];
    this.undone = [];
    this.bytes = 0;
    this.position = 0; // steps since the mask was opened; 0 is as it was
  }

  /** @param {ArrayLike<number>} levels to begin with */
  open(levels) {
    this.levels.set(levels);
    this.before.set(levels);
  }

  get whole() {
    return { left: 0, top: 0, right: this.width, bottom: this.height };
  }

  get isEmpty() {
    return this.levels.findIndex((level) => level > 0) < 0;
  }

  // A stroke covers a pixel as much as its strongest point does, so its opacity holds however often it crosses itself.
  /** @param {{hardness: number, radius: number, erases: boolean}} brush */
  beginStroke({ hardness, radius, erases }) {
    this.endStroke();
    this.stroke = { profile: brushProfile(hardness, radius), level: erases ? 0 : 255, last: null };
  }

  /** Goes on to a point. @param {Point} point @returns {Box | null} what has changed */
  lineTo(point) {
    const last = this.stroke.last;
    this.stroke.last = point;
    const length = last ? Math.hypot(point.x - last.x, point.y - last.y) : 0;
    if (last && !length && point.radius <= last.radius && point.opacity <= last.opacity) return null;
    // A pen that presses harder swallows the disc before.
    const from = last && length && point.radius - last.radius < length ? last : point;
    const box = this.boxOf(from, point);
    if (!box) return null;
    return this.coverLine(from, point, box, from === last && last.radius === point.radius && last.opacity === point.opacity);
  }

  /** @param {Point} a @param {Point} b */
  boxOf(a, b) {
    const reach = Math.max(a.radius, b.radius) + 1;
    const box = {
      left: Math.max(0, Math.floor(Math.min(a.x, b.x) - reach)),
      top: Math.max(0, Math.floor(Math.min(a.y, b.y) - reach)),
      right: Math.min(this.width, Math.ceil(Math.max(a.x, b.x) + reach)),
      bottom: Math.min(this.height, Math.ceil(Math.max(a.y, b.y) + reach)),
    };
    return box.left < box.right && box.top < box.bottom ? box : null;
  }

  /**
   * Covers the pixels near a line; if `ahead`, what lies behind its start is covered already.
   * @returns {Box | null} what has changed
   */
  coverLine(from, to, box, ahead) {
    const { levels, before, cover, width } = this;
    const { profile, level } = this.stroke;
    const dx = to.x - from.x;
    const dy = to.y - from.y;
    const squared = dx * dx + dy * dy;
    const perLength = squared ? 1 / squared : 0;
    const reach = (Math.max(from.radius, to.radius) + 1) * Math.sqrt(squared);
    const grows = to.radius - from.radius;
    const perRadius = 1 / (from.radius * from.radius);
    const opacity = 255 * from.opacity;
    const rises = 255 * to.opacity - opacity;
    const full = Math.round(Math.max(opacity, opacity + rises));
    const changed = { left: width, top: box.bottom, right: 0, bottom: box.top };
    for (let y = box.top; y < box.bottom; y++) {
      const py = y + 0.5 - from.y;
      let left = box.left;
      let right = box.right;
      if (ahead && dx > 0) left = Math.max(left, Math.floor(from.x - (py * dy) / dx) - 1);
      if (ahead && dx < 0) right = Math.min(right, Math.ceil(from.x - (py * dy) / dx) + 1);
      if (dy) { // as far from the line as the brush reaches
        const one = (py * dx - reach) / dy;
        const other = (py * dx + reach) / dy;
        left = Math.max(left, Math.floor(from.x + Math.min(one, other)) - 1);
        right = Math.min(right, Math.ceil(from.x + Math.max(one, other)) + 1);
      }
      let first = -1;
      let last = -1;
      for (let x = left, at = y * width + left; x < right; x++, at++) {
        if (cover[at] >= full) continue;
        const px = x + 0.5 - from.x;
        let along = (px * dx + py * dy) * perLength;
        if (along <= 0) {
          if (ahead) continue;
          along = 0;
        } else if (along > 1) along = 1;
        const ex = px - along * dx;
        const ey = py - along * dy;
        const far = (ex * ex + ey * ey) * (grows ? 1 / (from.radius + along * grows) ** 2 : perRadius);
        if (far >= 1) continue;
        const much = (profile[(far * PROFILE_STEPS) | 0] * (opacity + along * rises) + 0.5) | 0;
        if (much <= cover[at]) continue;
        cover[at] = much;
        levels[at] = (before[at] * (255 - much) + level * much) / 255 + 0.5;
        if (first < 0) first = x;
        last = x;
      }
      if (first < 0) continue;
      changed.left = Math.min(changed.left, first);
      changed.right = Math.max(changed.right, last + 1);
      changed.top = Math.min(changed.top, y);
      changed.bottom = y + 1;
    }
    if (changed.left >= changed.right) return null;
    for (const tile of this.tilesIn(changed)) this.touched.add(tile);
    return changed;
  }

  // Ends the stroke; it is one step of the history.
  endStroke() {
    if (!this.stroke) return;
    this.stroke = null;
    this.record([...this.touched]);
    this.clearCover();
  }

  /** Takes the stroke back, as if it had not begun. @returns {Box | null} */
  abandonStroke() {
    this.stroke = null;
    for (const tile of this.touched) this.copyTile(this.before, this.levels, tile);
    const box = this.boxOfTiles(this.touched);
    this.clearCover();
    return box;
  }

  clearCover() {
    for (const tile of this.touched) this.writeTile(this.cover, tile, 0);
    this.touched.clear();
  }

  /** Changes levels anywhere in a box; one step of the history. @param {(levels: Uint8Array) => void} change */
  change(change, box = this.whole) {
    this.endStroke();
    change(this.levels);
    return this.record([...this.tilesIn(box)].filter((tile) => !this.isSame(tile)));
  }

  /** Puts a change of some tiles, made already, into the history. @returns {boolean} whether there is one */
  record(changed) {
    if (!changed.length) return false;
    const tiles = new Map(changed.map((tile) => [tile, this.readTile(this.before, tile)]));
    for (const tile of changed) this.copyTile(this.levels, this.before, tile);
    for (const step of this.undone) this.bytes -= bytesOf(step);
    this.undone = [];
    this.done.push(tiles);
    this.bytes += bytesOf(tiles);
    this.position++;
    while (this.bytes > HISTORY_BYTES && this.done.length > 1) this.bytes -= bytesOf(this.done.shift());
    return true;
  }

  /** @returns {Box | null} what has changed */
  undo() {
    this.endStroke();
    return this.exchange(this.done, this.undone, -1);
  }

  /** @returns {Box | null} what has changed */
  redo() {
    this.endStroke();
    return this.exchange(this.undone, this.done, 1);
  }

  exchange(from, to, by) {
    const tiles = from.pop();
    if (!tiles) return null;
    this.bytes -= bytesOf(tiles);
    for (const [tile, data] of tiles) {
      tiles.set(tile, this.readTile(this.levels, tile));
      this.writeTile(this.levels, tile, data);
      this.writeTile(this.before, tile, data);
    }
    this.bytes += bytesOf(tiles);
    this.position += by;
    to.push(tiles);
    return this.boxOfTiles(tiles.keys());
  }

  *tilesIn(box) {
    const [right, bottom] = [Math.floor((box.right - 1) / TILE), Math.floor((box.bottom - 1) / TILE)];
    for (let row = Math.floor(box.top / TILE); row <= bottom; row++) {
      for (let column = Math.floor(box.left / TILE); column <= right; column++) yield row * this.columns + column;
    }
  }

  boxOfTile(tile) {
    const [left, top] = [(tile % this.columns) * TILE, Math.floor(tile / this.columns) * TILE];
    return { left, top, right: Math.min(this.width, left + TILE), bottom: Math.min(this.height, top + TILE) };
  }

  boxOfTiles(tiles) {
    return [...tiles].map((tile) => this.boxOfTile(tile)).reduce(union, null);
  }

  // A tile of one level is kept as that number.
  readTile(plane, tile) {
    const { left, top, right, bottom } = this.boxOfTile(tile);
    const data = new Uint8Array((right - left) * (bottom - top));
    for (let y = top, at = 0; y < bottom; y++, at += right - left) {
      data.set(plane.subarray(y * this.width + left, y * this.width + right), at);
    }
    for (const level of data) if (level !== data[0]) return data;
    return data[0];
  }

  writeTile(plane, tile, data) {
    const { left, top, right, bottom } = this.boxOfTile(tile);
    for (let y = top, at = 0; y < bottom; y++, at += right - left) {
      if (typeof data === "number") plane.fill(data, y * this.width + left, y * this.width + right);
      else plane.set(data.subarray(at, at + right - left), y * this.width + left);
    }
  }

  isSame(tile) {
    const { left, top, right, bottom } = this.boxOfTile(tile);
    for (let y = top; y < bottom; y++) {
      for (let at = y * this.width + left, end = y * this.width + right; at < end; at++) {
        if (this.levels[at] !== this.before[at]) return false;
      }
    }
    return true;
  }

  copyTile(from, to, tile) {
    const { left, top, right, bottom } = this.boxOfTile(tile);
    for (let y = top; y < bottom; y++) {
      to.set(from.subarray(y * this.width + left, y * this.width + right), y * this.width + left);
    }
  }
}

/** @param {Box | null} a @param {Box | null} b @returns {Box | null} */
export function union(a, b) {
  if (!a || !b) return a ?? b;
  return {
    left: Math.min(a.left, b.left), top: Math.min(a.top, b.top),
    right: Math.max(a.right, b.right), bottom: Math.max(a.bottom, b.bottom),
  };
}

// Opacity by squared distance over squared radius; a hard edge is one pixel wide, so that it has no steps.
function brushProfile(hardness, radius) {
  const core = Math.max(0, Math.min(hardness, 1 - 1 / radius));
  return Float32Array.from({ length: PROFILE_STEPS }, (_, step) => {
    const rest = Math.min(1, (1 - Math.sqrt(step / PROFILE_STEPS)) / (1 - core));
    return rest * rest * (3 - 2 * rest);
  });
}

const bytesOf = (tiles) => [...tiles.values()].reduce((sum, data) => sum + (typeof data === "number" ? 16 : data.length), 0);
