// @ts-check
// Results that are no pictures: a film that plays, and a fitted model with the last painting of its fit.

import { blob } from "./api.js";
import { byId, first, picture, release, show } from "./dom.js";
import { fail } from "./errors.js";
import { OPEN } from "./jobs.js";
import { edit, state, update, watch } from "./store.js";
import { t } from "./texts.js";

/** @typedef {import("./store.js").Job} Job */

const video = /** @type {HTMLVideoElement} */ (byId("film"));
const poster = /** @type {HTMLImageElement} */ (byId("poster"));
let loaded = ""; // what is shown
let loading = ""; // what will be
let playable = true;
/** @type {Blob | null} */
let painting = null;

/** @param {Job} job */
export const isFilm = ({ result, status }) => Boolean(result?.frames) && !OPEN.includes(status);
/** @param {Job} job */
export const isModel = ({ result, status }) => Boolean(result?.formats.includes("impasto")) && !OPEN.includes(status);
/** @param {Job} job */
const keyOf = (job) => (isFilm(job) || isModel(job) ? `${job.id} ${job.ended}` : "");
/** Whether a job is in view here. @param {Job} job */
export const shows = (job) => loaded !== "" && loaded === keyOf(job);

export function start() {
  byId("use-model").addEventListener("click", use);
  video.addEventListener("error", () => { if (video.src && loaded) { playable = false; update({}); } });
  watch((now) => {
    const job = now.sheet ? null : now.jobs.get(now.current ?? "") ?? null;
    const key = job ? keyOf(job) : "";
    if (job && key && key !== loaded && key !== loading) load(job, key);
    if (!key && (loaded || loading)) close();
    const shown = key !== "" && key === loaded;
    const plays = shown && job !== null && isFilm(job) && playable;
    show(video, plays);
    show(byId("poster-box"), shown && !plays && painting);
    first("#poster-box p").textContent = shown && job && isFilm(job) ? t("film.unplayable") : "";
    show(byId("use-model"), job && isModel(job));
  });
}

function close() {
  loaded = loading = "";
  if (video.src) URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
  video.load();
  release(painting);
  painting = null;
}

/**
 * @param {Job} job
 * @param {string} key
 */
async function load(job, key) {
  close();
  loading = key;
  const path = `/v1/jobs/${job.id}/result?format=`;
  const { formats } = job.result;
  try {
    const [film, last] = await Promise.all([isFilm(job) ? blob(path + formats[0]) : null, formats.includes("jpeg") ? blob(`${path}jpeg&longest=1600`) : null]);
    if (loading !== key) return;
    [loaded, playable, painting] = [key, true, last];
    if (film) video.src = URL.createObjectURL(film);
    if (last) picture(poster, last);
    video.dataset.job = job.id;
    video.setAttribute("aria-label", job.title);
    poster.alt = job.title;
    update({});
  } catch (error) {
    if (loading === key) fail(/** @type {Error} */ (error));
  }
}

/** Take the model in view as the style. */
async function use() {
  const job = state.jobs.get(state.current ?? "");
  if (!job) return;
  try {
    const data = await blob(`/v1/jobs/${job.id}/result?format=impasto`);
    const name = `${job.inputs.filter((/** @type {any} */ one) => one.role.startsWith("style")).map((/** @type {any} */ one) => one.name.replace(/\.\w+$/, "")).join(" + ")}.impasto`;
    const model = { file: new File([data], name), name, width: null, height: null, thumb: painting, planes: 1 };
    edit({ mode: "style", making: "painting", model });
    byId("go").focus();
  } catch (error) {
    fail(/** @type {Error} */ (error));
  }
}
