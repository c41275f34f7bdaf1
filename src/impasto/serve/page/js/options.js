// Controls made from the recipes' own JSON Schema: nothing about an option is written here but its place.

import { byId, h, show } from "./dom.js";
import { change, fromPreset, on, properties, same, state, value } from "./state.js";
import { named, t } from "./texts.js";

const MAIN = { style: ["strength", "size", "effort"], denoise: ["strength", "method", "effort"], reconstruct: ["layer", "kind", "size"] };
const GROUPS = {
  look: ["color", "color_by", "style_scale", "structure", "composition", "tv_weight", "denoise", "chroma", "detail", "sigma", "specks", "stripes", "crop", "axes", "across", "joint"],
  run: ["steps", "scales", "init", "seed"],
  losses: ["content_weight", "style_weight", "content_layers", "style_layers", "style_loss", "content_loss", "warmup"],
  network: ["pooling", "padding", "weights"],
  engine: ["optimizer", "learning_rate", "history", "device", "precision", "memory", "tiles"],
};
const HIDDEN = ["version", "preset"];
// Where a number's slider may end although more is allowed.
const REACH = { size: 2048, steps: 1000, style_scale: 4, tv_weight: 10, content_weight: 2, style_weight: 4, learning_rate: 0.2, history: 50, sigma: 0.5, memory: 64, scales: 8 };

export function build() {
  const all = properties();
  const main = MAIN[state.mode];
  byId("main-options").replaceChildren(...main.map((name) => option(name, all[name], true)));
  const rest = Object.keys(all).filter((name) => !main.includes(name) && !HIDDEN.includes(name));
  const placed = Object.entries(GROUPS).map(([group, names]) => [group, names.filter((name) => rest.includes(name))]);
  const known = placed.flatMap(([, names]) => names);
  placed.push(["other", rest.filter((name) => !known.includes(name))]);
  byId("options").replaceChildren(...placed.filter(([, names]) => names.length).map(([group, names]) =>
    h("fieldset", {}, h("legend", {}, t(`groups.${group}`)), ...names.map((name) => option(name, all[name], false)))));
  count();
}

export function start() {
  on("options", (name) => { refresh(name); count(); });
  byId("reset-all").addEventListener("click", () => { state.changed[state.mode] = {}; build(); });
}

function count() {
  const changes = Object.keys(state.changed[state.mode]).length;
  byId("changes").textContent = String(changes);
  show(byId("changes"), changes > 0);
  show(byId("reset-all"), changes > 0);
}

function refresh(name) {
  const old = document.querySelector(`[data-option="${name}"]`);
  if (!old) return;
  const changed = name in state.changed[state.mode];
  old.classList.toggle("changed", changed);
  show(old.querySelector(".reset"), changed);
}

function option(name, schema, main) {
  const id = `o-${name}`;
  const changed = name in state.changed[state.mode];
  const box = h("div", { class: `option${changed ? " changed" : ""}`, "data-option": name });
  const control = made(id, name, schema, box);
  const label = h("label", { htmlFor: control.labelled ?? id }, named("options", name, name));
  const reset = h("button", { class: "quiet reset", type: "button", onclick: () => {
    delete state.changed[state.mode][name];
    box.replaceWith(option(name, schema, main));
    count();
  } }, t("all.resetOne"));
  show(reset, changed);
  box.append(label, reset, h("div", { class: "control" }, control));
  if (main && name === "strength") {
    const ends = state.mode === "style" ? ["ends.photograph", "ends.style"] : ["ends.nothing", "ends.all"];
    box.append(h("div", { class: "ends", "aria-hidden": "true" }, h("span", {}, t(ends[0])), h("span", {}, t(ends[1]))));
  } else if (!main) {
    const hint = h("p", { class: "hint", id: `${id}-hint` }, named("hints", name, schema.description ?? ""));
    box.append(hint);
  }
  return box;
}

// The control for a schema; each kind of schema has one.
function made(id, name, schema, box) {
  if (schema.anyOf) return either(id, name, schema);
  if (schema.enum) return chosen(id, name, schema.enum);
  if (schema.type === "boolean") return ticked(id, name);
  if (schema.type === "object") return layers(id, name, schema);
  if (schema.type === "number" || schema.type === "integer") return number(id, name, schema, value(name));
  if (schema.examples) return chosen(id, name, [...new Set([...schema.examples.filter((one) => !one.includes("N")), ...state.choices.devices])]);
  return h("input", { id, type: "text", value: value(name), onchange: (event) => change(name, event.target.value) });
}

function chosen(id, name, values) {
  const select = h("select", { id, onchange: () => { change(name, select.value); } },
    ...values.map((one) => h("option", { value: one, selected: one === value(name) }, named("values", one, one))));
  return select;
}

function ticked(id, name) {
  return h("input", { id, type: "checkbox", checked: value(name), onchange: (event) => change(name, event.target.checked) });
}

function number(id, name, schema, now) {
  const whole = schema.type === "integer";
  const least = schema.minimum ?? schema.exclusiveMinimum ?? 0;
  const most = Math.min(REACH[name] ?? Infinity, schema.maximum ?? Infinity);
  const step = whole ? (name === "size" ? 64 : 1) : most <= 1 ? 0.01 : 0.05;
  const field = h("input", { id: `${id}-n`, type: "number", min: schema.minimum, max: schema.maximum, step: whole ? 1 : "any", value: now,
    "aria-label": named("options", name, name) });
  const set = (text, from) => {
    const wanted = whole ? Math.round(Number(text)) : Number(text);
    if (text === "" || Number.isNaN(wanted)) return;
    if (from !== field) field.value = wanted;
    if (range && from !== range) range.value = wanted;
    change(name, wanted);
  };
  const range = most < Infinity && name !== "seed"
    ? h("input", { id, "aria-label": named("options", name, name), type: "range", min: name === "size" ? 128 : least, max: most, step, oninput: (event) => set(event.target.value, range) }) : null;
  if (range) range.value = now;
  field.addEventListener("change", () => set(field.value, field));
  if (!range) field.id = id;
  const both = h("span", { class: "control" }, range, field);
  both.labelled = id;
  return both;
}

// A number or a word, such as 512 or `original`; lists of numbers, as text.
function either(id, name, schema) {
  const words = schema.anyOf.flatMap((one) => one.const ?? one.enum ?? []);
  if (words.length > 1) return worded(id, name, words);
  const numeric = schema.anyOf.find((one) => one.type === "number" || one.type === "integer");
  const list = schema.anyOf.find((one) => one.type === "array");
  const [word] = words;
  const now = value(name);
  const isWord = now === word;
  const start = numeric?.default ?? (name === "size" ? 512 : name === "style_scale" ? 1 : name === "sigma" ? 0.1 : name === "chroma" ? 1 : name === "steps" ? 300 : 4);
  const inner = numeric ? number(id, name, numeric, isWord ? start : now)
    : h("input", { id, type: "text", value: isWord ? "" : String(now), placeholder: list ? (name === "crop" ? "0, 0, 512, 512" : "512, 512") : "TZCYX",
        onchange: (event) => change(name, list ? event.target.value.split(",").map(Number) : event.target.value.toUpperCase()) });
  const tick = h("input", { type: "checkbox", checked: isWord, id: `${id}-word`, onchange: () => {
    show(inner, !tick.checked);
    if (tick.checked) change(name, word);
    else if (numeric) change(name, Number((inner.querySelector("input[type=number]") ?? inner).value));
  } });
  show(inner, !isWord);
  const both = h("span", { class: "control" }, inner,
    h("label", { htmlFor: `${id}-word`, class: "row" }, tick, named("values", word, word)));
  both.labelled = isWord ? `${id}-word` : id;
  return both;
}

// One of several words or a letter, such as `auto`, `none` or T.
function worded(id, name, words) {
  const field = h("input", { id, type: "text", value: value(name), onchange: () => {
    const given = field.value.trim();
    change(name, words.includes(given.toLowerCase()) ? given.toLowerCase() : given.toUpperCase());
  } });
  field.setAttribute("list", `${id}-words`);  // as a property it can only be read
  const both = h("span", { class: "control" }, field,
    h("datalist", { id: `${id}-words` }, ...words.map((one) => h("option", { value: one }, named("values", one, one)))));
  both.labelled = id;
  return both;
}

// Layer -> weight.
function layers(id, name, schema) {
  const box = h("div", { id, class: "control" });
  const draw = () => {
    const now = value(name);
    const rows = Object.entries(now).map(([layer, weight]) => h("div", { class: "layer" },
      h("code", {}, layer),
      h("input", { type: "number", min: 0, step: "any", value: weight, "aria-label": layer, onchange: (event) => change(name, { ...value(name), [layer]: Number(event.target.value) }) }),
      h("button", { class: "quiet small", type: "button", "aria-label": `${t("remove")} ${layer}`, onclick: () => {
        const { [layer]: gone, ...left } = value(name);
        change(name, left);
        draw();
      } }, "×")));
    const free = schema.propertyNames.enum.filter((layer) => !(layer in now));
    const add = h("select", { "aria-label": t("all.addLayer"), onchange: () => { change(name, { ...value(name), [add.value]: 1 }); draw(); } },
      h("option", { value: "" }, t("all.addLayer")), ...free.map((layer) => h("option", { value: layer }, layer)));
    box.replaceChildren(...rows, add);
  };
  draw();
  return box;
}

// What goes into a request: what is not as the preset or the default has it.
export function wanted() {
  const options = { ...state.changed[state.mode] };
  if (state.mode === "style") options.preset = state.preset;
  return options;
}

export function adopt(mode, recipe, preset) {
  state.preset = preset;
  const base = fromPreset(mode);
  const usual = properties(mode);
  state.changed[mode] = Object.fromEntries(Object.entries(recipe).filter(([name, one]) =>
    name in usual && !HIDDEN.includes(name) && !same(one, name in base ? base[name] : usual[name].default)));
}
