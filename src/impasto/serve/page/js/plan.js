// @ts-check
// What is known of a job before it begins: its size, its time by what earlier ones took here, and its memory.

import { json } from "./api.js";
import { clock } from "./dom.js";
import { methodOf, value, wanted } from "./settings.js";
import { differs, state as current, update, watch } from "./store.js";
import { t } from "./texts.js";

/** @typedef {import("./store.js").State} State */

const EFFORT = /** @type {Record<string, number>} */ ({ quick: 1, balanced: 2.5, best: 8 }); // times as long as the quickest

/**
 * Pixels of the result; null if they are not known.
 * @param {State} state
 * @returns {{width: number, height: number} | null}
 */
export function finalSize({ draft }) {
  const { content } = draft;
  const method = methodOf(draft);
  if (method === "texture") return { width: value("width", draft), height: value("height", draft) };
  if (!content?.width || !content.height || method === "fit") return null;
  const longest = method.startsWith("denoise") ? "original" : value("size", draft);
  if (typeof longest !== "number") return { width: content.width, height: content.height };
  const scale = longest / Math.max(content.width, content.height);
  return { width: Math.max(1, Math.round(content.width * scale)), height: Math.max(1, Math.round(content.height * scale)) };
}

/** Seconds of a film that are to be made; null if that is not known. @param {State["draft"]} draft */
function length(draft) {
  const whole = draft.content?.seconds ?? null;
  const range = value("range", draft);
  if (range === "whole" || range === undefined) return whole;
  const [, from, to] = range.match(/^([\d.]+)s:(?:([\d.]+)s)?$/) ?? [];
  if (from === undefined || (to === undefined && whole === null)) return null;
  return Math.max(0, Math.min(Number(to ?? Infinity), whole ?? Infinity) - Number(from));
}

/**
 * @param {any} recipe
 * @param {number} pixels
 */
const work = (recipe, pixels) => pixels * (recipe.frame_evaluations ? recipe.frame_evaluations / 6 : typeof recipe.steps === "number" ? recipe.steps / 60 : EFFORT[recipe.effort] ?? 1);

/**
 * Seconds that a job will take; null if nothing like it has run yet.
 * @param {State} state
 * @param {{width: number, height: number}} size
 */
export function seconds({ draft, jobs }, size) {
  const method = methodOf(draft);
  const long = FILMS.includes(method) ? length(draft) : 1;
  if (long === null) return null;
  const pixels = size.width * size.height * long;
  const recipe = { effort: value("effort", draft), steps: value("steps", draft), frame_evaluations: value("frame_evaluations", draft), method: value("method", draft) };
  const like = [...jobs.values()].filter((job) => job.method === method && job.status === "done" && job.result && !job.result.stack && job.result.seconds > 0.5
    && (method !== "denoise" || job.recipe.method === recipe.method));
  if (!like.length) return null;
  const size_of = (/** @type {any} */ { result }) => result.width * result.height * (result.frames ? result.frames / (result.rate || 25) : 1);
  // The nearest in size tells most.
  like.sort((a, b) => Math.abs(Math.log(size_of(a) / pixels)) - Math.abs(Math.log(size_of(b) / pixels)));
  const rates = like.slice(0, 3).map((job) => job.result.seconds / work(job.recipe, size_of(job))).sort((a, b) => a - b);
  return rates[Math.floor(rates.length / 2)] * work(recipe, pixels);
}

const FILMS = ["film", "denoise-clip"];
const PAUSE = 300; // ms without a change until the server is asked
let timer = 0;

/** What the server is asked about memory; empty if there is nothing to ask. @param {State} state */
function question({ draft }) {
  const { content } = draft;
  const method = methodOf(draft);
  if (!["style", "film", "texture", "reconstruct"].includes(method)) return "";
  if (method !== "texture" && !(content?.width && content.height)) return "";
  const asked = new URLSearchParams({ method, options: JSON.stringify(wanted(draft)) });
  if (method !== "texture") for (const side of /** @type {const} */ (["width", "height"])) asked.set(side, String(content?.[side]));
  return String(asked);
}

export function start() {
  watch((now, before) => {
    if (!differs(now, before, "draft")) return;
    const asked = question(now);
    clearTimeout(timer);
    if (asked && asked !== now.forecast?.asked) timer = setTimeout(() => forecast(asked), PAUSE);
  });
}

/** @param {string} asked */
async function forecast(asked) {
  let found;
  try {
    found = { asked, memory: (await json(`/v1/plan?${asked}`)).memory, short: false };
  } catch (error) {
    // Anything else is told at the field, once the job is asked for.
    found = { asked, memory: null, short: /** @type {import("./api.js").ApiError} */ (error).code === "not_enough_memory" };
  }
  if (asked === question(current)) update({ forecast: found });
}

/** @param {State} state */
export function plan(state) {
  const size = finalSize(state);
  if (!size) return "";
  const known = state.forecast?.asked === question(state) ? state.forecast : null;
  const parts = [`${size.width} × ${size.height}`];
  const long = FILMS.includes(methodOf(state.draft)) ? length(state.draft) : null;
  if (long !== null) parts.push(t("plan.film", { length: clock(long) }));
  const taken = seconds(state, size);
  if (taken !== null) parts.push(t("plan.time", { time: clock(taken) }));
  if (known?.memory) parts.push(t("plan.memory", { size: (known.memory / 2 ** 30).toFixed(1) }));
  if (known?.short) parts.push(t("plan.short"));
  const waiting = [...state.jobs.values()].filter((job) => ["queued", "running"].includes(job.status)).length;
  if (waiting) parts.push(t("plan.queue", { count: waiting }));
  const count = 1 + state.draft.more.length;
  if (count > 1) parts.push(t("plan.many", { count }));
  return parts.join(" · ");
}
