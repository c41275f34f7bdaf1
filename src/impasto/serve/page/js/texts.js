// What the page says, in the reader's language: one file per language.

const OTHERS = { en: "zh", zh: "en" };
let texts = {};
export let language = "en";

export async function speak(wanted) {
  language = wanted in OTHERS ? wanted : "en";
  const answer = await fetch(`/page/texts/${language}.json`);
  texts = await answer.json();
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  localStorage.setItem("impasto-language", language);
  dress(document);
}

export function usual() {
  return localStorage.getItem("impasto-language") || (navigator.language.startsWith("zh") ? "zh" : "en");
}

export const other = () => OTHERS[language];

// t("progress", {made: 3}): the text with {made} filled in; the key itself where there is none.
export function t(key, values = {}) {
  const found = key.split(".").reduce((part, name) => part?.[name], texts) ?? texts[key];
  if (typeof found !== "string") return key;
  return found.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

// What an option or value is called; the schema's own words where the language has none.
export function named(group, key, otherwise) {
  return texts[group]?.[key] ?? otherwise;
}

// A note on a file: translated where the language has a pattern that it fits.
export function noted(note) {
  for (const [pattern, words] of Object.entries(texts.notes ?? {})) {
    const match = note.match(new RegExp(`^${pattern}$`));
    if (match) return words.replace(/\{(\d)\}/g, (_, number) => match[number]);
  }
  return note;
}

export function dress(root) {
  for (const one of root.querySelectorAll("[data-t]")) one.textContent = t(one.dataset.t);
  for (const one of root.querySelectorAll("[data-t-label]")) one.setAttribute("aria-label", t(one.dataset.tLabel));
  for (const one of root.querySelectorAll("[data-t-alt]")) one.alt = t(one.dataset.tAlt);
  document.title = t("title");
}
