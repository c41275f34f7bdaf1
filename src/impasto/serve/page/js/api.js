// @ts-check
// Asking the server. The token comes with the address, behind the #, and goes with every request.

import { update } from "./store.js";

const KEY = "impasto-token";

/** @typedef {Error & {status?: number, after?: number | null, unreachable?: boolean, code?: string, field?: string}} ApiError */

function fromAddress() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (found) {
    localStorage.setItem(KEY, found);
    history.replaceState(null, "", location.pathname);
  }
}
fromAddress();
addEventListener("hashchange", fromAddress);

/** @param {string} token */
export function useToken(token) {
  localStorage.setItem(KEY, token.trim());
  location.reload();
}

const bearer = () => `Bearer ${localStorage.getItem(KEY) ?? ""}`;
const unreachable = () => Object.assign(new Error("unreachable"), { unreachable: true });

/**
 * @param {number} status
 * @param {string} text
 * @param {string | null} after
 * @returns {ApiError}
 */
function refused(status, text, after) {
  if (status === 401) update({ tokenAsked: true });
  /** @type {any} */
  let body = {};
  try { body = JSON.parse(text); } catch { /* no JSON: the status says it */ }
  const sentence = typeof body.detail === "string" ? body.detail : String(status);
  return Object.assign(new Error(sentence), { status, after: Number(after) || null, code: body.code, field: body.field });
}

/**
 * @param {string} path
 * @param {RequestInit} init
 */
export async function ask(path, init = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...init, headers: { ...init.headers, authorization: bearer() } });
  } catch (error) {
    if (/** @type {Error} */ (error).name === "AbortError") throw error;
    throw unreachable();
  }
  if (answer.ok) return answer;
  throw refused(answer.status, await answer.text().catch(() => ""), answer.headers.get("retry-after"));
}

export const json = async (/** @type {string} */ path, init = {}) => (await ask(path, init)).json();
export const blob = async (/** @type {string} */ path, init = {}) => (await ask(path, init)).blob();

/**
 * Send a form, and say how much of it has gone; `fetch` does not.
 * @param {string} path
 * @param {FormData} form
 * @param {(share: number) => void} heard
 * @returns {Promise<any>} the JSON of the answer
 */
export function send(path, form, heard) {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.setRequestHeader("authorization", bearer());
    request.upload.onprogress = (event) => { if (event.lengthComputable) heard(event.loaded / event.total); };
    request.onerror = () => fail(unreachable());
    request.onload = () => {
      if (request.status < 300) done(JSON.parse(request.responseText));
      else fail(refused(request.status, request.responseText, request.getResponseHeader("retry-after")));
    };
    request.send(form);
  });
}

/**
 * Server-sent events, read by hand: EventSource cannot carry the token. Ends when `signal` says so.
 * @param {(kind: string, data: any) => void} heard
 * @param {(reachable: boolean) => void} changed
 * @param {AbortSignal} signal
 */
export async function follow(heard, changed, signal) {
  let patience = 500;
  while (!signal.aborted) {
    try {
      const answer = await ask("/v1/events", { signal });
      changed(true);
      patience = 500;
      if (answer.body) await read(answer.body, heard);
    } catch (error) {
      if (signal.aborted || /** @type {ApiError} */ (error).status === 401) return;
    }
    if (signal.aborted) return;
    changed(false);
    await new Promise((done) => setTimeout(done, patience));
    patience = Math.min(patience * 2, 8000);
  }
}

/**
 * @param {ReadableStream} body
 * @param {(kind: string, data: any) => void} heard
 */
async function read(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      const kind = part.match(/^event: (.*)$/m);
      const data = part.match(/^data: (.*)$/m);
      if (kind && data) heard(kind[1], JSON.parse(data[1]));
    }
  }
}

/** @param {string} path */
export async function download(path) {
  const answer = await ask(path);
  const said = answer.headers.get("content-disposition") ?? "";
  const star = said.match(/filename\*=UTF-8''([^;]+)/);
  save(await answer.blob(), star ? decodeURIComponent(star[1]) : "impasto");
}

/**
 * @param {Blob} data
 * @param {string} name
 */
export function save(data, name) {
  const url = URL.createObjectURL(data);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 30000);
}
