// @ts-check
// The one place that opens the mask tool, which is loaded when it is first wanted.

import { fail } from "./errors.js";
import { bitmapOf } from "./pictures.js";
import { CLIPS, sniff } from "./sniff.js";
import { edit, state } from "./store.js";
import { t } from "./texts.js";

/** editMask({picture, mask, others: [{name, mask}], title, hint}) -> the mask, or null if it is black all over */
const TOOL = "./mask_dialog.js"; // not a literal: it has no types to check

/** @param {import("./store.js").Picture | null} content */
export const MASKABLE = (content) => Boolean(content?.thumb);

/**
 * @param {"protect" | "keep" | "region"} kind
 * @param {number} index of the style that a region belongs to
 */
export async function paintMask(kind, index = 0) {
  const { content, masks, styles } = state.draft;
  if (!content) return;
  const region = kind === "region";
  const all = [
    ...styles.map((one, at) => ({ name: one.picture.name, mask: one.region, own: region && at === index })),
    ...Object.entries(masks).map(([name, mask]) => ({ name: t(`mask.title.${name}`), mask, own: name === kind })),
  ];
  const before = all.find((one) => one.own)?.mask ?? null;
  try {
    const { editMask } = await import(TOOL);
    const mask = await editMask({
      mask: before, picture: await decodable(content.file), title: t(`mask.title.${kind}`), hint: t(`mask.hint.${kind}`),
      others: all.filter((one) => !one.own && one.mask).map(({ name, mask: other }) => ({ name, mask: other })),
    });
    if (mask === before || state.draft.content !== content) return;
    if (region) edit({ styles: state.draft.styles.map((one, at) => (at === index ? { ...one, region: mask } : one)) });
    else edit({ masks: { ...state.draft.masks, [kind]: mask } });
  } catch (error) {
    fail(/** @type {Error} */ (error));
  }
}

/** The file, or a PNG of what browsers do not decode. @param {File} file @returns {Promise<File>} */
async function decodable(file) {
  const { kind } = await sniff(file);
  if (kind !== "tiff" && !CLIPS.includes(kind)) return file;
  const canvas = (CLIPS.includes(kind) && await (await import("./clips.js")).frame(file)) || document.createElement("canvas");
  if (kind === "tiff") {
    const bitmap = await bitmapOf(file);
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
    bitmap.close();
  }
  return new Promise((done) => canvas.toBlob((data) => done(new File(data ? [data] : [], file.name)), "image/png"));
}
