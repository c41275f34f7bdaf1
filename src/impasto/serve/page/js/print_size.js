// @ts-check
// The size on paper beside the size in pixels: centimeters at a resolution, either of which may be set.

import { h, show } from "./dom.js";
import { finalSize } from "./plan.js";
import { change } from "./settings.js";
import { state, update } from "./store.js";
import { t } from "./texts.js";

const KEY = "impasto-dpi";
const RESOLUTIONS = [72, 150, 200, 300, 600];
const INCH = 2.54; // cm

export const storedDpi = () => RESOLUTIONS.find((one) => String(one) === localStorage.getItem(KEY)) ?? 300;

/** @returns {{element: HTMLElement, sync: () => void}} */
export function printSize() {
  const longer = h("input", { type: "number", min: 0.1, step: 0.1, id: "print-cm", "aria-label": t("print.longer"), onchange: () => {
    const pixels = Math.round((Number(longer.value) / INCH) * state.dpi);
    if (pixels > 0) change("size", Math.max(16, pixels));
    else sync();
  } });
  const dpi = h("select", { id: "print-dpi", "aria-label": t("print.dpi"), onchange: () => {
    localStorage.setItem(KEY, dpi.value);
    update({ dpi: Number(dpi.value) });
  } }, ...RESOLUTIONS.map((one) => h("option", { value: String(one) }, `${one} dpi`)));
  const whole = h("span", { class: "hint" });
  const element = h("div", { class: "print" }, longer, h("span", {}, t("print.cm")), dpi, whole);
  const sync = () => {
    const size = finalSize(state);
    show(element, size);
    if (!size) return;
    const [width, height] = [size.width, size.height].map((side) => ((side / state.dpi) * INCH).toFixed(1));
    const value = size.width >= size.height ? width : height;
    if (longer !== document.activeElement || Math.abs(Number(longer.value) - Number(value)) > 0.1) longer.value = value;
    dpi.value = String(state.dpi);
    whole.textContent = t("print.whole", { width, height });
  };
  return { element, sync };
}
