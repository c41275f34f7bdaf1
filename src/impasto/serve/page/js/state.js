// What the page knows: the method, its pictures and options, and the jobs.

export const state = {
  choices: null, // what /v1/options says
  mode: "style",
  content: null, // File
  styles: [], // {file, weight, region: Blob|null}
  masks: { protect: null, keep: null }, // Blob
  init: null, // File
  preset: "default",
  changed: { style: {}, denoise: {}, reconstruct: {} },
  jobs: new Map(),
  current: null, // id of the job in view
};

const listeners = new Map();

// on("content", f): called whenever tell("content") is.
export function on(what, listener) {
  listeners.set(what, [...(listeners.get(what) ?? []), listener]);
}

export function tell(what, data) {
  for (const listener of listeners.get(what) ?? []) listener(data);
}

export const properties = (mode = state.mode) => state.choices.recipes[mode].properties;

export function fromPreset(mode = state.mode) {
  if (mode !== "style") return {};
  return state.choices.presets.find((one) => one.name === state.preset)?.options ?? {};
}

// What an option is now: as changed, as the preset has it, or as usual.
export function value(name, mode = state.mode) {
  const changed = state.changed[mode];
  if (name in changed) return changed[name];
  const preset = fromPreset(mode);
  return name in preset ? preset[name] : properties(mode)[name].default;
}

export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export function change(name, wanted) {
  const usual = name in fromPreset() ? fromPreset()[name] : properties()[name].default;
  if (same(wanted, usual)) delete state.changed[state.mode][name];
  else state.changed[state.mode][name] = wanted;
  tell("options", name);
}
