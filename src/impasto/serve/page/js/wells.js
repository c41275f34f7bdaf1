// @ts-check
// The pictures of the draft: content, styles, shelf.

import { json } from "./api.js";
import { byId, clock, first, h, input, lazy, list, picture, show } from "./dom.js";
import { fail } from "./errors.js";
import { diagnosis } from "./noise.js";
import { MASKABLE, paintMask } from "./masking.js";
import { ACCEPT, ACCEPT_CLIPS, anywhere, look, put, take } from "./pictures.js";
import { methodOf } from "./settings.js";
import { differs, edit, state, update, watch } from "./store.js";
import { language, noted, t } from "./texts.js";

/** @typedef {import("./store.js").Picture} Picture */
/** @typedef {import("./store.js").State} State */

/** @type {Record<string, RegExp>} the API's fields that a well stands for */
const FIELDS = { content: /^(content|photograph|picture|protect|keep)([-_]\d+)?$/, style: /^(style|model|region|mask|weights)([-_]\d+)?$/ };

export function start() {
  for (const role of /** @type {const} */ (["content", "style", "add-style"])) {
    const field = input(`${role}-input`);
    field.accept = role === "content" ? `${ACCEPT},${ACCEPT_CLIPS}` : `${ACCEPT},.impasto`;
    field.addEventListener("change", () => { take(role, [...(field.files ?? [])]); field.value = ""; });
  }
  for (const role of /** @type {const} */ (["content", "style"])) {
    first(".choose", byId(`${role}-well`)).addEventListener("click", () => input(`${role}-input`).click());
    target(byId(`${role}-well`), (files) => take(role, files));
  }
  byId("add-style").addEventListener("click", () => input("add-style-input").click());
  for (const kind of /** @type {const} */ (["protect", "keep"])) byId(`mask-${kind}`).addEventListener("click", () => paintMask(kind));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length) anywhere(files);
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) { event.preventDefault(); anywhere(files); }
  });
  watch(render);
}

/**
 * @param {HTMLElement} well
 * @param {(files: File[]) => void} taken
 */
function target(well, taken) {
  well.addEventListener("dragenter", () => well.classList.add("over"));
  well.addEventListener("dragleave", (event) => { if (!well.contains(/** @type {Node} */ (event.relatedTarget))) well.classList.remove("over"); });
  well.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    well.classList.remove("over");
    taken([...(event.dataTransfer?.files ?? [])]);
  });
}

/**
 * @param {State} now
 * @param {State | null} before
 */
function render(now, before) {
  const { draft } = now;
  if (differs(now, before, "language")) shelf();
  if (differs(now, before, "error", "language")) complaints(now.error);
  if (!differs(now, before, "draft", "language", "diagnosis")) return;
  const method = methodOf(draft);
  fill(byId("content-well"), draft.content);
  fill(byId("style-well"), (method === "apply" ? draft.model : draft.styles[0]?.picture) ?? null);
  show(byId("content-box"), method !== "texture");
  byId("content-title").textContent = t(method === "fit" ? "content.photographs" : draft.content?.clip ? "content.clip" : "content.title");
  show(byId("content-tools"), ["style", "film"].includes(method) && MASKABLE(draft.content));
  for (const kind of /** @type {const} */ (["protect", "keep"])) byId(`mask-${kind}`).setAttribute("aria-pressed", String(Boolean(draft.masks[kind])));
  const other = !before || method !== methodOf(before.draft);
  show(byId("more-box"), draft.more.length > 0 && method !== "texture");
  if (differs(now, before, "language") || other || draft.more !== before?.draft.more) more(draft.more, method);
  if (differs(now, before, "language") || other || draft.styles !== before?.draft.styles || draft.model !== before?.draft.model || draft.content !== before?.draft.content) styles(now, method);
  noise(now);
}

/** What is wrong with a file is said where it was given. @param {State["error"]} error */
function complaints(error) {
  for (const [role, fields] of Object.entries(FIELDS)) {
    const wrong = fields.test(error?.field ?? "");
    byId(`${role}-well`).classList.toggle("wrong", wrong);
    byId(`${role}-wrong`).textContent = wrong ? error?.text ?? "" : "";
  }
}

/**
 * @param {HTMLElement} well
 * @param {Picture | null} taken
 */
function fill(well, taken) {
  const image = first(".thumb", well);
  well.classList.toggle("full", Boolean(taken));
  first(".choose", well).textContent = t(taken ? "other" : "choose");
  show(image, taken?.thumb);
  if (taken?.thumb) picture(image, taken.thumb);
  image.alt = taken?.name ?? "";
  first(".name", well).textContent = taken ? [...(taken.clip ? clipFacts(taken) : []), taken.name].join(" · ") : "";
  show(first(".name", well), taken);
}

/** Size and length of a clip. @param {Picture} clip */
const clipFacts = ({ width, height, seconds }) => [seconds ? clock(seconds) : "", width ? `${width} × ${height}` : ""].filter(Boolean);

/**
 * Pictures that get the same treatment, or that a model is fitted to.
 * @param {Picture[]} pictures
 * @param {string} method
 */
function more(pictures, method) {
  byId("more-title").textContent = t(method === "fit" ? "content.morePhotographs" : "content.more", { count: pictures.length });
  byId("more").replaceChildren(...pictures.map((one) => {
    const image = h("img", { alt: one.name, title: one.name });
    if (one.thumb) picture(image, one.thumb);
    const label = `${t("remove")} ${one.name}`;
    return h("li", {}, image, h("button", { class: "quiet small", "aria-label": label, title: label, onclick: () => edit({ more: state.draft.more.filter((other) => other !== one) }) }, "×"));
  }));
}

/**
 * @param {State} now
 * @param {string} method
 */
function styles(now, method) {
  const { draft, choices } = now;
  const several = draft.styles.length > 1;
  const applied = method === "apply";
  const rows = applied && draft.model ? [modelRow(draft.model)] : draft.styles.map((style, index) => {
    const { name, thumb } = style.picture;
    const set = (/** @type {import("./store.js").Style} */ one, /** @type {string} */ what) =>
      edit({ styles: state.draft.styles.map((other, at) => (at === index ? one : other)) }, what);
    const image = h("img", { alt: "" });
    if (thumb) picture(image, thumb);
    const number = h("output", {}, style.weight.toFixed(2));
    const weight = h("input", { type: "range", min: 0, max: 1, step: 0.05, "aria-label": t("style.weight", { name }), oninput: () => {
      set({ ...state.draft.styles[index], weight: Number(weight.value) }, `weight ${index}`);
    } });
    weight.value = style.weight;
    return h("li", { "data-style": index + 1 }, image, h("span", { class: "title", title: name }, name),
      several ? h("span", { class: "weight" }, weight, number) : null,
      h("span", { class: "acts" },
        method !== "style" ? null : h("button", { class: "quiet small", "data-region": index + 1, "aria-pressed": style.region ? "true" : null, disabled: !MASKABLE(draft.content), onclick: () => paintMask("region", index) }, t("style.where")),
        h("button", { class: "quiet small", "aria-label": `${t("remove")} ${name}`, title: t("remove"), onclick: () => edit({ styles: state.draft.styles.filter((_, at) => at !== index) }) }, "×")));
  });
  const box = byId("styles");
  const focused = /** @type {HTMLElement | null} */ (document.activeElement?.closest("#styles li"))?.dataset.style;
  const ranged = document.activeElement instanceof HTMLInputElement;
  // While a weight is dragged its own row stays.
  if (focused && ranged && !applied && box.children.length === rows.length) {
    draft.styles.forEach((style, index) => {
      const row = box.children[index];
      if (first("output", row)) first("output", row).textContent = style.weight.toFixed(2);
      const range = first("input", row);
      if (range && Number(range.value) !== style.weight) range.value = style.weight;
    });
  } else box.replaceChildren(...rows);
  show(byId("add-style"), !applied && draft.styles.length > 0 && draft.styles.length < choices.limits.styles);
}

/** @param {Picture} model */
function modelRow(model) {
  const image = h("img", { alt: "" });
  if (model.thumb) picture(image, model.thumb);
  else image.src = "/page/icon.svg";
  const label = `${t("remove")} ${model.name}`;
  return h("li", { "data-model": "" }, image, h("span", { class: "title", title: model.name }, model.name),
    h("span", { class: "acts" }, h("button", { class: "quiet small", "aria-label": label, title: t("remove"), onclick: () => edit({ model: null }) }, "×")));
}

function shelf() {
  byId("shelf").replaceChildren(...state.choices.shelf.map((/** @type {any} */ one) => {
    const title = one.title[language] ?? one.name;
    return h("button", { "data-shelf": one.name, type: "button", onclick: () => fromShelf(one) },
      lazy(one.thumbnail ?? one.picture), title);
  }));
}

/** @param {{name: string, picture: string}} one */
export async function fromShelf(one) {
  try {
    const data = await (await fetch(one.picture)).blob();
    const found = await look(new File([data], `${one.name}.jpg`, { type: "image/jpeg" }));
    if (typeof found !== "string") put("style", [found]);
  } catch {
    fail(Object.assign(new Error(), { unreachable: true }));
  }
}

/** @param {State} now */
function noise(now) {
  const { mode, content } = now.draft;
  const wanted = mode === "denoise" && content !== null && !content.clip;
  const known = wanted && now.diagnosis?.file === content.file ? now.diagnosis : null;
  show(byId("diagnosis"), known && !("failed" in (known.found ?? {})));
  list(byId("content-notes"), (known?.found?.notes ?? []).map((/** @type {string} */ note) => t("notes.line", { name: content?.name, note: noted(note) })));
  if (known) byId("diagnosis").textContent = known.found ? (known.found.kind ? diagnosis(known.found) : "") : t("diagnosis.looking");
  if (wanted && !known) diagnose(content.file, content.name);
}

/**
 * @param {File} file
 * @param {string} name
 */
async function diagnose(file, name) {
  update({ diagnosis: { file, found: null } });
  const form = new FormData();
  form.append("content", file, name);
  let found;
  try {
    found = await json("/v1/diagnosis", { method: "POST", body: form });
  } catch (error) {
    found = { failed: true };
    if (state.draft.content?.file === file) fail(/** @type {Error} */ (error));
  }
  if (state.diagnosis?.file === file) update({ diagnosis: { file, found } });
}
