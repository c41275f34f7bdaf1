// @ts-check
// What is known of a job before it begins: its size, and its time by what earlier ones took here.

import { clock } from "./dom.js";
import { value } from "./settings.js";
import { t } from "./texts.js";

/** @typedef {import("./store.js").State} State */

const EFFORT = /** @type {Record<string, number>} */ ({ quick: 1, balanced: 2.5, best: 8 }); // times as long as the quickest

/**
 * Pixels of the result; null if they are not known.
 * @param {State} state
 * @returns {{width: number, height: number} | null}
 */
export function finalSize({ draft }) {
  const { content, mode } = draft;
  if (!content?.width || !content.height) return null;
  const wanted = mode === "denoise" ? "original" : value("size", draft);
  if (typeof wanted !== "number") return { width: content.width, height: content.height };
  const scale = wanted / Math.max(content.width, content.height);
  return { width: Math.max(1, Math.round(content.width * scale)), height: Math.max(1, Math.round(content.height * scale)) };
}

/**
 * @param {any} recipe
 * @param {number} pixels
 */
const work = (recipe, pixels) => pixels * (typeof recipe.steps === "number" ? recipe.steps / 60 : EFFORT[recipe.effort] ?? 1);

/**
 * Seconds that a job will take; null if nothing like it has run yet.
 * @param {State} state
 * @param {{width: number, height: number}} size
 */
export function seconds({ draft, jobs }, size) {
  const pixels = size.width * size.height;
  const recipe = { effort: value("effort", draft), steps: value("steps", draft), method: value("method", draft) };
  const like = [...jobs.values()].filter((job) => job.method === draft.mode && job.status === "done" && job.result && !job.result.stack && job.result.seconds > 0.5
    && (draft.mode !== "denoise" || job.recipe.method === recipe.method));
  if (!like.length) return null;
  const size_of = (/** @type {any} */ job) => job.result.width * job.result.height;
  // The nearest in size tells most.
  like.sort((a, b) => Math.abs(Math.log(size_of(a) / pixels)) - Math.abs(Math.log(size_of(b) / pixels)));
  const rates = like.slice(0, 3).map((job) => job.result.seconds / work(job.recipe, size_of(job))).sort((a, b) => a - b);
  return rates[Math.floor(rates.length / 2)] * work(recipe, pixels);
}

/** @param {State} state */
export function plan(state) {
  const size = finalSize(state);
  if (!size) return "";
  const parts = [`${size.width} × ${size.height}`];
  const taken = seconds(state, size);
  if (taken !== null) parts.push(t("plan.time", { time: clock(taken) }));
  const waiting = [...state.jobs.values()].filter((job) => ["queued", "running"].includes(job.status)).length;
  if (waiting) parts.push(t("plan.queue", { count: waiting }));
  const count = 1 + state.draft.more.length;
  if (count > 1) parts.push(t("plan.many", { count }));
  return parts.join(" · ");
}
