// The bridge to the mask tool as it was before it had an interface; goes with it.

import { dialog } from "./dom.js";

const listeners = new Map();
export const on = (what, listener) => listeners.set(what, listener);
export const tell = (what, data) => listeners.get(what)?.(data);
export const state = /** @type {any} */ ({ content: null, styles: [], masks: {} });

const OLD = "./mask.js"; // not a literal: the old tool has no types to check

/** @param {any} what */
export async function editMask({ kind, picture, mask }) {
  const old = await import(OLD);
  if (!listeners.has("mask")) { on("mask", () => {}); old.start(); }
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.width, picture.height];
  canvas.getContext("2d")?.drawImage(picture, 0, 0);
  const content = await new Promise((done) => canvas.toBlob(done));
  Object.assign(state, { content, styles: [{ region: mask }], masks: { [kind]: mask } });
  return new Promise((answer) => {
    let done = false;
    on("masks", () => { done = true; });
    on("styles", () => { done = true; });
    dialog("mask-dialog").addEventListener("close", () => setTimeout(() => answer(done ? (kind === "region" ? state.styles[0].region : state.masks[kind]) : mask)), { once: true });
    tell("mask", { kind, index: 0 });
  });
}
