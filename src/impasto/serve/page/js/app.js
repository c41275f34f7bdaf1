// The page: what is chosen becomes a job.

import { json } from "./api.js";
import { byId, complain, h, quiet, show } from "./dom.js";
import * as jobs from "./jobs.js";
import * as mask from "./mask.js";
import * as options from "./options.js";
import * as part from "./part.js";
import * as recipe from "./recipe.js";
import * as stage from "./stage.js";
import { on, state, tell, value } from "./state.js";
import { dress, named, other, speak, t, usual } from "./texts.js";
import * as wells from "./wells.js";

const MODES = ["style", "denoise", "reconstruct"];

async function begin() {
  theme(localStorage.getItem("impasto-theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  const choices = json("/v1/options");
  choices.catch(() => {}); // it is looked at below
  await speak(usual());
  byId("lang").addEventListener("click", async () => { await speak(other()); redraw(); });
  byId("theme").addEventListener("click", () => {
    const wanted = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    localStorage.setItem("impasto-theme", wanted);
    theme(wanted);
  });
  byId("error").querySelector("button").addEventListener("click", quiet);
  try {
    state.choices = await choices;
  } catch (error) {
    if (error.status !== 401) complain(error.unreachable ? t("gone") : error.message);
    return;
  }
  options.start();
  wells.start();
  mask.start();
  part.start();
  recipe.start();
  stage.start();
  tabs();
  on("mode", mode);
  for (const what of ["content", "styles", "masks", "options"]) on(what, ready);
  on("content", () => { mask.marks(); wells.diagnose(); });
  on("masks", mask.marks);
  on("step", stage.render);
  byId("go").addEventListener("click", go);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !byId("go").disabled) go();
  });
  mode("style");
  jobs.start();
  document.documentElement.dataset.ready = "true";
}

function theme(wanted) {
  document.documentElement.dataset.theme = wanted;
  byId("theme").textContent = wanted === "dark" ? "☀" : "☾";
}

function redraw() {
  dress(document);
  wells.shelf();
  presets();
  options.build();
  ready();
  for (const what of ["content", "styles", "jobs", "current"]) tell(what);
}

function tabs() {
  byId("modes").addEventListener("click", (event) => { if (event.target.dataset.mode) mode(event.target.dataset.mode); });
  byId("modes").addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    mode(MODES[(MODES.indexOf(state.mode) + by + MODES.length) % MODES.length]);
    byId(`mode-${state.mode}`).focus();
  });
}

function mode(wanted) {
  state.mode = wanted;
  document.documentElement.dataset.mode = wanted;
  for (const one of MODES) {
    byId(`mode-${one}`).setAttribute("aria-selected", String(one === wanted));
    byId(`mode-${one}`).tabIndex = one === wanted ? 0 : -1;
  }
  byId("setup").setAttribute("aria-labelledby", `mode-${wanted}`);
  wells.shelf();
  presets();
  options.build();
  ready();
  wells.diagnose();
}

function presets() {
  byId("presets").replaceChildren(...state.choices.presets.map((one) => h("button", {
    type: "button", role: "radio", "data-preset": one.name, "aria-checked": String(one.name === state.preset), title: named("presetWords", one.name, one.words),
    onclick: () => {
      state.preset = one.name;
      state.changed.style = Object.fromEntries(Object.entries(state.changed.style).filter(([name]) => name === "size"));
      presets();
      options.build();
      byId("presets").querySelector("[aria-checked=true]").focus();
    },
  }, one.thumbnail ? h("img", { src: one.thumbnail, alt: "", loading: "lazy" }) : null, named("presets", one.name, one.name))));
  const chosen = state.choices.presets.find((one) => one.name === state.preset);
  const words = byId("presets-words") ?? h("p", { id: "presets-words", class: "hint" });
  words.textContent = named("presetWords", chosen.name, chosen.words);
  byId("presets").after(words);
}

function ready() {
  byId("go").textContent = t(`go.${state.mode}`);
  const lacks = !state.content ? "why.content" : state.mode === "style" && !state.styles.length ? "why.style"
    : state.mode === "style" && value("init") === "picture" && !state.init ? "why.init" : null;
  byId("go").disabled = lacks !== null;
  byId("why").textContent = lacks ? t(lacks) : "";
  start();
}

// A start of one's own has a file of its own.
function start() {
  const wanted = state.mode === "style" && value("init") === "picture";
  const control = document.querySelector('[data-option="init"] .control');
  if (!control) return;
  control.querySelector(".own")?.remove();
  if (!wanted) return;
  const input = h("input", { type: "file", hidden: true, onchange: () => { state.init = input.files[0] ?? null; ready(); } });
  control.append(h("span", { class: "own" }, input, h("button", { class: "small", onclick: () => input.click() }, state.init?.name ?? t("choose"))));
}

function form() {
  const made = new FormData();
  made.append("content", state.content, state.content.name);
  made.append("options", JSON.stringify(options.wanted()));
  if (state.mode !== "style") return made;
  made.append("weights", JSON.stringify(state.styles.map((one) => one.weight)));
  state.styles.forEach((one, index) => {
    made.append("style", one.file, one.file.name);
    if (one.region) made.append(`region_${index + 1}`, one.region, "region.png");
    if (one.mask) made.append(`mask_${index + 1}`, one.mask, "mask.png");
  });
  for (const [kind, one] of Object.entries(state.masks)) if (one) made.append(kind, one, `${kind}.png`);
  if (value("init") === "picture" && state.init) made.append("init", state.init, state.init.name);
  return made;
}

async function go() {
  quiet();
  byId("go").disabled = true;
  try {
    const job = await json(`/v1/jobs/${state.mode}`, { method: "POST", body: form() });
    if (!state.jobs.has(job.id)) state.jobs = new Map([[job.id, job], ...state.jobs]);
    jobs.view(job.id);
    tell("jobs");
    if (matchMedia("(max-width: 48rem)").matches) byId("stage").scrollIntoView();
  } catch (error) {
    complain(error.unreachable ? t("gone") : error.status === 429 ? t("errors.full", { after: error.after ?? 10 }) : error.message);
  }
  ready();
}

begin();
