// The job in view: waiting, coming into being, or done.

import { ask, blob, download } from "./api.js";
import * as clean from "./clean.js";
import * as compare from "./compare.js";
import { byId, clock, complain, list, picture, say, show } from "./dom.js";
import { draw } from "./losses.js";
import { on, state, tell } from "./state.js";
import { noted, t } from "./texts.js";
import { diagnosis } from "./wells.js";

const ALL = "&strength=1&chroma=1&detail=0"; // of the noise taken away; the sliders give back from it
let opened = null; // what the comparison shows: job and when it ended
let preview = { id: null, seen: 0, asked: false };

export function start() {
  compare.start();
  clean.start();
  byId("stop").addEventListener("click", () => act("stop"));
  byId("cancel").addEventListener("click", () => act("cancel"));
  byId("again").addEventListener("click", () => tell("adopt", state.jobs.get(state.current)));
  for (const format of ["png", "png16", "jpeg", "tiff", "tiff16"]) {
    byId(`download-${format}`).addEventListener("click", () => save(format));
  }
  on("jobs", render);
  on("current", render);
}

async function act(word) {
  try {
    await ask(`/v1/jobs/${state.current}/${word}`, { method: "POST" });
    say(t(`said.${word}`));
  } catch (error) {
    if (error.status !== 409) complain(error.unreachable ? t("gone") : error.message);
  }
}

async function save(format) {
  try {
    await download(`/v1/jobs/${state.current}/result?format=${format}${clean.shares()}`);
  } catch (error) {
    complain(error.unreachable ? t("gone") : error.message);
  }
}

export function render() {
  const job = state.jobs.get(state.current) ?? null;
  const running = job?.status === "running" || job?.status === "queued";
  const result = job && !running ? job.result : null;
  document.documentElement.dataset.view = job ? (running ? "running" : "done") : "empty";
  show(byId("empty"), !job);
  show(byId("run-bar"), running);
  show(byId("done-bar"), Boolean(job) && !running);
  show(byId("running"), job?.status === "running" && job.preview > 0);
  show(byId("compare"), Boolean(result) && !result.stack);
  message(job, result);
  list(byId("job-notes"), (job?.inputs ?? []).flatMap((one) => one.notes.map((note) => t("notes.line", { name: one.name, note: noted(note) }))));
  if (running) progress(job);
  if (result) done(job, result);
  else opened = null;
  for (const one of document.querySelectorAll("#done-bar .zooms, #done-bar .label, [id^=download-]")) show(one, Boolean(result));
  if (result) offer(result);
}

function message(job, result) {
  const box = byId("message");
  const waiting = job?.status === "queued" || (job?.status === "running" && !job.preview);
  const wanted = job && (waiting || !result || result.stack);
  show(box, Boolean(wanted) && !(job?.status === "running" && job.preview));
  if (!wanted) return;
  box.querySelector(".big").textContent = result?.stack ? t("done.stack") : job.status === "running" ? t("starting") : t(`status.${job.status}`);
  box.querySelector(".reason").textContent = job.reason ?? (job.position ? t("queue.place", { place: job.position }) : "");
}

function progress(job) {
  const step = job.step;
  byId("progress").value = step ? step.evaluation / step.evaluations : 0;
  byId("progress-text").textContent = step ? t("progress.text", {
    made: step.evaluation, of: step.evaluations, width: step.width, height: step.height,
    seconds: clock(step.seconds), left: step.left === null ? "…" : clock(step.left),
  }) : t(job.status === "running" ? "starting" : "status.queued");
  show(document.querySelector(".curve"), job.history.length > 1);
  show(byId("stop"), job.status === "running");
  if (job.history.length > 1) draw(job.history, step?.evaluations ?? job.history.at(-1).evaluation);
  look(job);
}

// Fetch the latest preview; one at a time, so that a slow connection skips some.
async function look(job) {
  if (preview.id !== job.id) preview = { id: job.id, seen: 0, asked: false };
  if (preview.asked || job.preview <= preview.seen) return;
  const mine = preview;
  mine.asked = true;
  try {
    const number = job.preview;
    const data = await blob(`/v1/jobs/${job.id}/preview`);
    if (preview === mine) {
      mine.seen = number;
      byId("preview").dataset.number = number;
      picture(byId("preview"), data);
    }
  } catch { /* it has just ended: its result comes next */ }
  mine.asked = false;
}

function offer(result) {
  for (const format of ["png", "png16", "jpeg", "tiff16"]) show(byId(`download-${format}`), result.formats.includes(format));
  show(byId("download-tiff"), result.stack);
  show(document.querySelector("#done-bar .zooms"), !result.stack);
}

async function done(job, result) {
  const found = result.diagnosis ? ` ${diagnosis(result.diagnosis)}` : "";
  byId("done-text").textContent = t("done.text", { width: result.width, height: result.height, seconds: clock(result.seconds), status: t(`status.${job.status}`) }) + found;
  const mark = `${job.id} ${job.ended}`;
  if (opened === mark || result.stack) return;
  opened = mark;
  clean.close();
  try {
    const longest = Math.max(result.width, result.height);
    const cleaned = job.method === "denoise";
    const [first, second] = await Promise.all([
      blob(`/v1/jobs/${job.id}/inputs/content?longest=${longest}${cleaned ? "&crop=true" : ""}`),
      blob(`/v1/jobs/${job.id}/result?format=png${cleaned ? ALL : ""}`),
    ]);
    const pictures = await Promise.all([createImageBitmap(first), createImageBitmap(second)]);
    if (opened !== mark) return;
    compare.open(...pictures);
    if (cleaned) {
      clean.open(compare.before, pictures[1], async () =>
        createImageBitmap(await blob(`/v1/jobs/${job.id}/result?format=png&strength=1&chroma=1&detail=1`)));
      clean.set(job.recipe.strength, job.recipe.chroma, job.recipe.detail ?? 0);
    }
    byId("compare").dataset.job = job.id;
  } catch (error) {
    opened = null;
    complain(error.unreachable ? t("gone") : error.message);
  }
}
