// @ts-check
// What the page knows, in one object that is never changed in place: an action replaces it, and every view is drawn
// from it. A view draws its own elements and no others.

/**
 * A picture that came in; or a clip, or a fitted model.
 * @typedef {object} Picture
 * @property {File} file
 * @property {string} name
 * @property {number | null} width in pixels, upright; null if its header does not say
 * @property {number | null} height
 * @property {Blob | null} thumb small, to be shown; null if the browser cannot decode it
 * @property {number} planes of a stack; 1 for a picture
 * @property {boolean} [clip] whether it is a film; its thumbnail is its first frame
 * @property {number | null} [seconds] that a clip lasts; null if the browser cannot tell
 */

/** @typedef {{picture: Picture, weight: number, region: Blob | null, mask: Blob | null}} Style */
/** @typedef {"style" | "denoise" | "reconstruct"} Mode */
/** @typedef {"painting" | "texture" | "model"} Making what Paint makes */
/** @typedef {"style" | "denoise" | "reconstruct" | "film" | "denoise-clip" | "apply" | "texture" | "fit"} Method of the API */
/** @typedef {"protect" | "keep"} MaskKind */

/**
 * What is about to be made; every change of it can be undone.
 * @typedef {object} Draft
 * @property {Mode} mode
 * @property {Making} making
 * @property {Picture | null} content
 * @property {Picture[]} more contents that get the same treatment, a job each
 * @property {Style[]} styles
 * @property {Picture | null} model fitted, in place of styles
 * @property {Record<MaskKind, Blob | null>} masks
 * @property {Picture | null} init
 * @property {string} preset
 * @property {Record<string, Record<string, any>>} changed by method, the options that differ from the preset
 */

/**
 * A job as the API shows it.
 * @typedef {Record<string, any> & {id: string, method: string, status: string, title: string}} Job
 */

/** @typedef {{strength: number, chroma: number, detail: number, linked: boolean}} Shares of the noise taken away */

/**
 * @typedef {object} State
 * @property {any} choices what /v1/options says
 * @property {string} language
 * @property {string} theme
 * @property {Draft} draft
 * @property {Draft[]} past
 * @property {Draft[]} future
 * @property {{file: File, found: any} | null} diagnosis of the content; `found` is null while it is looked at
 * @property {Map<string, Job>} jobs the newest first
 * @property {string | null} current id of the job in view
 * @property {string | null} versus id of the job that it is compared with; null for its own content
 * @property {Record<string, Shares>} shares by job
 * @property {Record<string, number>} planes by job: the plane in view
 * @property {string[]} trials ids of the tries of this page, which make room for the next
 * @property {Sheet | null} sheet
 * @property {string[]} stars ids
 * @property {string} search
 * @property {boolean} starred only jobs with a star are listed
 * @property {number} listed jobs of the history that are shown
 * @property {string[]} deleting ids of jobs that are deleted unless that is undone
 * @property {import("./own_presets.js").Own[]} own presets
 * @property {number} dpi at which sizes are told in centimeters
 * @property {{asked: string, memory: number | null, short: boolean} | null} forecast what the server says of the job's memory
 * @property {{share: number, of: number} | null} sending how much of a job is uploaded; null if none is
 * @property {{text: string, field: string | null} | null} error
 * @property {{text: string, undo: (() => void) | null} | null} toast
 * @property {string} said for those who listen
 * @property {boolean} reachable
 * @property {boolean} tokenAsked
 * @property {boolean} help
 * @property {{file: File, answer: (use: string) => void} | null} asked whether a picture's recipe is to be used
 */

/** @typedef {{axis: string, cells: {label: string, changes: Record<string, any>, preset: string, job: string}[]}} Sheet */

/** @type {Draft} */
const EMPTY = {
  mode: "style", making: "painting", content: null, more: [], styles: [], model: null, masks: { protect: null, keep: null }, init: null, preset: "default",
  changed: { style: {}, denoise: {}, reconstruct: {}, film: {}, "denoise-clip": {}, apply: {}, texture: {}, fit: {} },
};

/** @type {State} */
export let state = {
  choices: null, language: "en", theme: "light", draft: EMPTY, past: [], future: [], diagnosis: null, jobs: new Map(),
  current: null, versus: null, shares: {}, planes: {}, trials: [], sheet: null, stars: [], search: "", starred: false,
  listed: 30, deleting: [], own: [], dpi: 300, forecast: null, sending: null, error: null, toast: null, said: "", reachable: true, tokenAsked: false, help: false, asked: null,
};

/** @type {((state: State, before: State | null) => void)[]} */
const views = [];
/** @type {State | null} */
let drawn = null;
let due = false;

/**
 * Add a view; it is called with the state and the one that was drawn before.
 * @param {(state: State, before: State | null) => void} render
 */
export function watch(render) {
  views.push(render);
}

/**
 * Whether one of some parts of the state is another than the one that was drawn.
 * @param {State} now
 * @param {State | null} before
 * @param {...keyof State} names
 */
export const differs = (now, before, ...names) => !before || names.some((name) => now[name] !== before[name]);

/** @param {Partial<State>} changes */
export function update(changes) {
  state = { ...state, ...changes };
  if (due) return;
  due = true;
  queueMicrotask(() => {
    due = false;
    if (!state.choices) return;
    const before = drawn;
    drawn = state;
    for (const view of views) view(drawn, before);
  });
}

const MOST_STEPS = 60; // back
const TOGETHER = 800; // ms between two changes of one thing that are undone together
let last = { what: "", when: 0 };

/**
 * Change the draft.
 * @param {Partial<Draft>} changes
 * @param {string} what changes of the same in quick succession are one step back; "" never is
 */
export function edit(changes, what = "") {
  const now = Date.now();
  const joined = what !== "" && what === last.what && now - last.when < TOGETHER;
  last = { what, when: now };
  update({
    draft: { ...state.draft, ...changes },
    past: joined ? state.past : [...state.past, state.draft].slice(-MOST_STEPS),
    future: [],
    error: state.error?.field ? null : state.error,
  });
}

export function undo() {
  const draft = state.past.at(-1);
  if (draft) update({ draft, past: state.past.slice(0, -1), future: [state.draft, ...state.future] });
  last.what = "";
}

export function redo() {
  const [draft, ...future] = state.future;
  if (draft) update({ draft, past: [...state.past, state.draft], future });
  last.what = "";
}
