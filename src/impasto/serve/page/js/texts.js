// @ts-check
// What the page says, in the reader's language: one file per language.

/** @type {Record<string, string>} */
const OTHERS = { en: "zh", zh: "en" };
/** @type {any} */
let texts = {};
export let language = "en";

/** @param {string} wanted */
export async function speak(wanted) {
  language = wanted in OTHERS ? wanted : "en";
  const answer = await fetch(`/page/texts/${language}.json`);
  texts = await answer.json();
  localStorage.setItem("impasto-language", language);
}

export function usual() {
  return localStorage.getItem("impasto-language") || (navigator.language.startsWith("zh") ? "zh" : "en");
}

export const other = () => OTHERS[language];

/**
 * t("progress", {made: 3}): the text with {made} filled in; the key itself where there is none.
 * @param {string} key
 * @param {Record<string, any>} values
 * @returns {string}
 */
export function t(key, values = {}) {
  const found = key.split(".").reduce((part, name) => part?.[name], texts) ?? texts[key];
  if (typeof found !== "string") return key;
  return found.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/**
 * What an option or value is called; the schema's own words where the language has none.
 * @param {string} group
 * @param {string} key
 * @param {string} otherwise
 * @returns {string}
 */
export const named = (group, key, otherwise) => texts[group]?.[key] ?? otherwise;

/**
 * A sentence of the server, translated where the language has a pattern that it fits; null where it has none.
 * @param {string} group
 * @param {string} sentence
 * @returns {string | null}
 */
export function matched(group, sentence) {
  for (const [pattern, words] of Object.entries(group.split(".").reduce((part, name) => part?.[name], texts) ?? {})) {
    const match = sentence.match(new RegExp(`^${pattern}$`));
    if (match) return String(words).replace(/\{(\d)\}/g, (_, number) => match[number] ?? "");
  }
  return null;
}

/** A note on a file. @param {string} note */
export const noted = (note) => matched("notes", note) ?? note;

/** @param {ParentNode} root */
export function dress(root) {
  for (const one of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-t]"))) one.textContent = t(one.dataset.t ?? "");
  for (const one of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-t-label]"))) one.setAttribute("aria-label", t(one.dataset.tLabel ?? ""));
  for (const one of /** @type {NodeListOf<HTMLImageElement>} */ (root.querySelectorAll("[data-t-alt]"))) one.alt = t(one.dataset.tAlt ?? "");
  for (const one of /** @type {NodeListOf<HTMLInputElement>} */ (root.querySelectorAll("[data-t-hint]"))) one.placeholder = t(one.dataset.tHint ?? "");
}
