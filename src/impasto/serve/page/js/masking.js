// @ts-check
// The one place that opens the mask tool.

import { editMask } from "./state.js";
import { bitmapOf } from "./pictures.js";
import { edit, state } from "./store.js";
import { t } from "./texts.js";

/** @param {import("./store.js").Picture | null} content */
export const MASKABLE = (content) => Boolean(content?.thumb);

/**
 * @param {"protect" | "keep" | "region"} kind
 * @param {number} index of the style that a region belongs to
 */
export async function paintMask(kind, index = 0) {
  const { content, masks, styles } = state.draft;
  if (!content) return;
  const others = kind === "region" ? styles.filter((_, at) => at !== index).map((one) => one.region) : Object.entries(masks).filter(([name]) => name !== kind).map(([, one]) => one);
  const before = kind === "region" ? styles[index].region : masks[kind];
  const found = await editMask({ kind, picture: await bitmapOf(content.file), mask: before, others: others.filter(Boolean), title: t(`mask.title.${kind}`), hint: t(`mask.hint.${kind}`) });
  if (found === undefined) return; // closed without a word
  if (kind === "region") edit({ styles: state.draft.styles.map((one, at) => (at === index ? { ...one, region: found } : one)) });
  else edit({ masks: { ...state.draft.masks, [kind]: found } });
}
