// @ts-check
import { t } from "./texts.js";

/** A diagnosis in plain words. @param {any} found */
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
