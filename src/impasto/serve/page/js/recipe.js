// A picture that impasto made, dropped back: its options and its inputs again.

import { json } from "./api.js";
import { byId, complain, say } from "./dom.js";
import { adopt } from "./options.js";
import { on, state, tell } from "./state.js";
import { t } from "./texts.js";
import { fetched, put } from "./wells.js";

export function start() {
  byId("open-recipe").addEventListener("click", () => byId("recipe-input").click());
  byId("recipe-input").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) read(file);
  });
  on("recipe-file", read);
  on("recipe-ask", ({ file, answer }) => {
    const dialog = byId("recipe-dialog");
    let picture = false;
    byId("recipe-picture").onclick = () => { picture = true; dialog.close(); };
    byId("recipe-use").onclick = () => { dialog.close(); read(file); };
    dialog.addEventListener("close", () => answer(picture), { once: true });
    dialog.showModal();
  });
  on("adopt", (job) => restore(job.method, job.recipe, job.inputs));
}

async function read(file) {
  const form = new FormData();
  form.append("picture", file);
  try {
    const found = await json("/v1/recipe", { method: "POST", body: form });
    if (!(found.method in state.changed)) { complain(t("recipe.other", { method: found.method })); return; }
    await restore(found.method, found.recipe, found.inputs);
  } catch (error) {
    complain(error.unreachable ? t("gone") : error.message);
  }
}

async function restore(method, recipe, inputs) {
  const known = state.choices.presets.some((one) => one.name === recipe.preset);
  adopt(method, recipe, known ? recipe.preset : "default");
  // What a run settles for itself is not what was asked for.
  for (const name of ["tiles", "precision"]) delete state.changed[method][name];
  tell("mode", method);
  const missing = inputs.filter((one) => !one.url);
  state.content = null;
  state.styles = [];
  state.init = null;
  // Choosing a content image takes masks away, so it comes first, and styles before their regions.
  const place = (one) => ["content", "style"].indexOf(one.role.split("-")[0]) + 3 * !/^(content|style)/.test(one.role);
  for (const one of inputs.filter((input) => input.url).sort((a, b) => place(a) - place(b))) await bring(one);
  tell("masks");
  tell("styles");
  tell("content");
  if (missing.length) complain(t("recipe.missing", { names: missing.map((one) => one.name ?? one.role).join(", ") }));
  else say(t("recipe.restored"));
}

async function bring(one) {
  const file = await fetched(one.url, one.name ?? one.role);
  const [kind, number] = one.role.split("-");
  if (kind === "content") put("content", file);
  else if (kind === "style") {
    state.adding = true;
    put("style", file);
    state.styles.at(-1).weight = one.weight ?? 1;
  } else if (kind === "region" || kind === "mask") {
    if (state.styles[number - 1]) state.styles[number - 1][kind] = file;
  }
  else if (kind === "init") state.init = file;
  else if (kind in state.masks) state.masks[kind] = file;
}
