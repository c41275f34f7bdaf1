// @ts-check
// Controls made from the recipes' own JSON Schema: nothing about an option is written here but its place.

import { byId, first, h, input, lazy, show } from "./dom.js";
import { ACCEPT, take } from "./pictures.js";
import { printSize, storedDpi } from "./print_size.js";
import { change, choosePreset, HIDDEN, methodOf, properties, reset, resetAll, same, value, withPresets } from "./settings.js";
import { differs, state, update, watch } from "./store.js";
import { named, t } from "./texts.js";

/** @typedef {{element: any, labelled?: string, sync: (now: any) => void}} Control */

/** @type {Record<string, string[]>} */
const MAIN = {
  style: ["strength", "size", "effort"], denoise: ["strength", "method", "effort"], reconstruct: ["layer", "kind", "size"],
  film: ["strength", "size", "engine", "keys_every", "range", "rate"], "denoise-clip": ["strength", "effort", "range", "rate"],
  apply: ["amount", "color", "size"], texture: ["width", "height", "tileable", "effort"], fit: ["strength", "size", "steps"],
};
const GROUPS = {
  look: ["amount", "color", "color_by", "style_scale", "structure", "composition", "tv_weight", "denoise", "chroma", "detail", "sigma", "specks", "stripes", "crop", "axes", "across", "joint"],
  run: ["steps", "scales", "init", "seed"],
  film: ["engine", "keys_every", "crossfade", "temporal_weight", "frame_evaluations", "range", "rate"],
  losses: ["content_weight", "style_weight", "content_layers", "style_layers", "style_loss", "content_loss", "warmup"],
  network: ["pooling", "padding", "weights"],
  engine: ["optimizer", "learning_rate", "history", "device", "precision", "memory", "tiles"],
};
/** @type {Record<string, number>} where a number's slider may end although more is allowed */
const REACH = { size: 2048, width: 2048, height: 2048, keys_every: 60, crossfade: 100, temporal_weight: 400, frame_evaluations: 60, rate: 60, steps: 1000, style_scale: 4, tv_weight: 10, content_weight: 2, style_weight: 4, learning_rate: 0.2, history: 50, sigma: 0.5, memory: 64, scales: 8 };
/** @type {Record<string, number>} what a number begins with that was a word before */
const BEGIN = { size: 512, style_scale: 1, sigma: 0.1, chroma: 1, steps: 300, keys_every: 12, rate: 25 };

const PRINTED = ["style", "apply"]; // methods whose results are printed

/** @type {Map<string, {box: any, control: Control}>} */
const built = new Map();
/** @type {ReturnType<typeof printSize> | null} */
let paper = null;

export function start() {
  byId("reset-all").addEventListener("click", resetAll);
  update({ dpi: storedDpi() });
  const field = input("init-input");
  field.accept = ACCEPT;
  field.addEventListener("change", () => { take("init", [...(field.files ?? [])]); field.value = ""; });
  watch((now, before) => {
    const method = methodOf(now.draft);
    if (differs(now, before, "language", "choices") || !before || method !== methodOf(before.draft)) build(method);
    if (differs(now, before, "language", "choices")) buildPresets();
    if (differs(now, before, "language", "draft", "error", "dpi")) sync(now);
  });
}

/** @param {string} method */
function build(method) {
  built.clear();
  paper = PRINTED.includes(method) ? printSize() : null;
  const all = properties();
  const main = (MAIN[method] ?? []).filter((name) => name in all);
  byId("main-options").replaceChildren(...main.map((name) => option(name, all[name], true)));
  const rest = Object.keys(all).filter((name) => !main.includes(name) && !HIDDEN.includes(name) && all[name]?.const === undefined);
  const placed = Object.entries(GROUPS).map(([group, names]) => /** @type {[string, string[]]} */ ([group, names.filter((name) => rest.includes(name))]));
  const known = placed.flatMap(([, names]) => names);
  placed.push(["other", rest.filter((name) => !known.includes(name))]);
  byId("options").replaceChildren(...placed.filter(([, names]) => names.length).map(([group, names]) =>
    h("fieldset", {}, h("legend", {}, t(`groups.${group}`)), ...names.map((name) => option(name, all[name], false)))));
}

/** @param {import("./store.js").State} now */
function sync({ draft, error }) {
  const method = methodOf(draft);
  const changed = draft.changed[method];
  show(byId("presets-box"), withPresets(method));
  for (const [name, { box, control }] of built) {
    control.sync(value(name));
    box.classList.toggle("changed", name in changed);
    show(first(".reset", box), name in changed);
    const wrong = error?.field === name;
    box.classList.toggle("wrong", wrong);
    for (const one of box.querySelectorAll("input, select")) one.toggleAttribute("aria-invalid", wrong);
    first(".complaint", box).textContent = wrong ? error.text : "";
    if (wrong) /** @type {any} */ (box.closest("details") ?? {}).open = true;
  }
  paper?.sync();
  const count = Object.keys(changed).length;
  byId("changes").textContent = String(count);
  show(byId("changes"), count > 0);
  show(byId("reset-all"), count > 0);
  for (const one of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#presets [data-preset]"))) {
    const current = one.dataset.preset === draft.preset;
    one.setAttribute("aria-checked", String(current));
    one.tabIndex = current ? 0 : -1;
  }
  const preset = state.choices.presets.find((/** @type {any} */ one) => one.name === draft.preset);
  byId("presets-words").textContent = preset ? named("presetWords", preset.name, preset.words) : "";
}

function buildPresets() {
  const all = state.choices.presets;
  byId("presets").replaceChildren(...all.map((/** @type {any} */ one) => h("button", {
    type: "button", role: "radio", "data-preset": one.name, title: named("presetWords", one.name, one.words),
    onclick: () => choosePreset(one.name),
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
      if (!by) return;
      event.preventDefault();
      const at = all.indexOf(one);
      const next = Number.isFinite(by) ? (at + by + all.length) % all.length : by > 0 ? all.length - 1 : 0;
      choosePreset(all[next].name);
      first(`#presets [data-preset="${all[next].name}"]`).focus();
    },
  }, one.thumbnail ? lazy(one.thumbnail) : null, named("presets", one.name, one.name))));
}

/**
 * @param {string} name
 * @param {any} schema
 * @param {boolean} main
 */
function option(name, schema, main) {
  const id = `o-${name}`;
  let control;
  // A later server may have options of a shape that is not known here: they are text.
  try { control = made(id, name, schema); } catch { control = free(id, name); }
  const box = h("div", { class: "option", "data-option": name });
  const label = h("label", { htmlFor: control.labelled ?? id }, named("options", name, name));
  const back = h("button", { class: "quiet reset", type: "button", "aria-label": `${t("all.resetOne")}: ${named("options", name, name)}`, onclick: () => reset(name) }, t("all.resetOne"));
  box.append(label, back, h("div", { class: "control" }, control.element));
  if (main && name === "strength") {
    const ends = state.draft.mode === "style" ? ["ends.photograph", "ends.style"] : ["ends.nothing", "ends.all"];
    box.append(h("div", { class: "ends", "aria-hidden": "true" }, h("span", {}, t(ends[0])), h("span", {}, t(ends[1]))));
  } else if (!main) {
    box.append(h("p", { class: "hint", id: `${id}-hint` }, named("hints", name, schema?.description ?? "")));
  }
  if (name === "size" && paper) box.append(paper.element);
  box.append(h("p", { class: "complaint", id: `${id}-wrong` }));
  built.set(name, { box, control });
  return box;
}

/**
 * The control for a schema; each kind of schema has one.
 * @param {string} id
 * @param {string} name
 * @param {any} schema
 * @returns {Control}
 */
function made(id, name, schema) {
  if (schema.anyOf) return either(id, name, schema);
  if (schema.enum) return name === "init" ? starting(id, name, schema.enum) : chosen(id, name, schema.enum);
  if (schema.type === "boolean") return ticked(id, name);
  if (schema.type === "object" && schema.propertyNames?.enum) return layers(id, name, schema);
  if (schema.type === "number" || schema.type === "integer") return number(id, name, schema, value(name));
  if (name === "range") return text(id, name, (given) => given.trim() || "whole", (now) => (now === "whole" ? "" : now), t("film.range"));
  if (schema.examples) return chosen(id, name, [...new Set([...schema.examples.filter((/** @type {string} */ one) => !one.includes("N")), ...state.choices.devices])]);
  return schema.type === "string" ? text(id, name, (given) => given, String) : free(id, name);
}

/** Do not write into a field while someone does. @param {any} field @param {any} now */
function put(field, now) {
  if (field.value !== String(now) && !(field === document.activeElement && field.type !== "range" && Number(field.value) === now)) field.value = now;
}

/**
 * @param {string} id
 * @param {string} name
 * @param {(given: string) => any} read
 * @param {(now: any) => string} write
 * @returns {Control}
 */
function text(id, name, read, write, placeholder = "") {
  const field = h("input", { id, type: "text", placeholder, "aria-label": named("options", name, name), onchange: () => change(name, read(field.value)) });
  return { element: field, sync: (now) => put(field, write(now)) };
}

/**
 * JSON, or a word.
 * @param {string} id
 * @param {string} name
 */
const free = (id, name) => text(id, name, (given) => { try { return JSON.parse(given); } catch { return given; } }, (now) => (typeof now === "string" ? now : JSON.stringify(now ?? null)));

/**
 * @param {string} id
 * @param {string} name
 * @param {string[]} values
 * @returns {Control}
 */
function chosen(id, name, values) {
  const select = h("select", { id, onchange: () => change(name, select.value) },
    ...values.map((one) => h("option", { value: one }, named("values", one, one))));
  return { element: select, sync: (now) => { select.value = now; } };
}

/**
 * A start of one's own has a file of its own.
 * @param {string} id
 * @param {string} name
 * @param {string[]} values
 * @returns {Control}
 */
function starting(id, name, values) {
  const select = chosen(id, name, values);
  const own = h("button", { class: "small own", type: "button", onclick: () => input("init-input").click() });
  return { element: h("span", { class: "control" }, select.element, own), labelled: id, sync: (now) => {
    select.sync(now);
    show(own, now === "picture");
    own.textContent = state.draft.init?.name ?? t("choose");
  } };
}

/**
 * @param {string} id
 * @param {string} name
 * @returns {Control}
 */
function ticked(id, name) {
  const tick = h("input", { id, type: "checkbox", onchange: () => change(name, tick.checked) });
  return { element: tick, sync: (now) => { tick.checked = now; } };
}

/**
 * @param {string} id
 * @param {string} name
 * @param {any} schema
 * @param {any} now
 * @returns {Control}
 */
function number(id, name, schema, now) {
  const whole = schema.type === "integer";
  const least = schema.minimum ?? schema.exclusiveMinimum ?? 0;
  const most = Math.min(REACH[name] ?? Infinity, schema.maximum ?? Infinity);
  const step = whole ? (name === "size" ? 64 : 1) : most <= 1 ? 0.01 : 0.05;
  const label = named("options", name, name);
  const set = (/** @type {string} */ given) => {
    const wanted = whole ? Math.round(Number(given)) : Number(given);
    if (given !== "" && !Number.isNaN(wanted)) change(name, wanted);
    else field.value = value(name);
  };
  const field = h("input", { id: `${id}-n`, type: "number", min: schema.minimum, max: schema.maximum, step: whole ? 1 : "any", value: now, "aria-label": label, onchange: () => set(field.value) });
  const range = most < Infinity && name !== "seed"
    ? h("input", { id, "aria-label": label, type: "range", min: name === "size" ? 128 : least, max: most, step, oninput: () => set(range.value) }) : null;
  if (range) range.value = now;
  else field.id = id;
  return { element: h("span", { class: "control" }, range, field), labelled: id, sync: (wanted) => {
    if (typeof wanted !== "number") return;
    put(field, wanted);
    if (range && range !== document.activeElement || range && Math.abs(range.value - wanted) > step) range.value = wanted;
  } };
}

/**
 * A number or a word, such as 512 or `original`; lists of numbers, as text.
 * @param {string} id
 * @param {string} name
 * @param {any} schema
 * @returns {Control}
 */
function either(id, name, schema) {
  const words = schema.anyOf.flatMap((/** @type {any} */ one) => one.const ?? one.enum ?? []);
  if (words.length !== 1) return worded(id, name, words);
  const numeric = schema.anyOf.find((/** @type {any} */ one) => one.type === "number" || one.type === "integer");
  const list = schema.anyOf.find((/** @type {any} */ one) => one.type === "array");
  const [word] = words;
  const begin = BEGIN[name] ?? numeric?.minimum ?? 4;
  const inner = numeric ? number(id, name, numeric, typeof value(name) === "number" ? value(name) : begin)
    : text(id, name, (given) => (list ? given.split(",").map(Number) : given.toUpperCase()), (now) => (now === word ? "" : String(now)), list ? (name === "crop" ? "0, 0, 512, 512" : "512, 512") : "TZCYX");
  const tick = h("input", { type: "checkbox", id: `${id}-word`, onchange: () => {
    if (tick.checked) change(name, word);
    else if (numeric) change(name, Number((first("input[type=number]", inner.element) ?? inner.element).value));
    else { show(inner.element, true); inner.element.focus(); }
  } });
  const element = h("span", { class: "control" }, inner.element, h("label", { htmlFor: `${id}-word`, class: "row" }, tick, named("values", word, word)));
  return { element, labelled: value(name) === word ? `${id}-word` : id, sync: (now) => {
    const isWord = same(now, word);
    tick.checked = isWord;
    show(inner.element, !isWord);
    if (!isWord) inner.sync(now);
  } };
}

/**
 * One of several words or a letter, such as `auto`, `none` or T.
 * @param {string} id
 * @param {string} name
 * @param {string[]} words
 * @returns {Control}
 */
function worded(id, name, words) {
  if (!words.length) return free(id, name);
  const inner = text(id, name, (given) => (words.includes(given.trim().toLowerCase()) ? given.trim().toLowerCase() : given.trim().toUpperCase()), String);
  inner.element.setAttribute("list", `${id}-words`); // as a property it can only be read
  const element = h("span", { class: "control" }, inner.element, h("datalist", { id: `${id}-words` }, ...words.map((one) => h("option", { value: one }, named("values", one, one)))));
  return { ...inner, element, labelled: id };
}

/**
 * Layer -> weight.
 * @param {string} id
 * @param {string} name
 * @param {any} schema
 * @returns {Control}
 */
function layers(id, name, schema) {
  const box = h("div", { id, class: "control", role: "group", "aria-label": named("options", name, name) });
  let drawn = "";
  return { element: box, sync: (now) => {
    if (drawn === JSON.stringify(now)) return;
    drawn = JSON.stringify(now);
    const rows = Object.entries(now).map(([layer, weight]) => h("div", { class: "layer" },
      h("code", {}, layer),
      h("input", { type: "number", min: 0, step: "any", value: weight, "aria-label": layer, onchange: (/** @type {any} */ event) => change(name, { ...value(name), [layer]: Number(event.target.value) }) }),
      h("button", { class: "quiet small", type: "button", "aria-label": `${t("remove")} ${layer}`, onclick: () => {
        const { [layer]: _, ...left } = value(name);
        change(name, left);
      } }, "×")));
    const others = schema.propertyNames.enum.filter((/** @type {string} */ layer) => !(layer in now));
    const add = h("select", { "aria-label": t("all.addLayer"), onchange: () => change(name, { ...value(name), [add.value]: 1 }) },
      h("option", { value: "" }, t("all.addLayer")), ...others.map((/** @type {string} */ layer) => h("option", { value: layer }, layer)));
    box.replaceChildren(...rows, add);
  } };
}
