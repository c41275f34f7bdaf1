// Painting a mask over the content image with a soft round brush: white where it acts.

import { byId, h, show } from "./dom.js";
import { on, state, tell } from "./state.js";
import { t } from "./texts.js";

const LONGEST = 1024; // pixels of a mask's longer side
const dialog = byId("mask-dialog");
const canvas = byId("mask-canvas");
const mask = h("canvas"); // gray, opaque
let image = null;
let what = null; // {kind: "protect" | "keep" | "region", index}
let erasing = false;
let past = [];
let spot = { x: 0, y: 0 };

export function start() {
  for (const kind of ["protect", "keep"]) byId(`mask-${kind}`).addEventListener("click", () => open({ kind }));
  on("mask", open);
  byId("mask-erase").addEventListener("click", () => { erasing = !erasing; byId("mask-erase").setAttribute("aria-pressed", String(erasing)); });
  byId("mask-undo").addEventListener("click", () => { if (past.length) { pen().putImageData(past.pop(), 0, 0); draw(); } });
  byId("mask-clear").addEventListener("click", () => { keep(); flood("#000"); draw(); });
  byId("mask-invert").addEventListener("click", () => { keep(); invert(); draw(); });
  byId("mask-cancel").addEventListener("click", () => dialog.close());
  byId("mask-done").addEventListener("click", done);
  byId("mask-size").addEventListener("input", point);
  canvas.addEventListener("pointerdown", begin);
  canvas.addEventListener("keydown", typed);
}

const pen = () => mask.getContext("2d", { willReadFrequently: true });

async function open(wanted) {
  what = wanted;
  image = await createImageBitmap(state.content, { imageOrientation: "from-image" });
  const factor = Math.min(1, LONGEST / Math.max(image.width, image.height));
  for (const one of [canvas, mask]) {
    one.width = Math.max(1, Math.round(image.width * factor));
    one.height = Math.max(1, Math.round(image.height * factor));
  }
  past = [];
  spot = { x: canvas.width / 2, y: canvas.height / 2 };
  flood("#000");
  const before = what.kind === "region" ? state.styles[what.index].region : state.masks[what.kind];
  if (before) pen().drawImage(await createImageBitmap(before), 0, 0, mask.width, mask.height);
  byId("mask-title").textContent = t(`mask.title.${what.kind}`);
  byId("mask-hint").textContent = t(`mask.hint.${what.kind}`);
  dialog.showModal();
  draw();
  canvas.focus();
}

function flood(color) {
  pen().globalCompositeOperation = "source-over";
  pen().fillStyle = color;
  pen().fillRect(0, 0, mask.width, mask.height);
}

function invert() {
  pen().globalCompositeOperation = "difference";
  pen().fillStyle = "#fff";
  pen().fillRect(0, 0, mask.width, mask.height);
  pen().globalCompositeOperation = "source-over";
}

function keep() {
  past.push(pen().getImageData(0, 0, mask.width, mask.height));
  if (past.length > 20) past.shift();
}

// The picture, tinted where the mask is white.
function draw() {
  const show = canvas.getContext("2d");
  const tint = pen().getImageData(0, 0, mask.width, mask.height);
  for (let i = 0; i < tint.data.length; i += 4) {
    const much = tint.data[i];
    tint.data.set([232, 70, 40, 0.62 * much], i);
  }
  const layer = h("canvas", { width: mask.width, height: mask.height });
  layer.getContext("2d").putImageData(tint, 0, 0);
  show.drawImage(image, 0, 0, canvas.width, canvas.height);
  show.drawImage(layer, 0, 0);
}

function dab(x, y) {
  const radius = Number(byId("mask-size").value) / 2;
  const hard = 1 - Number(byId("mask-softness").value);
  const shade = erasing ? "0, 0, 0" : "255, 255, 255";
  const much = Number(byId("mask-opacity").value);
  const soft = pen().createRadialGradient(x, y, radius * hard * 0.99, x, y, radius);
  soft.addColorStop(0, `rgba(${shade}, ${much})`);
  soft.addColorStop(1, `rgba(${shade}, 0)`);
  pen().fillStyle = soft;
  pen().beginPath();
  pen().arc(x, y, radius, 0, 2 * Math.PI);
  pen().fill();
}

function at(event) {
  const box = canvas.getBoundingClientRect();
  return { x: ((event.clientX - box.left) * canvas.width) / box.width, y: ((event.clientY - box.top) * canvas.height) / box.height };
}

function begin(event) {
  canvas.setPointerCapture(event.pointerId);
  keep();
  let last = at(event);
  dab(last.x, last.y);
  draw();
  const move = (moved) => {
    const here = at(moved);
    const gap = Math.max(1, Number(byId("mask-size").value) / 8);
    const dabs = Math.floor(Math.hypot(here.x - last.x, here.y - last.y) / gap);
    for (let n = 1; n <= dabs; n++) dab(last.x + ((here.x - last.x) * n) / dabs, last.y + ((here.y - last.y) * n) / dabs);
    if (dabs) last = here;
    draw();
  };
  canvas.addEventListener("pointermove", move);
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => canvas.removeEventListener("pointermove", move), { once: true });
}

// With the arrow keys and space, for whoever has no pointer.
function typed(event) {
  const step = event.shiftKey ? 40 : 10;
  const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
  if (by) {
    spot = { x: Math.min(canvas.width, Math.max(0, spot.x + by[0])), y: Math.min(canvas.height, Math.max(0, spot.y + by[1])) };
  } else if (event.key === " ") {
    keep();
    dab(spot.x, spot.y);
    draw();
  } else return;
  event.preventDefault();
  point();
}

function point() {
  const cursor = byId("mask-cursor");
  const scale = canvas.clientWidth / canvas.width || 1;
  const size = Number(byId("mask-size").value) * scale;
  cursor.style.width = cursor.style.height = `${size}px`;
  cursor.style.left = `${canvas.offsetLeft + spot.x * scale - size / 2}px`;
  cursor.style.top = `${canvas.offsetTop + spot.y * scale - size / 2}px`;
}

async function done() {
  const data = pen().getImageData(0, 0, mask.width, mask.height).data;
  const painted = data.some((one, index) => index % 4 === 0 && one > 0);
  const found = painted ? await new Promise((answer) => mask.toBlob(answer, "image/png")) : null;
  if (what.kind === "region") state.styles[what.index].region = found;
  else state.masks[what.kind] = found;
  dialog.close();
  tell(what.kind === "region" ? "styles" : "masks");
}

export function marks() {
  for (const kind of ["protect", "keep"]) byId(`mask-${kind}`).setAttribute("aria-pressed", String(Boolean(state.masks[kind])));
  show(byId("mask-cursor"), true);
}
