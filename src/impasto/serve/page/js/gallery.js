// @ts-check
// The queue, and the gallery of what is done: by date, with stars and a search.

import { blob, save } from "./api.js";
import { query } from "./clean.js";
import { byId, clock, first, h, input, picture, show } from "./dom.js";
import { fail } from "./errors.js";
import { act, OPEN, remove, star, thumbs, view } from "./jobs.js";
import { isPicture } from "./stage.js";
import { differs, state, update, watch } from "./store.js";
import { language, named, t } from "./texts.js";

/** @typedef {import("./store.js").Job} Job */
/** @typedef {import("./store.js").State} State */

const AT_ONCE = 30; // jobs that are shown, and how many more at each wish
const ZIPPED = 100; // results in one file, at most
/** @type {Map<string, Promise<Blob | null>>} */
const fetched = new Map();
/** @type {WeakMap<Element, Job>} */
const waiting = new WeakMap();
// Only what can be seen is fetched: a history may be long.
const looked = new IntersectionObserver((seen) => {
  for (const one of seen.filter((entry) => entry.isIntersecting)) {
    looked.unobserve(one.target);
    const job = waiting.get(one.target);
    if (job) thumbnail(job, /** @type {HTMLImageElement} */ (one.target));
  }
});

export function start() {
  const search = input("search");
  search.addEventListener("input", () => update({ search: search.value, listed: AT_ONCE }));
  byId("starred").addEventListener("click", () => update({ starred: !state.starred, listed: AT_ONCE }));
  byId("zip").addEventListener("click", zipped);
  byId("history").addEventListener("keydown", keys);
  byId("toast-undo").addEventListener("click", () => state.toast?.undo?.());
  byId("toast-close").addEventListener("click", () => update({ toast: null }));
  watch(render);
  watch((now, before) => {
    if (!differs(now, before, "toast", "language")) return;
    show(byId("toast"), now.toast);
    show(byId("toast-undo"), now.toast?.undo);
    first("#toast span").textContent = now.toast?.text ?? "";
    if (now.toast) setTimeout(() => { if (state.toast === now.toast) update({ toast: null }); }, 8000);
  });
}

/** What of a job the lists show. @param {Job} job */
const facts = (job) => [job.id, job.status, job.title, job.position, job.ended, job.preview > 0].join(" ");
let drawn = "";

/**
 * @param {State} now
 * @param {State | null} before
 */
function render(now, before) {
  if (!differs(now, before, "jobs", "current", "versus", "stars", "search", "starred", "listed", "deleting", "sheet", "language")) return;
  const sheet = now.sheet?.cells.map((cell) => cell.job) ?? [];
  const all = [...now.jobs.values()].filter((job) => !now.deleting.includes(job.id) && !sheet.includes(job.id));
  const ended = all.filter((job) => !OPEN.includes(job.status));
  const found = ended.filter((job) => fits(job, now));
  // Steps of a running job change nothing here.
  const key = JSON.stringify([all.map(facts), now.current, now.versus, now.stars, now.search, now.starred, now.listed, language]);
  if (key === drawn) return;
  drawn = key;
  show(byId("gallery-tools"), ended.length > 1);
  byId("starred").setAttribute("aria-pressed", String(now.starred));
  fill(byId("queue"), all.filter((job) => OPEN.includes(job.status)).reverse().map(row), t("queue.empty"));
  const listed = found.slice(0, now.listed);
  /** @type {any[]} */
  const rows = [];
  for (const job of listed) {
    const day = dayOf(job);
    if (listed.length > 1 && day !== rows.findLast((one) => one.dataset.day)?.dataset.day) rows.push(h("li", { class: "day", "data-day": day }, day));
    rows.push(row(job));
  }
  if (found.length > now.listed) rows.push(h("li", {}, h("button", { class: "quiet", onclick: () => update({ listed: now.listed + AT_ONCE }) }, t("history.more", { count: found.length - now.listed }))));
  fill(byId("history"), rows, t(ended.length ? "history.none" : "history.empty"));
}

/**
 * @param {Job} job
 * @param {State} now
 */
function fits(job, now) {
  if (now.starred && !now.stars.includes(job.id)) return false;
  const preset = job.recipe.preset ?? "";
  const text = [job.title, preset, named("presets", preset, preset), t(`mode.${job.method}`), t(`status.${job.status}`)].join(" ").toLowerCase();
  return now.search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** The results that are listed, in one file; their names tell content, style, preset and number. */
async function zipped() {
  const all = [...state.jobs.values()].filter((job) => isPicture(job) && !state.deleting.includes(job.id) && fits(job, state)).slice(0, ZIPPED);
  const bare = (/** @type {string} */ name) => name.replace(/\.\w+$/, "").replace(/[^\p{L}\p{N}()]+/gu, "-");
  try {
    const files = await Promise.all(all.map(async (job, index) => {
      const { stack } = job.result;
      const names = job.inputs.filter((/** @type {any} */ one) => /^(content|style)/.test(one.role)).map((/** @type {any} */ one) => bare(one.name));
      const data = await blob(`/v1/jobs/${job.id}/result?format=${stack ? "tiff" : "png"}${query(job)}`);
      const name = [...names, job.recipe.preset ?? job.method, String(index + 1).padStart(2, "0")].join("_");
      return { name: `${name}.${stack ? "tif" : "png"}`, data, date: new Date(1000 * (job.ended ?? job.created)) };
    }));
    const { zip } = await import("./zip.js");
    save(await zip(files), "impasto.zip");
  } catch (error) {
    fail(/** @type {Error} */ (error));
  }
}

/** @param {Job} job */
function dayOf(job) {
  const date = new Date(1000 * (job.ended ?? job.created));
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(date).setHours(0, 0, 0, 0)) / 864e5);
  if (days < 2) return t(days < 1 ? "history.today" : "history.yesterday");
  return date.toLocaleDateString(language === "zh" ? "zh-CN" : "en", { day: "numeric", month: "long", year: "numeric" });
}

/**
 * @param {HTMLElement} list
 * @param {Element[]} rows
 * @param {string} nothing
 */
function fill(list, rows, nothing) {
  list.dataset.empty = nothing;
  const focused = /** @type {HTMLElement | null} */ (document.activeElement?.closest("[data-job]"));
  const word = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.word;
  const inside = focused && list.contains(focused);
  list.replaceChildren(...rows);
  if (inside) first(`[data-job="${focused.dataset.job}"] [data-word="${word}"]`, list)?.focus();
}

/** @param {Job} job */
function row(job) {
  const current = job.id === state.current;
  const image = h("img", { alt: "" });
  waiting.set(image, job);
  looked.observe(image);
  const acts = [h("span", { class: job.status === "failed" ? "failed" : "" }, summary(job))];
  const add = (/** @type {string} */ word, /** @type {() => void} */ what, more = {}) => acts.push(h("button", { class: "quiet", "data-word": word, onclick: what, ...more }, t(`job.${word}`)));
  if (OPEN.includes(job.status)) add("cancel", () => act(job.id, "cancel"));
  if (job.retryable) add("retry", () => act(job.id, "retry"));
  const shown = state.jobs.get(state.current ?? "");
  if (!current && shown && [job, shown].every((one) => isPicture(one) && !one.result.stack)) {
    const versus = job.id === state.versus;
    add("versus", () => update({ versus: versus ? null : job.id }), { "aria-pressed": String(versus), title: t("job.versusHint", { title: shown.title }) });
  }
  if (job.status !== "running") add("delete", () => remove(job.id));
  const starred = state.stars.includes(job.id);
  const label = h("button", { class: "quiet star", "data-word": "star", "aria-pressed": String(starred), "aria-label": t("job.star", { title: job.title }), onclick: () => star(job.id) }, starred ? "★" : "☆");
  return h("li", { class: `job${current ? " current" : ""}`, "data-job": job.id, "data-status": job.status },
    h("button", { class: "open", "data-word": "open", "aria-label": t("job.open", { title: job.title }), "aria-current": current ? "true" : null, onclick: () => view(job.id) }, image),
    h("span", { class: "title", title: job.title }, job.title), OPEN.includes(job.status) ? null : label,
    h("span", { class: "acts" }, ...acts));
}

/** @param {Job} job */
function summary(job) {
  const status = t(`status.${job.status}`);
  if (job.position) return `${status} · ${job.position}`;
  return job.result && job.status === "done" ? `${status} · ${clock(job.result.seconds)}` : status;
}

/** Arrow keys go from picture to picture, Delete deletes. @param {KeyboardEvent} event */
function keys(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  const id = /** @type {HTMLElement | null} */ (target.closest("[data-job]"))?.dataset.job;
  if (!id || target.dataset.word !== "open") return;
  const all = /** @type {HTMLElement[]} */ ([...byId("history").querySelectorAll("[data-job]")]);
  const at = all.findIndex((one) => one.dataset.job === id);
  const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (by) {
    const next = all[at + by]?.dataset.job;
    if (next) { view(next); first("[data-word=open]", all[at + by]).focus(); }
  } else if (event.key === "Delete") {
    first("[data-word=open]", all[at + 1] ?? all[at - 1])?.focus();
    remove(id);
  } else if (event.key === "s") star(id);
  else return;
  event.preventDefault();
}

/**
 * @param {Job} job
 * @param {HTMLImageElement} image
 */
async function thumbnail(job, image) {
  const ready = !OPEN.includes(job.status) && job.result?.formats.includes("jpeg");
  const own = thumbs.get(job.id);
  if (!ready && own) { picture(image, own); return; }
  const key = `${job.id} ${ready ? job.ended : ""}`;
  if (!fetched.has(key)) fetched.set(key, blob(`/v1/jobs/${job.id}/${ready ? "result?format=jpeg&longest=128" : `inputs/${job.inputs[0]?.role ?? "content"}?longest=128`}`).catch(() => null));
  const data = await fetched.get(key);
  if (data) picture(image, data);
}
