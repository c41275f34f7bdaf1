// @ts-check
// Settings under a name of one's own, kept in the browser; and the settings as a file.

import { save } from "./api.js";
import { byId, h, input, show } from "./dom.js";
import { say } from "./errors.js";
import { methodOf, properties, wanted, withPresets } from "./settings.js";
import { differs, edit, state, update, watch } from "./store.js";
import { t } from "./texts.js";

/** @typedef {{name: string, method: string, preset: string, changed: Record<string, any>}} Own */

const KEY = "impasto-presets";
const MOST = 50;

/** @returns {Own[]} */
function stored() {
  try {
    const all = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(all) ? all.filter((one) => typeof one?.name === "string" && typeof one.changed === "object" && one.method in state.draft.changed) : [];
  } catch { return []; }
}

/** @param {Own[]} all */
function put(all) {
  update({ own: all });
  try { localStorage.setItem(KEY, JSON.stringify(all)); } catch { /* no room: they last as long as the page */ }
}

/** Keep the settings; the same name of the same method is replaced. */
function keep() {
  const field = input("own-name");
  const name = field.value.trim().slice(0, 40);
  if (!name) { field.focus(); return; }
  const method = methodOf();
  const one = { name, method, preset: state.draft.preset, changed: state.draft.changed[method] };
  put([one, ...state.own.filter((other) => other.name !== name || other.method !== method)].slice(0, MOST));
  field.value = "";
  say(t("own.kept", { name }));
}

/** @param {Own} one */
function use(one) {
  const known = properties();
  const preset = state.choices.presets.some((/** @type {any} */ other) => other.name === one.preset) ? one.preset : "default";
  const changed = Object.fromEntries(Object.entries(one.changed).filter(([name]) => name in known));
  edit({ preset, changed: { ...state.draft.changed, [one.method]: changed } });
}

/** @param {Own} one */
function remove(one) {
  const before = state.own;
  put(before.filter((other) => other !== one));
  update({ toast: { text: t("job.deleted", { title: one.name }), undo: () => { put(before); update({ toast: null }); } } });
}

/** The settings as a file, which “Open a recipe” takes back. */
function download() {
  const method = methodOf();
  const { options } = state.choices.presets.find((/** @type {any} */ one) => one.name === state.draft.preset) ?? {};
  const recipe = { ...(withPresets(method) ? options : {}), ...wanted() };
  const text = JSON.stringify({ version: 1, method, recipe }, null, 2);
  save(new Blob([text], { type: "application/json" }), `${method}.impasto.json`);
}

export function start() {
  update({ own: stored() });
  byId("own-keep").addEventListener("click", keep);
  input("own-name").addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); keep(); } });
  byId("recipe-save").addEventListener("click", download);
  addEventListener("storage", (event) => { if (event.key === KEY) update({ own: stored() }); });
  watch((now, before) => {
    if (!differs(now, before, "own", "draft", "language")) return;
    const method = methodOf(now.draft);
    const all = now.own.filter((one) => one.method === method);
    show(byId("own"), all.length > 0);
    show(byId("recipe-save"), method !== "fit"); // whose recipe is in its model
    byId("own").replaceChildren(...all.map((one) => h("li", {},
      h("button", { class: "small", type: "button", "data-own": one.name, onclick: () => use(one) }, one.name),
      h("button", { class: "quiet small", type: "button", "aria-label": `${t("remove")} ${one.name}`, title: t("remove"), onclick: () => remove(one) }, "×"))));
  });
}
