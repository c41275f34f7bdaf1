// @ts-check
// Options of the draft: what they are now, and the actions that change them.

import { edit, state } from "./store.js";

/** @typedef {import("./store.js").Draft} Draft */
/** @typedef {import("./store.js").Method} Method */

export const HIDDEN = ["version", "preset"];
const WITH_PRESETS = ["style", "film"];

/**
 * What of the API the draft asks for: a tab, what Paint makes, and what was given decide it.
 * @param {Draft} draft
 * @returns {Method}
 */
export function methodOf({ mode, making, content, model } = state.draft) {
  if (mode === "denoise") return content?.clip ? "denoise-clip" : "denoise";
  if (mode !== "style") return mode;
  if (making !== "painting") return making === "model" ? "fit" : "texture";
  if (content?.clip) return "film";
  return model ? "apply" : "style";
}

/** Whether a method knows presets. @param {string} method */
export const withPresets = (method) => WITH_PRESETS.includes(method);

/** @returns {Record<string, any>} */
export const properties = (method = methodOf()) => state.choices.recipes[method]?.properties ?? {};

/** @returns {Record<string, any>} */
export function ofPreset(/** @type {string} */ method = methodOf(), preset = state.draft.preset) {
  if (!withPresets(method)) return {};
  return state.choices.presets.find((/** @type {any} */ one) => one.name === preset)?.options ?? {};
}

/** @param {string} name */
function usual(name, method = methodOf(), preset = state.draft.preset) {
  const given = ofPreset(method, preset);
  return name in given ? given[name] : properties(method)[name]?.default;
}

/**
 * What an option is now: as changed, as the preset has it, or as usual.
 * @param {string} name
 */
export function value(name, draft = state.draft) {
  const method = methodOf(draft);
  const changed = draft.changed[method];
  return name in changed ? changed[name] : usual(name, method, draft.preset);
}

/**
 * @param {any} a
 * @param {any} b
 */
export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/**
 * @param {string} name
 * @param {any} now
 */
export function change(name, now) {
  if (same(now, value(name))) return;
  const { changed } = state.draft;
  const method = methodOf();
  const { [name]: _, ...rest } = changed[method];
  const options = same(now, usual(name)) ? rest : { ...rest, [name]: now };
  edit({ changed: { ...changed, [method]: options } }, `option ${method} ${name}`);
}

/** @param {string} name */
export function reset(name) {
  const { changed } = state.draft;
  const method = methodOf();
  const { [name]: _, ...rest } = changed[method];
  edit({ changed: { ...changed, [method]: rest } });
}

export function resetAll() {
  edit({ changed: { ...state.draft.changed, [methodOf()]: {} } });
}

/** A preset sets what it names, and leaves the rest as it is. @param {string} preset */
export function choosePreset(preset) {
  const method = withPresets(methodOf()) ? methodOf() : "style";
  const named = ofPreset(method, preset);
  const left = Object.entries(state.draft.changed[method]).filter(([name, now]) => !(name in named) && !same(now, properties(method)[name]?.default));
  edit({ preset, changed: { ...state.draft.changed, [method]: Object.fromEntries(left) } });
}

/** What goes into a request: what is not as the preset or the default has it. */
export function wanted(draft = state.draft) {
  const method = methodOf(draft);
  const options = { ...draft.changed[method] };
  if (withPresets(method)) options.preset = draft.preset;
  return options;
}

/**
 * The options of a recipe as changes of a preset.
 * @param {Method} method
 * @param {Record<string, any>} recipe
 * @param {string} preset
 */
export function changesOf(method, recipe, preset) {
  const known = properties(method);
  // What a run settles for itself is not what was asked for.
  const left = Object.entries(recipe).filter(([name, one]) =>
    name in known && !HIDDEN.includes(name) && !["tiles", "precision"].includes(name) && !same(one, usual(name, method, preset)));
  return Object.fromEntries(left);
}

/** Why a job cannot begin; null if it can. */
export function lacks(draft = state.draft) {
  const method = methodOf(draft);
  if (!draft.content && method !== "texture") return method === "fit" ? "why.photographs" : "why.content";
  if (method === "fit" && [draft.content, ...draft.more].some((one) => one?.clip)) return "why.photographs";
  if (method === "reconstruct" && draft.content?.clip) return "why.still";
  if (draft.mode !== "style" || method === "apply") return null;
  if (!draft.styles.length) return method === "film" && draft.model ? "why.filmModel" : "why.style";
  if (draft.styles.every((style) => style.weight === 0)) return "why.weights";
  return method === "style" && value("init", draft) === "picture" && !draft.init ? "why.init" : null;
}
