// @ts-check
// The job in view: waiting, coming into being, or done.

import { blob, download } from "./api.js";
import * as clean from "./clean.js";
import * as compare from "./compare.js";
import { byId, clock, first, h, input, list, picture, release, show } from "./dom.js";
import { explain, fail } from "./errors.js";
import { isFilm, isModel, shows } from "./film.js";
import { act, OPEN } from "./jobs.js";
import { draw } from "./losses.js";
import { diagnosis } from "./noise.js";
import { state, update, watch } from "./store.js";
import { named, noted, t } from "./texts.js";

/** @typedef {import("./store.js").Job} Job */
/** @typedef {import("./store.js").State} State */

const ALL = "&strength=1&chroma=1&detail=0"; // of the noise taken away; the sliders give back from it
const SHOWN = /\.(jpe?g|jfif|jpe|png|webp|avif|gif|bmp)$/i; // that browsers decode
const FORMATS = ["png", "png16", "jpeg", "webp", "tiff", "tiff16"]; // of pictures
const KEPT = 200 * 2 ** 20; // bytes of pictures that need not be fetched again
let loaded = ""; // what the comparison shows
let loading = ""; // what it will show
let asked = { id: "", number: 0, busy: false }; // the preview
/** @type {any[]} planes of the stack in view, before and after */
let stacks = [];

export function start() {
  compare.start();
  clean.start();
  byId("stop").addEventListener("click", () => act(state.current ?? "", "stop"));
  byId("cancel").addEventListener("click", () => act(state.current ?? "", "cancel"));
  byId("again").addEventListener("click", async () => {
    const job = state.jobs.get(state.current ?? "");
    if (job) (await import("./recipe.js")).restore(job.method, job.recipe, job.inputs);
  });
  byId("versus-off").addEventListener("click", () => update({ versus: null }));
  byId("notify").addEventListener("click", async () => { await Notification.requestPermission(); update({}); });
  input("plane").addEventListener("input", () => update({ planes: { ...state.planes, [state.current ?? ""]: Number(input("plane").value) } }));
  for (const format of FORMATS.filter((one) => one !== "webp")) {
    byId(`download-${format}`).addEventListener("click", () => save(format));
  }
  watch(render);
}

/** @param {string} format */
async function save(format) {
  const job = state.jobs.get(state.current ?? "");
  if (!job) return;
  try {
    await download(`/v1/jobs/${job.id}/result?format=${format}${clean.query(job)}`);
  } catch (error) {
    fail(/** @type {Error} */ (error));
  }
}

/**
 * @param {State} now
 * @param {State | null} before
 */
function render(now, before) {
  const job = now.jobs.get(now.current ?? "") ?? null;
  const running = job !== null && ["running", "queued"].includes(job.status);
  const result = job && !running ? job.result : null;
  const sheet = now.sheet !== null;
  document.documentElement.dataset.view = sheet ? "done" : job ? (running ? "running" : "done") : "empty";
  const key = job && !sheet && isPicture(job) ? `${job.id} ${job.ended} ${now.versus ?? ""}` : "";
  const preview = job !== null && running && job.preview > 0 && asked.id === job.id && asked.number > 0;
  show(byId("empty"), !job && !sheet);
  show(byId("run-bar"), running && !sheet);
  show(byId("done-bar"), job && !running && !sheet);
  show(byId("running"), preview && !sheet);
  show(byId("compare"), key !== "" && loaded === key);
  message(sheet ? null : job, result, preview, key);
  list(byId("job-notes"), sheet ? [] : [...(result?.notes ?? []), ...(job?.inputs ?? []).flatMap((/** @type {any} */ one) => one.notes.map((/** @type {string} */ note) => t("notes.line", { name: one.name, note: noted(note) })))]);
  if (running && job) progress(job);
  facts(job, result);
  if (job && key && key !== loaded && key !== loading) load(key, job, now.jobs.get(now.versus ?? "") ?? null);
  if (!key) {
    loaded = loading = "";
    clean.close();
    stacks = [];
    delete byId("compare").dataset.job;
  }
  versus(now, job);
  if (loaded === key && now.planes !== before?.planes) plane(job);
}

/** Whether a job has a result that can be compared; films and models are downloaded alone. @param {Job} job */
export const isPicture = ({ result, status }) => Boolean(result) && !OPEN.includes(status) && (result.stack || result.formats.includes("png"));

/**
 * @param {Job | null} job
 * @param {any} result
 * @param {boolean} preview
 * @param {string} key
 */
function message(job, result, preview, key) {
  const box = byId("message");
  const text = !job || preview || shows(job) || (key && loaded === key) ? "" : key || isFilm(job) ? t("loading") : job.status === "running" ? t("starting") : t(`status.${job.status}`);
  show(box, text);
  first(".big", box).textContent = text;
  first(".reason", box).textContent = !job ? "" : job.reason ? explain(job.reason) : job.position ? t("queue.place", { place: job.position }) : "";
}

/** @param {Job} job */
function progress(job) {
  const step = job.step;
  /** @type {any} */ (byId("progress")).value = step ? step.evaluation / step.evaluations : 0;
  const film = step && (job.method === "film" || job.method === "denoise-clip");
  byId("stop").textContent = t(film ? "stopFilm" : job.method === "fit" ? "stopModel" : "stop");
  byId("progress-text").textContent = step ? t(film ? "progress.film" : "progress.text", {
    made: step.evaluation, of: step.evaluations, width: step.width, height: step.height,
    seconds: clock(step.seconds), left: step.left === null ? "…" : clock(step.left),
  }) : t(job.status === "running" ? "starting" : "status.queued");
  show(first(".curve"), job.history.length > 1);
  show(byId("stop"), job.status === "running");
  show(byId("notify"), "Notification" in window && Notification.permission === "default");
  if (job.history.length > 1) draw(job.history, step?.evaluations ?? job.history.at(-1).evaluation);
  look(job);
}

/** Fetch the latest preview; one at a time, so that a slow connection skips some. @param {Job} job */
async function look(job) {
  if (asked.id !== job.id) asked = { id: job.id, number: 0, busy: false };
  if (asked.busy || job.preview <= asked.number) return;
  const mine = asked;
  mine.busy = true;
  try {
    const number = job.preview;
    const data = await blob(`/v1/jobs/${job.id}/preview`);
    if (asked === mine) {
      mine.number = number;
      const image = /** @type {HTMLImageElement} */ (byId("preview"));
      release(shown);
      picture(image, (shown = data));
      image.dataset.number = String(number);
      image.dataset.of = job.id;
      update({});
    }
  } catch { /* it has just ended: its result comes next */ }
  mine.busy = false;
}
/** @type {Blob | null} */
let shown = null;

/**
 * @param {Job | null} job
 * @param {any} result
 */
function facts(job, result) {
  show(first("#done-bar .zooms"), job && isPicture(job));
  show(first("#done-bar .label"), result);
  for (const format of ["png", "png16", "jpeg", "tiff16"]) show(byId(`download-${format}`), result?.formats.includes(format));
  show(byId("download-tiff"), result?.stack);
  const more = (result?.formats ?? []).filter((/** @type {string} */ one) => !FORMATS.includes(one));
  byId("download-more").replaceChildren(...more.map((/** @type {string} */ one) => h("button", { onclick: () => save(one) }, one === "impasto" ? t("making.model") : one.length < 5 ? one.toUpperCase() : one)));
  show(byId("planes"), result?.stack && stacks.length > 0);
  show(byId("again"), job);
  const found = result?.diagnosis ? ` ${diagnosis(result.diagnosis)}` : "";
  const values = { width: result?.width, height: result?.height, seconds: clock(result?.seconds ?? 0), status: job ? t(`status.${job.status}`) : "", frames: result?.frames, length: clock((result?.frames ?? 0) / (result?.rate || 25)) };
  byId("done-text").textContent = !job || !result ? "" : t(isFilm(job) ? "done.film" : isModel(job) ? "done.model" : "done.text", values) + found;
}

/** @param {Job} job */
function nameOf({ title, recipe }) {
  return recipe.preset && recipe.preset !== "default" ? `${title} · ${named("presets", recipe.preset, recipe.preset)}` : title;
}

/**
 * @param {State} now
 * @param {Job | null} job
 */
function versus(now, job) {
  const other = now.jobs.get(now.versus ?? "");
  first("#compare .left").textContent = other ? nameOf(other) : t("compare.before");
  first("#compare .right").textContent = other && job ? nameOf(job) : t("compare.after");
  show(byId("versus"), other);
  byId("versus-text").textContent = other ? t("compare.with", { title: nameOf(other) }) : "";
}

/**
 * Load what is compared; what is not wanted any more when it comes is not shown.
 * @param {string} key
 * @param {Job} job
 * @param {Job | null} other
 */
async function load(key, job, other) {
  loading = key;
  clean.close();
  stacks = [];
  try {
    const cleaned = job.method === "denoise";
    if (job.result.stack) {
      await loadStack(key, job);
    } else {
      const [given, result, left] = await Promise.all([
        contentOf(job),
        bitmap(`/v1/jobs/${job.id}/result?format=png${cleaned ? ALL : ""}`, job),
        other ? bitmap(`/v1/jobs/${other.id}/result?format=png${clean.query(other)}`, other) : null,
      ]);
      if (loading !== key) return;
      const content = given ?? result;
      compare.open(left ?? content, result);
      if (cleaned) clean.open(job, content, result, () => bitmap(`/v1/jobs/${job.id}/result?format=png&strength=1&chroma=1&detail=1`, job));
    }
    if (loading !== key) return;
    loaded = key;
    byId("compare").dataset.job = job.id;
    byId("compare").dataset.versus = other?.id ?? "";
    update({});
    requestAnimationFrame(() => { if (loaded === key) compare.settle(); });
  } catch (error) {
    if (loading === key) fail(/** @type {Error} */ (error));
  }
}

/** @type {Map<string, Promise<Blob>>} the last used is the last */
const blobs = new Map();
let held = 0;

/**
 * @param {string} path
 * @param {Job} job
 */
function cached(path, job) {
  const key = `${path} ${job.ended}`;
  const found = blobs.get(key) ?? blob(path);
  if (!blobs.has(key)) found.then((data) => {
    held += data.size;
    for (const [old, one] of blobs) {
      if (held <= KEPT || old === key) break;
      blobs.delete(old);
      one.then((gone) => { held -= gone.size; });
    }
  }).catch(() => blobs.delete(key));
  blobs.delete(key);
  blobs.set(key, found);
  return found;
}

/**
 * @param {string} path
 * @param {Job} job
 */
const bitmap = async (path, job) => createImageBitmap(await cached(path, job));

/** The content of a job, as large as its result or larger; null if it has none. @param {Job} job @returns {Promise<ImageBitmap | null>} */
async function contentOf(job) {
  const { result, recipe } = job;
  const content = job.inputs.find((/** @type {any} */ one) => one.role === "content");
  if (!content) return null;
  const crop = Array.isArray(recipe.crop) ? recipe.crop : null;
  const path = `/v1/jobs/${job.id}/inputs/content`;
  // The file itself is sent faster than a PNG of it is made.
  if (SHOWN.test(content.name) && (crop || content.width * content.height <= 4 * result.width * result.height)) {
    try {
      const file = await cached(`${path}?original=true`, job);
      const whole = await createImageBitmap(file, { imageOrientation: "from-image" });
      if (whole.width * content.height === whole.height * content.width) {
        return crop ? await createImageBitmap(whole, crop[0], crop[1], crop[2], crop[3]) : whole;
      }
    } catch { /* the server decodes more than a browser */ }
  }
  return bitmap(`${path}?longest=${Math.max(result.width, result.height)}${crop ? "&crop=true" : ""}`, job);
}

/**
 * @param {string} key
 * @param {Job} job
 */
async function loadStack(key, job) {
  const tiff = await import("./tiff.js");
  const found = await Promise.all([cached(`/v1/jobs/${job.id}/inputs/content?original=true`, job), cached(`/v1/jobs/${job.id}/result?format=tiff`, job)].map(async (one) => tiff.open(await one)));
  if (loading !== key) return;
  stacks = found;
  await plane(job);
}

/** Show a plane of a stack, before and after on one scale of brightness. @param {Job | null} job */
async function plane(job) {
  if (!job || !stacks.length) return;
  const [noisy, cleaned] = stacks;
  const many = Math.min(noisy.pages.length, cleaned.pages.length);
  const index = Math.min(many - 1, state.planes[job.id] ?? 0);
  input("plane").max = String(many - 1);
  input("plane").value = String(index);
  first("output", byId("planes")).textContent = `${index + 1} / ${many}`;
  const mine = stacks;
  const one = await noisy.read(index);
  const two = await cleaned.read(index);
  if (stacks !== mine || index !== Math.min(many - 1, state.planes[job.id] ?? 0)) return;
  const range = noisy.range(one);
  compare.open(await noisy.bitmap(one, range), await cleaned.bitmap(two, range));
}
