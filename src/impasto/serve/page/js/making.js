// @ts-check
// What Paint makes: a painting, a texture or a fitted model.

import { byId, first, h, show } from "./dom.js";
import { methodOf } from "./settings.js";
import { differs, edit, state, watch } from "./store.js";
import { t } from "./texts.js";

/** @typedef {import("./store.js").Making} Making */

/** @type {Making[]} */
const ALL = ["painting", "texture", "model"];

/** @param {Making} making */
function choose(making) {
  if (making !== state.draft.making) edit({ making });
  first(`[data-making=${making}]`).focus();
}

/** @param {KeyboardEvent} event */
function keys(event) {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  choose(ALL[(ALL.indexOf(state.draft.making) + by + ALL.length) % ALL.length]);
}

export function start() {
  const box = byId("making");
  box.addEventListener("keydown", keys);
  box.replaceChildren(...ALL.map((one) => h("button", { type: "button", class: "small", role: "radio", "data-making": one, onclick: () => choose(one) })));
  watch((now, before) => {
    const method = methodOf(now.draft);
    document.documentElement.dataset.method = method;
    if (!differs(now, before, "draft", "language")) return;
    for (const one of ALL) {
      const button = first(`[data-making=${one}]`);
      const checked = one === now.draft.making;
      button.textContent = t(`making.${one}`);
      button.setAttribute("aria-checked", String(checked));
      button.tabIndex = checked ? 0 : -1;
    }
    const hint = now.draft.mode === "style" && now.draft.making !== "painting" ? t(`making.hint.${now.draft.making}`) : method === "film" || method === "denoise-clip" ? t(`making.hint.${method}`) : "";
    byId("making-hint").textContent = hint;
    show(byId("making-hint"), hint);
  });
}
