// @ts-check
// A contact sheet: the same picture in small with one setting varied; the one that is picked becomes the setting.

import { blob } from "./api.js";
import { byId, first, h, picture, show } from "./dom.js";
import { forget, formOf, OPEN, submit } from "./jobs.js";
import { finalSize } from "./plan.js";
import { change, choosePreset, lacks, methodOf, wanted } from "./settings.js";
import { differs, state, update, watch } from "./store.js";
import { named, t } from "./texts.js";

const SIZE = 256; // pixels of a picture's longer side
/** @type {Record<string, number[]>} */
const AXES = { strength: [0.15, 0.3, 0.5, 0.65, 0.8, 1], style_scale: [0.5, 0.75, 1, 1.5, 2, 3], color: [0, 0.25, 0.5, 0.75, 1], structure: [0, 0.25, 0.5, 0.75, 1] };
const SLOW = ["notebook", "gatys"]; // presets that do not end in seconds
/** @type {Map<string, Promise<Blob | null>>} */
const fetched = new Map();
let drawn = "";

export function start() {
  byId("sheet-make").addEventListener("click", () => make(/** @type {any} */ (byId("sheet-axis")).value));
  byId("sheet-close").addEventListener("click", close);
  watch((now, before) => {
    if (differs(now, before, "language")) {
      byId("sheet-axis").replaceChildren(...[...Object.keys(AXES), "preset"].map((axis) => h("option", { value: axis }, axis === "preset" ? t("ways.title") : named("options", axis, axis))));
    }
    const painting = methodOf(now.draft) === "style";
    show(byId("sheet-tools"), painting && now.draft.content && now.draft.styles.length);
    /** @type {any} */ (byId("sheet-make")).disabled = now.sending !== null || lacks(now.draft) !== null;
    show(byId("sheet"), now.sheet);
    if (differs(now, before, "sheet", "jobs", "language")) render(now);
  });
}

/** @param {string} axis */
async function make(axis) {
  const { draft } = state;
  const { content } = draft;
  if (!content || state.sending || lacks(draft)) return;
  if (state.sheet) close();
  const final = finalSize(state);
  const smaller = final ? SIZE / Math.max(final.width, final.height) : 1;
  const cells = axis === "preset"
    ? state.choices.presets.filter((/** @type {any} */ one) => !SLOW.includes(one.name)).map((/** @type {any} */ one) => ({ label: named("presets", one.name, one.name), changes: {}, preset: one.name }))
    : AXES[axis].map((value) => ({ label: String(value), changes: { [axis]: value }, preset: "" }));
  const made = await submit(cells.map((/** @type {any} */ cell) => {
    const options = { ...wanted(draft), ...cell.changes, size: SIZE, effort: "quick" };
    if (cell.preset) options.preset = cell.preset;
    // Strokes are as large beside the picture as they will be.
    if (typeof options.style_scale === "number") options.style_scale = Math.min(8, Math.max(0.02, options.style_scale * smaller));
    return { method: methodOf(draft), picture: content, form: formOf(draft, content, options) };
  }), false);
  if (!made.length) return;
  update({ sheet: { axis, cells: made.map((job, index) => ({ ...cells[index], job: job.id })) } });
  byId("stage").scrollIntoView({ block: "nearest" });
}

function close() {
  for (const cell of state.sheet?.cells ?? []) forget(cell.job);
  update({ sheet: null });
}

/** @param {import("./store.js").State} now */
function render(now) {
  const { sheet } = now;
  const key = sheet ? JSON.stringify(sheet.cells.map(({ job }) => [job, now.jobs.get(job)?.status, now.jobs.get(job)?.preview])) : "";
  if (key === drawn || !sheet) { drawn = key; return; }
  drawn = key;
  byId("sheet-title").textContent = sheet.axis === "preset" ? t("ways.title") : named("options", sheet.axis, sheet.axis);
  const grid = byId("sheet-cells");
  if (sheet.cells.some((cell, index) => /** @type {any} */ (grid.children[index])?.dataset.cell !== cell.job) || grid.children.length !== sheet.cells.length) {
    grid.replaceChildren(...sheet.cells.map((cell) => h("button", { type: "button", "data-cell": cell.job, "aria-label": t("sheet.pick", { value: cell.label }), onclick: () => {
      if (cell.preset) choosePreset(cell.preset);
      for (const [name, value] of Object.entries(cell.changes)) change(name, value);
      close();
      byId("go").focus();
    } }, h("img", { alt: "" }), h("span", {}, cell.label), h("span", { class: "hint" }))));
  }
  for (const cell of sheet.cells) fill(first(`[data-cell="${cell.job}"]`, grid), now.jobs.get(cell.job));
}

/**
 * @param {HTMLElement} cell
 * @param {import("./store.js").Job | undefined} job
 */
async function fill(cell, job) {
  if (!job) return;
  first(".hint", cell).textContent = job.status === "done" ? "" : t(`status.${job.status}`);
  const ended = !OPEN.includes(job.status);
  const path = ended && job.result ? "result?format=jpeg&longest=256" : job.preview > 0 && !ended ? "preview" : "";
  if (!path) return;
  const key = `${job.id} ${ended || job.preview}`;
  if (!fetched.has(key)) fetched.set(key, blob(`/v1/jobs/${job.id}/${path}`).catch(() => null));
  const data = await fetched.get(key);
  if (data) picture(first("img", cell), data);
}
