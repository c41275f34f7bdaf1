// Pictures that come in: dropped, pasted, chosen, or taken from the shelf.

import { ask, json } from "./api.js";
import { byId, complain, h, list, picture, quiet, show } from "./dom.js";
import { on, state, tell } from "./state.js";
import { language, noted, t } from "./texts.js";

const KINDS = /\.(jpe?g|jfif|jpe|png|webp|tiff?|avif|jxl|gif|bmp|p[bgpn]m)$/i;
const SEEN = /\.(jpe?g|jfif|jpe|png|webp|avif|gif|bmp)$/i;

export function start() {
  for (const role of ["content", "style"]) {
    const input = byId(`${role}-input`);
    input.accept = ".jpg,.jpeg,.jfif,.png,.webp,.tif,.tiff,.avif,.jxl,.gif,.bmp,.ppm,.pgm,.pbm,.pnm";
    byId(`${role}-well`).querySelector(".choose").addEventListener("click", () => input.click());
    input.addEventListener("change", () => { take(role, [...input.files]); input.value = ""; });
    target(byId(`${role}-well`), (files) => take(role, files));
  }
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    anywhere([...(event.dataTransfer?.files ?? [])]);
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) { event.preventDefault(); anywhere(files); }
  });
  on("content", drawContent);
  on("styles", drawStyles);
}

function target(well, take) {
  well.addEventListener("dragenter", () => well.classList.add("over"));
  well.addEventListener("dragleave", (event) => { if (!well.contains(event.relatedTarget)) well.classList.remove("over"); });
  well.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    well.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
}

// Without a well that was aimed at, the content comes first, then the style.
function anywhere(files) {
  if (!files.length) return;
  if (state.mode !== "style" || !state.content || files.length > 1) {
    take("content", files.slice(0, 1));
    if (state.mode === "style" && files.length > 1) take("style", files.slice(1));
  } else take("style", files);
}

export async function take(role, files) {
  quiet();
  for (const file of files) {
    if (file.name.endsWith(".json")) { tell("recipe-file", file); return; }
    if (!KINDS.test(file.name) && !/^image\/(jpeg|png|webp|tiff|avif|jxl|gif|bmp)$/.test(file.type)) {
      complain(t("errors.kind", { name: file.name }));
      return;
    }
    if (file.size > state.choices.limits.most_bytes) {
      complain(t("errors.large", { name: file.name, most: Math.round(state.choices.limits.most_bytes / 2 ** 20) }));
      return;
    }
    if (await carriesRecipe(file) && !(await new Promise((answer) => tell("recipe-ask", { file, answer })))) return;
    put(role, file);
  }
}

export function put(role, file) {
  if (role === "content") {
    state.content = file;
    state.masks = { protect: null, keep: null };
    for (const style of state.styles) style.region = null;
    tell("content");
    tell("styles");
  } else {
    const one = { file, weight: 1, region: null };
    if (state.styles.length === state.choices.limits.styles) state.styles.pop();
    // One picture replaces one; several are added by the button below them.
    if (state.styles.length <= 1 && !state.adding) state.styles = [one];
    else state.styles.push(one);
    state.adding = false;
    tell("styles");
  }
}

// A painting of impasto's own carries its recipe in an XMP packet near its beginning or end.
async function carriesRecipe(file) {
  const size = 2 ** 18;
  const ends = [file.slice(0, size), file.slice(Math.max(0, file.size - size))];
  const texts = await Promise.all(ends.map(async (part) => new TextDecoder("latin1").decode(await part.arrayBuffer())));
  return texts.some((text) => text.includes("xmpmeta") && /impasto/i.test(text));
}

function drawContent() {
  fill(byId("content-well"), state.content);
  show(byId("content-tools"), Boolean(state.content) && shown(state.content));
}

export const shown = (file) => SEEN.test(file.name) || /^image\/(jpeg|png|webp|avif|gif|bmp)$/.test(file.type);

function fill(well, file) {
  for (const old of well.querySelectorAll("img, .name")) old.remove();
  well.classList.toggle("full", Boolean(file));
  well.querySelector(".choose").textContent = t(file ? "other" : "choose");
  if (!file) return;
  if (shown(file)) {
    const image = h("img", { alt: file.name });
    picture(image, file);
    well.prepend(image);
  }
  well.append(h("span", { class: "name" }, file.name));
}

function drawStyles() {
  const several = state.styles.length > 1;
  fill(byId("style-well"), state.styles[0]?.file ?? null);
  const rows = state.styles.map((style, index) => {
    const image = h("img", { alt: "" });
    if (shown(style.file)) picture(image, style.file);
    const weight = h("input", { type: "range", min: 0, max: 1, step: 0.05, value: style.weight, "aria-label": t("style.weight", { name: style.file.name }),
      oninput: () => { style.weight = Number(weight.value); } });
    weight.value = style.weight;
    return h("li", {}, image, several ? weight : h("span", { title: style.file.name }, style.file.name),
      h("span", { class: "acts" },
        h("button", { class: "quiet small", "data-region": index + 1, "aria-pressed": style.region ? "true" : null, disabled: !state.content || !shown(state.content), onclick: () => tell("mask", { kind: "region", index }) }, t("style.where")),
        h("button", { class: "quiet small", "aria-label": `${t("remove")} ${style.file.name}`, onclick: () => { state.styles.splice(index, 1); tell("styles"); } }, "×")));
  });
  if (state.styles.length && state.styles.length < state.choices.limits.styles) {
    rows.push(h("li", {}, h("span"), h("button", { class: "quiet small", id: "add-style", onclick: () => { state.adding = true; byId("style-input").click(); } }, t("style.add"))));
  }
  byId("styles").replaceChildren(...rows);
}

export function shelf() {
  byId("shelf").replaceChildren(...state.choices.shelf.map((one) => {
    const title = one.title[language] ?? one.name;
    return h("button", { "data-shelf": one.name, type: "button", onclick: async () => {
      const data = await (await fetch(one.picture)).blob();
      put("style", new File([data], `${one.name}.jpg`, { type: "image/jpeg" }));
    } }, h("img", { src: one.picture, alt: "", loading: "lazy" }), title);
  }));
}

export async function diagnose() {
  const box = byId("diagnosis");
  show(box, false);
  list(byId("content-notes"), []);
  const file = state.content;
  if (state.mode !== "denoise" || !file) return;
  box.textContent = t("diagnosis.looking");
  show(box, true);
  const form = new FormData();
  form.append("content", file);
  try {
    const found = await json("/v1/diagnosis", { method: "POST", body: form });
    if (state.content !== file) return;
    box.textContent = diagnosis(found);
    tell("diagnosed", found);
    list(byId("content-notes"), found.notes.map((note) => t("notes.line", { name: file.name, note: noted(note) })));
  } catch (error) {
    show(box, false);
    complain(error.unreachable ? t("gone") : error.message);
  }
}

// A diagnosis in plain words.
export function diagnosis(found) {
  const peak = Math.max(...found.sigma);
  const parts = [t(`diagnosis.${found.kind}`)];
  const none = ["clean", "impulse", "halftone"].includes(found.kind);
  const asked = none && found.method !== "repair";
  if (!none) {
    parts.push(t("diagnosis.strength", { sigma: found.stack ? peak.toPrecision(2) : (255 * peak).toFixed(1), of: found.stack ? "" : t("diagnosis.of255") }));
    if (found.clipped.some(Boolean)) parts.push(t("diagnosis.clipped"));
  }
  if (found.specks) parts.push(t("diagnosis.specks", { share: (100 * found.specks).toPrecision(2) }));
  if (!found.method) parts.push(t("diagnosis.nothing"));
  else parts.push(t(asked ? "diagnosis.asked" : "diagnosis.method", { method: found.method }));
  if (found.method && found.changed < found.planes) parts.push(t("diagnosis.planes", { changed: found.changed, planes: found.planes }));
  return parts.join(" ");
}

// Inputs of an earlier job or recipe, as they came in.
export async function fetched(url, name) {
  const data = await (await ask(`${url}?original=true`)).blob();
  return new File([data], name);
}
