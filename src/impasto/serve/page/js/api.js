// Asking the server. The token comes with the address, behind the #, and goes with every request.

import { byId } from "./dom.js";

const KEY = "impasto-token";

function fromAddress() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (found) {
    localStorage.setItem(KEY, found);
    history.replaceState(null, "", location.pathname);
  }
}
fromAddress();
addEventListener("hashchange", () => { fromAddress(); });

export async function ask(path, init = {}) {
  let answer;
  const headers = { ...init.headers, authorization: `Bearer ${localStorage.getItem(KEY) ?? ""}` };
  try {
    answer = await fetch(path, { ...init, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw Object.assign(new Error("unreachable"), { unreachable: true });
  }
  if (answer.ok) return answer;
  if (answer.status === 401 && !byId("token-dialog").open) byId("token-dialog").showModal();
  let detail = `${answer.status} ${answer.statusText}`;
  try { detail = (await answer.json()).detail ?? detail; } catch { /* no JSON: the status says it */ }
  const after = Number(answer.headers.get("retry-after")) || null;
  throw Object.assign(new Error(detail), { status: answer.status, after });
}

export const json = async (path, init) => (await ask(path, init)).json();
export const blob = async (path, init) => (await ask(path, init)).blob();

byId("token-use").addEventListener("click", () => {
  localStorage.setItem(KEY, byId("token").value.trim());
  location.reload();
});

// Server-sent events, read by hand: EventSource cannot carry the token.
export async function follow(heard, changed) {
  let patience = 500;
  for (;;) {
    try {
      const answer = await ask("/v1/events");
      changed(true);
      patience = 500;
      await read(answer.body, heard);
    } catch (error) {
      if (error.status === 401) return;
    }
    changed(false);
    await new Promise((done) => setTimeout(done, patience));
    patience = Math.min(patience * 2, 8000);
  }
}

async function read(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const kind = part.match(/^event: (.*)$/m);
      const data = part.match(/^data: (.*)$/m);
      if (kind && data) heard(kind[1], JSON.parse(data[1]));
    }
  }
}

export async function download(path) {
  const answer = await ask(path);
  const said = answer.headers.get("content-disposition") ?? "";
  const star = said.match(/filename\*=UTF-8''([^;]+)/);
  const url = URL.createObjectURL(await answer.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = star ? decodeURIComponent(star[1]) : "impasto";
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 30000);
}
