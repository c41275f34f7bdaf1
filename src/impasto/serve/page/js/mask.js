// The masks of a job: which one is painted, and where it is kept.

import { byId, complain } from "./dom.js";
import { editMask } from "./mask_dialog.js";
import { on, state, tell } from "./state.js";
import { t } from "./texts.js";

const KINDS = ["protect", "keep"];

export function start() {
  for (const kind of KINDS) byId(`mask-${kind}`).addEventListener("click", () => open({ kind }));
  on("mask", open);
}

// kind: "protect", "keep" or "region"; a region belongs to a style.
async function open({ kind, index }) {
  const style = state.styles[index];
  const masks = [
    ...state.styles.map((one) => ({ of: one, name: one.file.name, mask: one.region })),
    ...KINDS.map((one) => ({ of: one, name: t(`mask.title.${one}`), mask: state.masks[one] })),
  ];
  const mine = style ?? kind;
  try {
    const mask = await editMask({
      picture: state.content,
      mask: masks.find((one) => one.of === mine).mask,
      title: t(`mask.title.${kind}`),
      hint: t(`mask.hint.${kind}`),
      others: masks.filter((one) => one.of !== mine && one.mask),
    });
    if (style) style.region = mask;
    else state.masks[kind] = mask;
  } catch {
    complain(t("mask.unreadable", { name: state.content.name }));
  }
  tell(style ? "styles" : "masks");
}

export function marks() {
  for (const kind of KINDS) byId(`mask-${kind}`).setAttribute("aria-pressed", String(Boolean(state.masks[kind])));
}
