// @ts-check
// The one place that opens the mask tool, which is loaded when it is first wanted.

import { fail } from "./errors.js";
import { bitmapOf } from "./pictures.js";
import { edit, state } from "./store.js";
import { t } from "./texts.js";

/** editMask({picture, mask, others: [{name, mask}], title, hint}) -> the mask, or null if it is black all over */
const TOOL = "./state.js"; // not a literal: it has no types to check

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
      kind, mask: before, picture: await bitmapOf(content.file), title: t(`mask.title.${kind}`), hint: t(`mask.hint.${kind}`),
      others: all.filter((one) => !one.own && one.mask).map(({ name, mask: other }) => ({ name, mask: other })),
    });
    if (mask === before || state.draft.content !== content) return;
    if (region) edit({ styles: state.draft.styles.map((one, at) => (at === index ? { ...one, region: mask } : one)) });
    else edit({ masks: { ...state.draft.masks, [kind]: mask } });
  } catch (error) {
    fail(/** @type {Error} */ (error));
  }
}
