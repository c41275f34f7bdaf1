// @ts-check
// What went wrong, in the reader's language, and at the field where it did.

import { methodOf } from "./settings.js";
import { state, update } from "./store.js";
import { language, matched, named, t } from "./texts.js";

/** @param {import("./api.js").ApiError} error */
export function fail(error) {
  if (error.status === 401 || error.name === "AbortError") return;
  const text = error.unreachable ? t("gone") : error.status === 429 ? t("errors.full", { after: error.after ?? 10 }) : refusal(error);
  update({ error: { text, field: error.field ?? fieldOf(error.message) } });
}

/** @param {string} text */
export const complain = (text) => update({ error: { text, field: null } });
export const quiet = () => { if (state.error) update({ error: null }); };
/** @param {string} said */
export const say = (said) => update({ said });

/**
 * A refusal, by its code; where its sentence says more, such as a range, in words made of that.
 * @param {import("./api.js").ApiError} error
 */
function refusal({ code = "", field, message }) {
  const general = named("problems", code, "").replace("{field}", () => wordOf(field ?? "request"));
  const words = matched(`details.${code}`, message) ?? general;
  return words ? capital(spoken(words)) : foreign(message);
}

/** Why a job failed: a sentence of the server, in the reader's language. @param {string} sentence */
export function explain(sentence) {
  const words = matched("reasons", sentence) ?? (language === "en" ? sentence : null);
  return words === null ? foreign(sentence) : spoken(words);
}

/** Without words of its own the page says that it is the server's sentence, which is English. @param {string} sentence */
const foreign = (sentence) => t("errors.server", { sentence: spoken(sentence) });
/** The page's words for what the API calls in back-ticks. @param {string} words */
const spoken = (words) => words.replace(/`([^`]+)`/g, (_, name) => wordOf(name));
/** @param {string} words */
const capital = (words) => words.charAt(0).toUpperCase() + words.slice(1);

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
