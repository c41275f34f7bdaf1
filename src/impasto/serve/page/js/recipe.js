// @ts-check
// A picture that impasto made, dropped back: its options and its inputs again.

import { ask, json } from "./api.js";
import { byId, dialog, input, first } from "./dom.js";
import { complain, fail, say } from "./errors.js";
import { look, modelOf } from "./pictures.js";
import { changesOf, withPresets } from "./settings.js";
import { edit, state, update, watch } from "./store.js";
import { t } from "./texts.js";

/** @typedef {import("./store.js").Draft} Draft */

/** @type {Record<string, {mode?: Draft["mode"], making?: Draft["making"]}>} where a method is found on the page */
const PLACES = { texture: { making: "texture" }, fit: { making: "model" }, denoise: { mode: "denoise" }, "denoise-clip": { mode: "denoise" }, reconstruct: { mode: "reconstruct" } };

export function start() {
  byId("open-recipe").addEventListener("click", () => input("recipe-input").click());
  const field = input("recipe-input");
  field.addEventListener("change", () => {
    const file = field.files?.[0];
    field.value = "";
    if (file) read(file);
  });
  const box = dialog("recipe-dialog");
  let use = "";
  for (const word of ["picture", "recipe"]) byId(`recipe-as-${word}`).addEventListener("click", () => { use = word; box.close(); });
  box.addEventListener("close", () => {
    const { asked } = state;
    update({ asked: null });
    asked?.answer(use);
    if (use === "recipe" && asked) read(asked.file);
    use = "";
  });
  watch(({ asked }) => { if (asked && !box.open) { box.showModal(); first(".primary", box).focus(); } });
}

/** @param {File} file */
export async function read(file) {
  const form = new FormData();
  form.append("picture", file);
  try {
    const found = await json("/v1/recipe", { method: "POST", body: form });
    await restore(found.method, found.recipe, found.inputs);
  } catch (error) {
    fail(/** @type {Error} */ (error));
  }
}

/**
 * Take up a recipe and its pictures, in one step that can be undone.
 * @param {any} method
 * @param {Record<string, any>} recipe
 * @param {any[]} inputs
 */
export async function restore(method, recipe, inputs) {
  if (!(method in state.draft.changed)) { complain(t("recipe.other", { method })); return; }
  const known = state.choices.presets.some((/** @type {any} */ one) => one.name === recipe.preset);
  const preset = known ? recipe.preset : "default";
  /** @type {Draft} */
  const draft = {
    ...state.draft, mode: "style", making: "painting", ...PLACES[method], preset: withPresets(method) ? preset : state.draft.preset,
    ...(inputs.length ? { content: null, more: [], styles: [], model: null, masks: { protect: null, keep: null }, init: null } : {}),
    changed: { ...state.draft.changed, [method]: changesOf(method, recipe, preset) },
  };
  const missing = inputs.filter((one) => !one.url);
  try {
    // Regions and masks come after the styles that they belong to.
    const order = (/** @type {any} */ one) => Number(/^(region|mask)/.test(one.role));
    for (const one of inputs.filter((item) => item.url).sort((a, b) => order(a) - order(b))) await bring(draft, one);
  } catch (error) {
    fail(/** @type {Error} */ (error));
    return;
  }
  edit(draft);
  if (missing.length) complain(t("recipe.missing", { names: missing.map((one) => one.name ?? one.role).join(", ") }));
  else say(t("recipe.restored"));
}

/**
 * @param {Draft} draft
 * @param {{url: string, name: string | null, role: string, weight: number | null}} one
 */
async function bring(draft, one) {
  const data = await (await ask(`${one.url}?original=true`)).blob();
  const file = new File([data], one.name ?? one.role);
  const [kind, number] = one.role.split("-");
  const style = draft.styles[Number(number) - 1];
  if (kind === "region" || kind === "mask") { if (style) style[kind] = file; return; }
  if (kind === "protect" || kind === "keep") { draft.masks[kind] = file; return; }
  if (kind === "model") { draft.model = modelOf(file); return; }
  const found = await look(file);
  if (typeof found === "string") complain(found);
  else if (kind === "content" || one.role === "photograph-1") draft.content = found;
  else if (kind === "photograph") draft.more[Number(number) - 2] = found;
  else if (kind === "init") draft.init = found;
  else if (kind === "style") draft.styles[Number(number) - 1] = { picture: found, weight: one.weight ?? 1, region: null, mask: null };
}
