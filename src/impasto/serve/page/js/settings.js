// @ts-check
// Options of the draft: what they are now, and the actions that change them.

import { edit, state } from "./store.js";

/** @typedef {import("./store.js").Mode} Mode */

export const HIDDEN = ["version", "preset"];

/** @returns {Record<string, any>} */
export const properties = (mode = state.draft.mode) => state.choices.recipes[mode].properties;

/** @returns {Record<string, any>} */
export function ofPreset(mode = state.draft.mode, preset = state.draft.preset) {
  if (mode !== "style") return {};
  return state.choices.presets.find((/** @type {any} */ one) => one.name === preset)?.options ?? {};
}

/** @param {string} name */
function usual(name, mode = state.draft.mode, preset = state.draft.preset) {
  const given = ofPreset(mode, preset);
  return name in given ? given[name] : properties(mode)[name]?.default;
}

/**
 * What an option is now: as changed, as the preset has it, or as usual.
 * @param {string} name
 */
export function value(name, draft = state.draft) {
  const changed = draft.changed[draft.mode];
  return name in changed ? changed[name] : usual(name, draft.mode, draft.preset);
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
  const { mode, changed } = state.draft;
  const { [name]: _, ...rest } = changed[mode];
  const options = same(now, usual(name)) ? rest : { ...rest, [name]: now };
  edit({ changed: { ...changed, [mode]: options } }, `option ${mode} ${name}`);
}

/** @param {string} name */
export function reset(name) {
  const { mode, changed } = state.draft;
  const { [name]: _, ...rest } = changed[mode];
  edit({ changed: { ...changed, [mode]: rest } });
}

export function resetAll() {
  edit({ changed: { ...state.draft.changed, [state.draft.mode]: {} } });
}

/** A preset sets what it names, and leaves the rest as it is. @param {string} preset */
export function choosePreset(preset) {
  const named = ofPreset("style", preset);
  const left = Object.entries(state.draft.changed.style).filter(([name, now]) => !(name in named) && !same(now, properties("style")[name]?.default));
  edit({ preset, changed: { ...state.draft.changed, style: Object.fromEntries(left) } });
}

/** What goes into a request: what is not as the preset or the default has it. */
export function wanted(draft = state.draft) {
  const options = { ...draft.changed[draft.mode] };
  if (draft.mode === "style") options.preset = draft.preset;
  return options;
}

/**
 * The options of a recipe as changes of a preset.
 * @param {Mode} mode
 * @param {Record<string, any>} recipe
 * @param {string} preset
 */
export function changesOf(mode, recipe, preset) {
  const known = properties(mode);
  // What a run settles for itself is not what was asked for.
  const left = Object.entries(recipe).filter(([name, one]) =>
    name in known && !HIDDEN.includes(name) && !["tiles", "precision"].includes(name) && !same(one, usual(name, mode, preset)));
  return Object.fromEntries(left);
}

/** Why a job cannot begin; null if it can. */
export function lacks(draft = state.draft) {
  if (!draft.content) return "why.content";
  if (draft.mode !== "style") return null;
  if (!draft.styles.length) return "why.style";
  if (draft.styles.every((style) => style.weight === 0)) return "why.weights";
  return value("init", draft) === "picture" && !draft.init ? "why.init" : null;
}
