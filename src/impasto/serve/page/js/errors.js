// @ts-check
// What went wrong, in the reader's language, and at the field where it did.

import { methodOf } from "./settings.js";
import { state, update } from "./store.js";
import { language, matched, named, t } from "./texts.js";

/** @param {import("./api.js").ApiError} error */
export function fail(error) {
  if (error.status === 401 || error.name === "AbortError") return;
  const text = error.unreachable ? t("gone") : error.status === 429 ? t("errors.full", { after: error.after ?? 10 }) : explain(error.message, error.code);
  update({ error: { text, field: error.field ?? fieldOf(error.message) } });
}

/** @param {string} text */
export const complain = (text) => update({ error: { text, field: null } });
export const quiet = () => { if (state.error) update({ error: null }); };
/** @param {string} said */
export const say = (said) => update({ said });

/**
 * A sentence of the server in the reader's language, with the page's words for what the API calls in back-ticks.
 * @param {string} sentence
 * @param {string} code of the refusal, whose words are less exact
 */
export function explain(sentence, code = "") {
  const spoken = matched("refusals", sentence) ?? (named("problems", code, "") || null);
  const words = (spoken ?? sentence).replace(/`([^`]+)`/g, (_, name) => wordOf(name));
  // Without words of its own the page says that it is the server's sentence, which is English.
  return spoken === null && language !== "en" ? t("errors.server", { sentence: words }) : words;
}

/** @param {string} name */
function wordOf(name) {
  const [kind, number] = name.split(/[-_]/);
  if (number && named("roles", kind, "")) return `${named("roles", kind, "")} ${number}`;
  const quotes = language === "zh" ? ["“", "”"] : ["“", "”"];
  return named("roles", name, "") || `${quotes[0]}${named("options", name, name)}${quotes[1]}`;
}

/** The option that a sentence begins with. @param {string} sentence */
function fieldOf(sentence) {
  const name = sentence.match(/^`([a-z_]+)`/)?.[1];
  return name && name in (state.choices?.recipes[methodOf()]?.properties ?? {}) ? name : null;
}
