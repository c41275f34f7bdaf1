// @ts-check
// The page: its parts are started, and what belongs to none of them is drawn.

import { json, useToken } from "./api.js";
import { button, byId, dialog, first, input, show } from "./dom.js";
import { fail, quiet } from "./errors.js";
import * as film from "./film.js";
import * as gallery from "./gallery.js";
import * as jobs from "./jobs.js";
import * as keep from "./keep.js";
import * as making from "./making.js";
import * as options from "./options.js";
import * as own from "./own_presets.js";
import * as part from "./part.js";
import { look, put } from "./pictures.js";
import * as plans from "./plan.js";
import * as recipe from "./recipe.js";
import { lacks, methodOf } from "./settings.js";
import * as sheet from "./sheet.js";
import * as stage from "./stage.js";
import { differs, edit, redo, state, undo, update, watch } from "./store.js";
import { dress, language, other, speak, t, usual } from "./texts.js";
import * as wells from "./wells.js";

/** @typedef {import("./store.js").State} State */

const MODES = /** @type {const} */ (["style", "denoise", "reconstruct"]);
const DEMO = ["evening", "/page/demo.jpg"]; // style and content

async function begin() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const choices = json("/v1/options");
  choices.catch(() => {}); // it is looked at below
  await speak(usual());
  update({ language, theme: localStorage.getItem("impasto-theme") ?? (dark ? "dark" : "light") });
  watch(render);
  try {
    update({ choices: await choices });
  } catch (error) {
    update({ choices: { recipes: { style: { properties: {} } }, presets: [], shelf: [], limits: {}, devices: [] } });
    fail(/** @type {Error} */ (error));
    corner();
    return;
  }
  for (const one of [keep, making, options, own, plans, wells, part, recipe, sheet, stage, film, gallery]) one.start();
  await keep.restore();
  corner();
  tabs();
  byId("go").addEventListener("click", go);
  byId("try-demo").addEventListener("click", demo);
  byId("undo").addEventListener("click", undo);
  byId("redo").addEventListener("click", redo);
  document.addEventListener("keydown", shortcuts);
  jobs.start();
  await Promise.resolve();
  document.documentElement.dataset.ready = "true";
}

/** What works without the server too. */
function corner() {
  byId("lang").addEventListener("click", async () => { await speak(other()); update({ language }); });
  byId("theme").addEventListener("click", () => {
    const theme = state.theme === "dark" ? "light" : "dark";
    localStorage.setItem("impasto-theme", theme);
    update({ theme });
  });
  byId("help").addEventListener("click", () => update({ help: true }));
  dialog("help-dialog").addEventListener("close", () => update({ help: false }));
  byId("help-close").addEventListener("click", () => dialog("help-dialog").close());
  first("#error button").addEventListener("click", quiet);
  byId("token-use").addEventListener("click", () => useToken(input("token").value));
  input("token").addEventListener("keydown", (event) => { if (event.key === "Enter") useToken(input("token").value); });
}

async function go() {
  await jobs.go();
  if (!state.error && matchMedia("(max-width: 48rem)").matches) byId("stage").scrollIntoView();
}

/** @param {KeyboardEvent} event */
function shortcuts(event) {
  if (first("dialog[open]")) return; // behind which nothing may happen
  const command = event.ctrlKey || event.metaKey;
  const typing = event.target instanceof HTMLInputElement && ["text", "number", "search"].includes(event.target.type);
  if (command && event.key === "Enter") go();
  else if (command && !typing && event.key.toLowerCase() === "z") (event.shiftKey ? redo : undo)();
  else if (command && !typing && event.key.toLowerCase() === "y") redo();
  else if (!command && !typing && event.key === "?") update({ help: true });
  else return;
  event.preventDefault();
}

/** The demo's photograph and a painting, for whoever has none at hand. */
async function demo() {
  const file = async (/** @type {string} */ path, /** @type {string} */ name) => new File([await (await fetch(path)).blob()], name, { type: "image/jpeg" });
  try {
    const content = await look(await file(DEMO[1], `${t("demo.name")}.jpg`));
    if (typeof content !== "string") put("content", [content]);
    await wells.fromShelf(state.choices.shelf.find((/** @type {any} */ one) => one.name === DEMO[0]) ?? state.choices.shelf[0]);
    byId("go").focus();
  } catch (error) {
    fail(/** @type {Error} */ (error));
  }
}

function tabs() {
  const mode = (/** @type {any} */ wanted) => { if (wanted && wanted !== state.draft.mode) edit({ mode: wanted }); };
  byId("modes").addEventListener("click", (event) => mode(/** @type {HTMLElement} */ (event.target).dataset.mode));
  byId("modes").addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const next = MODES[(MODES.indexOf(state.draft.mode) + by + MODES.length) % MODES.length];
    mode(next);
    byId(`mode-${next}`).focus();
  });
}

/**
 * @param {State} now
 * @param {State | null} before
 */
function render(now, before) {
  const { mode } = now.draft;
  document.documentElement.dataset.mode = mode;
  document.documentElement.dataset.theme = now.theme;
  if (differs(now, before, "language")) {
    document.documentElement.lang = now.language === "zh" ? "zh-CN" : "en";
    dress(document);
  }
  byId("theme").textContent = now.theme === "dark" ? "☀" : "☾";
  for (const one of MODES) {
    byId(`mode-${one}`).setAttribute("aria-selected", String(one === mode));
    byId(`mode-${one}`).tabIndex = one === mode ? 0 : -1;
  }
  byId("setup").setAttribute("aria-labelledby", `mode-${mode}`);
  button("undo").disabled = !now.past.length;
  button("redo").disabled = !now.future.length;
  const reason = lacks(now.draft);
  button("go").disabled = reason !== null || now.sending !== null;
  byId("go").textContent = now.sending ? t("sending.text", { share: Math.round(100 * now.sending.share) }) : t(`go.${methodOf(now.draft)}`);
  byId("why").textContent = now.sending ? "" : reason ? t(reason) : plans.plan(now);
  show(byId("sending"), now.sending);
  /** @type {any} */ (byId("sending")).value = now.sending?.share ?? 0;
  first("#error p").textContent = now.error?.text ?? "";
  show(byId("error"), now.error);
  show(byId("gone"), !now.reachable);
  if (differs(now, before, "said")) byId("live").textContent = now.said;
  if (now.tokenAsked && !dialog("token-dialog").open) dialog("token-dialog").showModal();
  if (now.help && !dialog("help-dialog").open) dialog("help-dialog").showModal();
  document.title = title(now);
}

/** How far the running job is, for whoever is in another tab. @param {State} now */
function title(now) {
  const all = [...now.jobs.values()];
  const busy = now.jobs.get(now.current ?? "")?.status === "running" ? now.jobs.get(now.current ?? "") : all.findLast((job) => job.status === "running");
  if (busy) return `${busy.step ? Math.floor((100 * busy.step.evaluation) / busy.step.evaluations) : 0} % · ${t("title")}`;
  const current = now.jobs.get(now.current ?? "");
  return current?.status === "done" && document.hidden ? `✓ ${t("title")}` : t("title");
}

begin();
