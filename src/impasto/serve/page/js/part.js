// A part of the picture, cleaned as it will be in the whole: a square to be moved, and a job of its own.

import { ask, json } from "./api.js";
import { byId, complain, quiet, show } from "./dom.js";
import * as jobs from "./jobs.js";
import { wanted } from "./options.js";
import { on, state, tell } from "./state.js";
import { t } from "./texts.js";

const SIDE = 512; // pixels of the picture
const well = byId("content-well");
const square = byId("part-square");
let file = null; // that the rest is about
let size = null; // its pixels, once they are known
let spot = { x: 0, y: 0 }; // upper left corner of the square
let last = null; // id of the part's job before: there is one at a time
let dragged = false;

export function start() {
  on("content", () => { if (file !== state.content) fresh(); draw(); });
  on("mode", draw);
  on("diagnosed", (found) => { if (found.stack) size = null; else if (!size) middle(found.width, found.height); draw(); });
  byId("part-look").addEventListener("click", look);
  square.addEventListener("pointerdown", drag);
  square.addEventListener("keydown", step);
  square.addEventListener("click", () => { if (!dragged) look(); dragged = false; });
  new ResizeObserver(draw).observe(well);
}

async function fresh() {
  file = state.content;
  size = null;
  const image = well.querySelector("img");
  if (!image) return; // its size comes with the diagnosis
  const mine = file;
  await image.decode().catch(() => {});
  if (mine !== file || !image.naturalWidth) return;
  middle(image.naturalWidth, image.naturalHeight);
  draw();
}

function middle(width, height) {
  size = { width, height };
  spot = { x: Math.floor((width - sides().width) / 2), y: Math.floor((height - sides().height) / 2) };
}

const sides = () => ({ width: Math.min(SIDE, size.width), height: Math.min(SIDE, size.height) });

// Where the whole picture lies in the well.
function placed() {
  const scale = Math.min(well.clientWidth / size.width, well.clientHeight / size.height);
  return { scale, left: (well.clientWidth - size.width * scale) / 2, top: (well.clientHeight - size.height * scale) / 2 };
}

function draw() {
  const there = state.mode === "denoise" && size !== null;
  show(byId("part-tools"), there);
  show(square, there && Boolean(well.querySelector("img")));
  if (!there) return;
  const { scale, left, top } = placed();
  square.style.left = `${left + spot.x * scale}px`;
  square.style.top = `${top + spot.y * scale}px`;
  square.style.width = `${sides().width * scale}px`;
  square.style.height = `${sides().height * scale}px`;
  square.setAttribute("aria-label", t("part.square", { x: spot.x, y: spot.y, ...sides() }));
}

function move(x, y) {
  spot = {
    x: Math.round(Math.min(size.width - sides().width, Math.max(0, x))),
    y: Math.round(Math.min(size.height - sides().height, Math.max(0, y))),
  };
  draw();
}

function drag(event) {
  event.preventDefault();
  square.focus();
  square.setPointerCapture(event.pointerId);
  dragged = false;
  const from = { ...spot, left: event.clientX, top: event.clientY };
  const moved = (now) => {
    const { scale } = placed();
    dragged ||= Math.hypot(now.clientX - from.left, now.clientY - from.top) > 3;
    if (dragged) move(from.x + (now.clientX - from.left) / scale, from.y + (now.clientY - from.top) / scale);
  };
  square.addEventListener("pointermove", moved);
  for (const end of ["pointerup", "pointercancel"]) square.addEventListener(end, () => square.removeEventListener("pointermove", moved), { once: true });
}

function step(event) {
  const much = event.shiftKey ? 8 : 64;
  const by = { ArrowLeft: [-much, 0], ArrowRight: [much, 0], ArrowUp: [0, -much], ArrowDown: [0, much] }[event.key];
  if (!by) return;
  event.preventDefault();
  move(spot.x + by[0], spot.y + by[1]);
}

async function look() {
  if (!size || byId("part-look").disabled) return;
  quiet();
  byId("part-look").disabled = true;
  const form = new FormData();
  form.append("content", file, file.name);
  form.append("options", JSON.stringify({ ...wanted(), crop: [spot.x, spot.y, sides().width, sides().height] }));
  try {
    await forget();
    const job = await json("/v1/jobs/denoise", { method: "POST", body: form });
    last = job.id;
    if (!state.jobs.has(job.id)) state.jobs = new Map([[job.id, job], ...state.jobs]);
    jobs.view(job.id);
    tell("jobs");
  } catch (error) {
    complain(error.unreachable ? t("gone") : error.status === 429 ? t("errors.full", { after: error.after ?? 10 }) : error.message);
  }
  byId("part-look").disabled = false;
}

// The part before is of no use any more.
async function forget() {
  const job = state.jobs.get(last);
  last = null;
  if (!job) return;
  const running = job.status === "running";
  await ask(`/v1/jobs/${job.id}${running ? "/cancel" : ""}`, { method: running ? "POST" : "DELETE" }).catch(() => {});
}
