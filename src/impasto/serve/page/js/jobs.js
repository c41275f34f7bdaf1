// @ts-check
// Jobs: begun, watched, ended, deleted. One tab listens to the server for all of them.

import { ask, follow, send } from "./api.js";
import { fail, quiet, say } from "./errors.js";
import { lacks, methodOf, value, wanted } from "./settings.js";
import { state, update } from "./store.js";
import { t } from "./texts.js";

/** @typedef {import("./store.js").Job} Job */
/** @typedef {import("./store.js").Draft} Draft */
/** @typedef {import("./store.js").Picture} Picture */

export const OPEN = ["queued", "running"];
const NAME = "impasto-events"; // of the lock and of the channel
const PATIENCE = 3000; // ms until a tab that does not speak loses the lock
const REGRET = 8000; // ms in which a deletion can be undone

/** @type {Map<string, Blob>} small pictures of the jobs begun here */
export const thumbs = new Map();

/** @param {string | null} id */
export function view(id) {
  if (id) sessionStorage.setItem("impasto-job", id);
  else sessionStorage.removeItem("impasto-job");
  update({ current: id, versus: null, sheet: null });
}

// Events.

export function start() {
  if (!navigator.locks || !window.BroadcastChannel) return alone();
  const channel = new BroadcastChannel(NAME);
  let leading = false;
  let heard = 0; // when a leader spoke
  channel.onmessage = ({ data: { kind, data } }) => {
    if (kind === "ask") {
      if (leading) channel.postMessage({ kind: "jobs", data: { jobs: [...state.jobs.values()] } });
      return;
    }
    heard = Date.now();
    hear(kind, data);
  };
  /** @param {AbortSignal} signal */
  const lead = (signal) => {
    leading = true;
    const tell = (/** @type {string} */ kind, /** @type {any} */ data) => { hear(kind, data); channel.postMessage({ kind, data }); };
    return follow(tell, (reachable) => tell("reachable", reachable), signal);
  };
  const queue = async (/** @type {LockOptions} */ options) => {
    const stop = new AbortController();
    // The lock may be taken away from a tab that the browser has put to sleep.
    await navigator.locks.request(NAME, options, () => lead(stop.signal)).catch(() => {});
    stop.abort();
    leading = false;
    if (!state.tokenAsked) setTimeout(() => queue({}), 100);
  };
  const greet = () => {
    if (leading || document.hidden) return;
    const asked = Date.now();
    channel.postMessage({ kind: "ask" });
    setTimeout(() => { if (!leading && heard < asked && !document.hidden) queue({ steal: true }); }, PATIENCE);
  };
  queue({});
  greet();
  document.addEventListener("visibilitychange", greet);
}

/** Without locks, which browsers give to secure addresses alone, a hidden tab rests. */
function alone() {
  let stop = new AbortController();
  const listen = () => {
    stop.abort();
    stop = new AbortController();
    if (!document.hidden) follow(hear, (reachable) => hear("reachable", reachable), stop.signal);
  };
  document.addEventListener("visibilitychange", listen);
  listen();
}

/**
 * @param {string} kind
 * @param {any} data
 */
function hear(kind, data) {
  if (kind === "reachable") { update({ reachable: data }); return; }
  const jobs = new Map(state.jobs);
  if (kind === "jobs") {
    const fresh = new Map(data.jobs.map((/** @type {Job} */ job) => [job.id, job]));
    update({ jobs: fresh });
    const last = sessionStorage.getItem("impasto-job") ?? "";
    const busy = data.jobs.findLast((/** @type {Job} */ job) => job.status === "running");
    if (state.current && !fresh.has(state.current)) view(null);
    if (!state.current && (fresh.has(last) || busy)) view(fresh.has(last) ? last : busy.id);
    return;
  }
  const before = jobs.get(data.id);
  if (kind === "job") {
    if (before) jobs.set(data.id, data);
    update({ jobs: before ? jobs : new Map([[data.id, data], ...jobs]) });
    if (before && before.status !== data.status && data.id === state.current) say(t(`status.${data.status}`));
    if (before && OPEN.includes(before.status) && ["done", "failed"].includes(data.status)) announce(data);
  } else if (kind === "step" && before) {
    jobs.set(data.id, { ...before, step: data.step, preview: data.preview, history: [...before.history, ...data.losses] });
    update({ jobs });
  } else if (kind === "gone") {
    jobs.delete(data.id);
    update({ jobs, versus: state.versus === data.id ? null : state.versus });
    if (state.current === data.id) view(null);
  }
}

/** Tell someone who is looking at something else; one tab does. @param {Job} job */
function announce(job) {
  if (!document.hidden || !("Notification" in window) || Notification.permission !== "granted") return;
  const note = new Notification(t(`told.${job.status}`), { body: job.title, tag: job.id, icon: "/page/icon.svg" });
  note.onclick = () => { window.focus(); view(job.id); note.close(); };
}

// Jobs that begin.

/**
 * @param {Draft} draft
 * @param {Picture | null} content
 * @param {Record<string, any>} options
 * @param {boolean} masked whether the masks are of this content
 */
export function formOf(draft, content, options, masked = true) {
  const method = methodOf({ ...draft, content });
  const form = new FormData();
  form.append("options", JSON.stringify(options));
  const add = (/** @type {string} */ field, /** @type {Picture} */ one) => form.append(field, one.file, one.name);
  if (method === "fit") for (const one of contentsOf(draft)) add("photograph", one);
  else if (content && method !== "texture") add("content", content);
  if (method === "apply" && draft.model) add("model", draft.model);
  if (!["style", "film", "texture", "fit"].includes(method)) return form;
  form.append("weights", JSON.stringify(draft.styles.map((one) => one.weight)));
  draft.styles.forEach((one, index) => {
    add("style", one.picture);
    if (method !== "style") return;
    if (one.region && masked) form.append(`region_${index + 1}`, one.region, "region.png");
    if (one.mask) form.append(`mask_${index + 1}`, one.mask, "mask.png");
  });
  if (method !== "style" && method !== "film") return form;
  if (masked) for (const [kind, one] of Object.entries(draft.masks)) if (one) form.append(kind, one, `${kind}.png`);
  if (method === "style" && value("init", draft) === "picture" && draft.init) add("init", draft.init);
  return form;
}

/** @param {Draft} draft @returns {Picture[]} */
const contentsOf = ({ content, more }) => (content ? [content, ...more] : []);

/** @param {Job} job */
export function added(job) {
  if (!state.jobs.has(job.id)) update({ jobs: new Map([[job.id, job], ...state.jobs]) });
}

/** Begin what is drafted: a job, or one for each of several pictures. */
export async function go() {
  const { draft } = state;
  if (state.sending || lacks(draft)) return;
  const method = methodOf(draft);
  // A texture has no content, and a model is fitted to all of them.
  const contents = method === "texture" ? [null] : method === "fit" ? [draft.content] : contentsOf(draft);
  await submit(contents.map((content, index) => {
    const one = { ...draft, content };
    return { method: methodOf(one), picture: content ?? draft.styles[0].picture, form: formOf(one, content, wanted(one), index === 0) };
  }));
}

/**
 * Send jobs, one after the other; the first is shown if `shown`.
 * @param {{method: string, picture: Picture, form: FormData}[]} all
 * @returns {Promise<Job[]>} those that were accepted
 */
export async function submit(all, shown = true) {
  quiet();
  /** @type {Job[]} */
  const made = [];
  try {
    for (const [index, { method, picture, form }] of all.entries()) {
      update({ sending: { share: index / all.length, of: all.length } });
      const heard = (/** @type {number} */ share) => update({ sending: { share: (index + share) / all.length, of: all.length } });
      const job = await patiently(() => send(`/v1/jobs/${method}`, form, heard), all.length > 1);
      if (picture.thumb) thumbs.set(job.id, picture.thumb);
      added(job);
      made.push(job);
      if (!index && shown) view(job.id);
    }
  } catch (error) {
    fail(/** @type {Error} */ (error));
  }
  update({ sending: null });
  return made;
}

/**
 * Of several jobs each waits until the queue has room.
 * @template T
 * @param {() => Promise<T>} begin
 * @param {boolean} several
 * @returns {Promise<T>}
 */
async function patiently(begin, several) {
  for (;;) {
    try {
      return await begin();
    } catch (error) {
      const { status, after } = /** @type {import("./api.js").ApiError} */ (error);
      if (!several || status !== 429) throw error;
      await new Promise((done) => setTimeout(done, 1000 * Math.min(after ?? 5, 10)));
    }
  }
}

/** A try: what was tried before makes room. @param {Picture} content @param {FormData} form */
export async function tryOut(content, form) {
  if (state.sending) return;
  const old = state.trials;
  update({ trials: [] });
  for (const id of old) forget(id);
  const made = await submit([{ method: methodOf(), picture: content, form }]);
  update({ trials: made.map((job) => job.id) });
}

/** Delete a job, once it has ended. @param {string} id */
export async function forget(id) {
  const silently = (/** @type {string} */ word, /** @type {string} */ method) => ask(`/v1/jobs/${id}${word}`, { method }).catch(() => {});
  if (state.jobs.get(id)?.status === "running") await silently("/cancel", "POST");
  for (let tries = 0; tries < 20 && state.jobs.get(id)?.status === "running"; tries++) await new Promise((done) => setTimeout(done, 250));
  if (state.jobs.has(id)) await silently("", "DELETE");
}

// Jobs that exist.

/**
 * @param {string} id
 * @param {string} word
 */
export async function act(id, word) {
  try {
    await ask(`/v1/jobs/${id}/${word}`, { method: "POST" });
    if (word !== "retry") say(t(`said.${word}`));
    else view(id);
  } catch (error) {
    if (/** @type {import("./api.js").ApiError} */ (error).status !== 409) fail(/** @type {Error} */ (error));
  }
}

/** @type {Map<string, number>} */
const timers = new Map();

/** Delete a job, unless that is undone in time. @param {string} id */
export function remove(id) {
  const job = state.jobs.get(id);
  if (!job || state.deleting.includes(id)) return;
  const undo = () => {
    clearTimeout(timers.get(id));
    timers.delete(id);
    update({ deleting: state.deleting.filter((one) => one !== id), toast: null });
  };
  update({ deleting: [...state.deleting, id], toast: { text: t("job.deleted", { title: job.title }), undo } });
  if (state.current === id) view(null);
  if (state.versus === id) update({ versus: null });
  timers.set(id, setTimeout(() => erase(id), REGRET));
}

/** @param {string} id */
async function erase(id) {
  timers.delete(id);
  try {
    await ask(`/v1/jobs/${id}`, { method: "DELETE" });
  } catch (error) {
    const { status } = /** @type {import("./api.js").ApiError} */ (error);
    if (status !== 404) fail(/** @type {Error} */ (error));
  }
  update({ deleting: state.deleting.filter((one) => one !== id) });
}

addEventListener("pagehide", () => {
  for (const [id, timer] of timers) {
    clearTimeout(timer);
    ask(`/v1/jobs/${id}`, { method: "DELETE", keepalive: true }).catch(() => {});
  }
  timers.clear();
});

/** @param {string} id */
export function star(id) {
  update({ stars: state.stars.includes(id) ? state.stars.filter((one) => one !== id) : [...state.stars, id] });
}
