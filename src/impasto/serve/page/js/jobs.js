// The queue and the history, kept up to date by the server's events.

import { ask, blob, follow } from "./api.js";
import { byId, clock, complain, h, picture, say, show } from "./dom.js";
import { on, state, tell } from "./state.js";
import { t } from "./texts.js";

const thumbnails = new Map(); // job and when it ended -> blob
// Only what can be seen is fetched: a history may be long.
const looked = new IntersectionObserver((seen) => {
  for (const one of seen.filter((entry) => entry.isIntersecting)) {
    looked.unobserve(one.target);
    thumbnail(waiting.get(one.target), one.target);
  }
});
const waiting = new WeakMap(); // image -> job
const AT_ONCE = 30; // jobs of the history that are shown, and how many more at each wish
let many = AT_ONCE;

export function start() {
  on("jobs", drawLists);
  on("current", drawLists);
  follow(heard, (there) => show(byId("gone"), !there));
}

function heard(kind, data) {
  if (kind === "jobs") {
    state.jobs = new Map(data.jobs.map((job) => [job.id, job]));
    const last = sessionStorage.getItem("impasto-job");
    const busy = data.jobs.findLast((job) => job.status === "running");
    if (!state.current && (state.jobs.has(last) || busy)) {
      view(state.jobs.has(last) ? last : busy.id);
      return;
    }
  } else if (kind === "job") {
    const before = state.jobs.get(data.id);
    state.jobs = before ? state.jobs.set(data.id, data) : new Map([[data.id, data], ...state.jobs]);
    if (before && before.status !== data.status && data.id === state.current) say(t(`status.${data.status}`));
  } else if (kind === "step") {
    const job = state.jobs.get(data.id);
    if (!job) return;
    job.step = data.step;
    job.preview = data.preview;
    job.history.push(...data.losses);
    if (data.id === state.current) tell("step");
    return;
  } else if (kind === "gone") {
    state.jobs.delete(data.id);
    if (state.current === data.id) view(null);
  }
  tell("jobs");
}

export function view(id) {
  state.current = id;
  if (id) sessionStorage.setItem("impasto-job", id);
  else sessionStorage.removeItem("impasto-job");
  tell("current");
}

async function act(id, word, method = "POST") {
  try {
    await ask(`/v1/jobs/${id}${word}`, { method });
  } catch (error) {
    complain(error.unreachable ? t("gone") : error.message);
  }
}

function drawLists() {
  const all = [...state.jobs.values()];
  const open = all.filter((job) => ["queued", "running"].includes(job.status)).reverse();
  const ended = all.filter((job) => !["queued", "running"].includes(job.status));
  fill(byId("queue"), open, t("queue.empty"));
  fill(byId("history"), ended.slice(0, many), t("history.empty"));
  if (ended.length > many) {
    byId("history").append(h("li", {}, h("button", { class: "quiet", onclick: () => { many += AT_ONCE; drawLists(); } }, t("history.more", { count: ended.length - many }))));
  }
}

function fill(list, jobs, nothing) {
  list.dataset.empty = nothing;
  const focused = document.activeElement?.closest?.("[data-job]")?.dataset.job;
  const word = document.activeElement?.dataset?.word;
  list.replaceChildren(...jobs.map(row));
  if (focused) list.querySelector(`[data-job="${focused}"] [data-word="${word}"]`)?.focus();
}

function row(job) {
  const image = h("img", { alt: "" });
  waiting.set(image, job);
  looked.observe(image);
  const acts = [h("span", { class: job.status === "failed" ? "failed" : "" }, summary(job))];
  const button = (word, what) => h("button", { class: "quiet", "data-word": word, onclick: what }, t(`job.${word}`));
  if (["queued", "running"].includes(job.status)) acts.push(button("cancel", () => act(job.id, "/cancel")));
  if (job.retryable) acts.push(button("retry", () => { act(job.id, "/retry"); view(job.id); }));
  if (job.status !== "running") acts.push(button("delete", () => act(job.id, "", "DELETE")));
  return h("li", { class: `job${job.id === state.current ? " current" : ""}`, "data-job": job.id, "data-status": job.status },
    h("button", { class: "open", "data-word": "open", "aria-label": t("job.open", { title: job.title }), "aria-current": job.id === state.current ? "true" : null, onclick: () => view(job.id) }, image),
    h("span", { class: "title", title: job.title }, job.title),
    h("span", { class: "acts" }, ...acts));
}

function summary(job) {
  const status = t(`status.${job.status}`);
  if (job.position) return `${status} · ${job.position}`;
  return job.result && job.status === "done" ? `${status} · ${clock(job.result.seconds)}` : status;
}

async function thumbnail(job, image) {
  const key = `${job.id} ${job.result ? job.ended : ""}`;
  if (!thumbnails.has(key)) {
    const path = job.result && !job.result.stack ? "result?format=jpeg&longest=128" : "inputs/content?longest=128";
    thumbnails.set(key, blob(`/v1/jobs/${job.id}/${path}`).catch(() => null));
  }
  const data = await thumbnails.get(key);
  if (data) picture(image, data);
}
