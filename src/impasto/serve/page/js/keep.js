// @ts-check
// What survives a reload: pictures in the browser's database, settings in its storage; those of a few tabs, no more.

import { differs, state, update, watch } from "./store.js";

const TABS = 4; // whose pictures are kept
const MOST = 512 * 2 ** 20; // bytes of a tab's pictures
const tab = sessionStorage.getItem("impasto-tab") ?? crypto.getRandomValues(new Uint32Array(2)).join("");
sessionStorage.setItem("impasto-tab", tab);

/** @returns {Promise<IDBDatabase>} */
function open() {
  return new Promise((done, fail) => {
    const request = indexedDB.open("impasto", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("pictures", { keyPath: "tab" });
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error);
  });
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
const ended = (request) => new Promise((done, fail) => {
  request.onsuccess = () => done(request.result);
  request.onerror = () => fail(request.error);
});

/** @param {string} key */
const stored = (key) => {
  try { return JSON.parse(sessionStorage.getItem(key) ?? localStorage.getItem(key) ?? "null"); } catch { return null; }
};

/** Take up what was there before. */
export async function restore() {
  const settings = stored("impasto-settings") ?? {};
  const stars = stored("impasto-stars");
  const draft = { ...state.draft };
  if (["style", "denoise", "reconstruct"].includes(settings.mode)) draft.mode = settings.mode;
  if (["painting", "texture", "model"].includes(settings.making)) draft.making = settings.making;
  if (state.choices.presets.some((/** @type {any} */ one) => one.name === settings.preset)) draft.preset = settings.preset;
  for (const mode of Object.keys(draft.changed)) {
    const known = state.choices.recipes[mode]?.properties ?? {};
    const kept = Object.entries(settings.changed?.[mode] ?? {}).filter(([name]) => name in known);
    draft.changed = { ...draft.changed, [mode]: Object.fromEntries(kept) };
  }
  // A new tab begins with the last settings, and with pictures of its own.
  if (settings.pictures && sessionStorage.getItem("impasto-settings")) {
    try {
      const database = await open();
      const record = await ended(database.transaction("pictures").objectStore("pictures").get(tab));
      database.close();
      if (record) Object.assign(draft, record.pictures);
    } catch { /* a private window without a database */ }
  }
  update({ draft, shares: settings.shares ?? {}, stars: Array.isArray(stars) ? stars : [] });
}

const picturesOf = (/** @type {import("./store.js").Draft} */ { content, more, styles, model, masks, init }) => ({ content, more, styles, model, masks, init });

let busy = false;
let again = false;

async function keep() {
  again = true;
  if (busy) return;
  busy = true;
  while (again) {
    again = false;
    await write();
  }
  busy = false;
}

async function write() {
  const pictures = picturesOf(state.draft);
  const files = [pictures.content, ...pictures.more, pictures.init, pictures.model, ...pictures.styles.map((one) => one.picture)];
  const size = files.reduce((sum, one) => sum + (one?.file.size ?? 0), 0);
  try {
    const database = await open();
    const store = database.transaction("pictures", "readwrite").objectStore("pictures");
    const all = await ended(store.getAll());
    const old = all.filter((one) => one.tab !== tab).sort((a, b) => b.when - a.when).slice(TABS - 1);
    for (const one of old) store.delete(one.tab);
    if (size <= MOST) await ended(store.put({ tab, when: Date.now(), pictures }));
    else await ended(store.delete(tab));
    database.close();
  } catch { /* no room: the page works without */ }
}

export function start() {
  watch((now, before) => {
    if (!before) return;
    if (now.draft !== before.draft || now.shares !== before.shares) {
      const { mode, making, preset, changed } = now.draft;
      const shares = Object.fromEntries(Object.entries(now.shares).slice(-50));
      const text = JSON.stringify({ mode, making, preset, changed, shares, pictures: true });
      try {
        sessionStorage.setItem("impasto-settings", text);
        localStorage.setItem("impasto-settings", text);
      } catch { /* no room */ }
    }
    if (differs(now, before, "stars")) localStorage.setItem("impasto-stars", JSON.stringify(now.stars.slice(-2000)));
    const [one, other] = [picturesOf(now.draft), picturesOf(before.draft)];
    if (Object.keys(one).some((name) => /** @type {any} */ (one)[name] !== /** @type {any} */ (other)[name])) {
      keep();
    }
  });
}

