// Acts that exist on several pages: cancel and retry, trash with undo, downloads that show progress.
// Each is a plain form or link without this file.

import { emit } from "./rk-events.js";
import { busy, complain, icon, make, newKey, plural, send, signedOut, toast } from "./rk-net.js";

/** @typedef {{item: Element, parent: Node, next: Node | null}} Taken */

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement)) return;
  if (form.dataset.act) {
    event.preventDefault();
    void actOn(form);
  } else if (form.dataset.trash) {
    event.preventDefault();
    void busy(form.querySelector("button"), () => trashOne(form, form.dataset.trash ?? ""));
  }
});

/** @param {HTMLFormElement} form */
async function actOn(form) {
  const address = (form.getAttribute("action") ?? "").replace("/studio/", "/api/v1/");
  const key = form.dataset.act === "retry" ? newKey() : "";
  await busy(form.querySelector("button"), async () => {
    try { emit(await send("POST", address, { key }), form.dataset.act === "retry"); } catch (error) { complain(error); }
  });
}

/** @param {HTMLFormElement} form @param {string} id */
async function trashOne(form, id) {
  const then = form.dataset.then;
  if (!then) return trash([id], [...document.querySelectorAll(`.tile[data-asset="${CSS.escape(id)}"]`)]);
  try {
    await send("DELETE", `/api/v1/assets/${id}`);
    sessionStorage.setItem("rk.trashed", id);
    location.assign(then);
  } catch (error) { complain(error); }
}

/**
 * Moves pictures to the trash and offers to take it back.
 * @param {string[]} ids @param {Element[]} items their tiles, which leave at once and return on undo
 */
export async function trash(ids, items) {
  const done = await each(ids, (id) => send("DELETE", `/api/v1/assets/${id}`));
  if (!done.length) return;
  const taken = take(items.filter((item) => done.includes(item.getAttribute("data-asset") ?? "")));
  toast(done.length === 1 ? "Moved to trash" : `${plural(done.length, "picture")} moved to trash`, {
    act: { label: "Undo", run: () => void restore(done).then((back) => back.length && giveBack(taken)) },
  });
}

/** Brings pictures back; gives the ids that came. @param {string[]} ids */
export const restore = (ids) => each(ids, (id) => send("POST", `/api/v1/assets/${id}/restore`));

/**
 * Four at a time; a failure is told once and stops nothing else.
 * @param {string[]} ids @param {(id: string) => Promise<unknown>} work @returns {Promise<string[]>} what succeeded
 */
export async function each(ids, work) {
  const waiting = [...ids];
  /** @type {string[]} */
  const done = [];
  /** @type {unknown} */
  let failed;
  await Promise.all(Array.from({ length: 4 }, async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
      try { await work(id); done.push(id); } catch (error) { failed = error; }
    }
  }));
  if (failed) complain(failed);
  return done;
}

/** @param {Element[]} items @returns {Taken[]} */
export function take(items) {
  const taken = items.flatMap((item) => (item.parentNode ? [{ item, parent: item.parentNode, next: item.nextSibling }] : []));
  const focused = items.some((item) => item.contains(document.activeElement));
  const after = items.at(-1)?.nextElementSibling ?? items[0]?.previousElementSibling;
  for (const { item } of taken) item.remove();
  if (focused) after?.querySelector("a")?.focus();
  document.dispatchEvent(new Event("rk:tiles"));
  return taken;
}

/** @param {Taken[]} taken */
function giveBack(taken) {
  for (const { item, parent, next } of taken.reverse()) {
    parent.insertBefore(item, next?.parentNode === parent ? next : null);
    const box = item.querySelector('input[type="checkbox"]');
    if (box instanceof HTMLInputElement) box.checked = false;
  }
  document.dispatchEvent(new Event("rk:tiles"));
}

// A picture trashed on its own page: the undo waits on the page that came after.
const trashed = sessionStorage.getItem("rk.trashed");
if (trashed) {
  sessionStorage.removeItem("rk.trashed");
  toast("Moved to trash", { act: { label: "Undo", run: () => void restore([trashed]).then((back) => back.length && location.reload()) } });
}

document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[data-download]") : null;
  if (!(link instanceof HTMLAnchorElement) || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  void download(link);
});

/** Saves a file and shows how far it is once it takes longer than a moment. @param {HTMLAnchorElement} link */
async function download(link) {
  const name = link.download || "picture";
  const bar = make("progress", { max: "1", "aria-label": `Download of ${name}` });
  const box = make("div", { class: "toast info" }, icon("download"), make("span", {}, name), bar);
  const timer = setTimeout(() => document.getElementById("toasts")?.append(box), 500);
  try {
    const answer = await fetch(link.href, { credentials: "same-origin" });
    if (answer.status === 401) throw signedOut();
    if (!answer.ok || !answer.body) throw new Error(`${name} could not be downloaded. Nothing was changed.`);
    save(await collect(answer, answer.body, bar), name);
  } catch (error) {
    complain(error instanceof TypeError ? "The connection broke. Start the download again." : error);
  } finally {
    clearTimeout(timer);
    box.remove();
  }
}

/** @param {Response} answer @param {ReadableStream<Uint8Array<ArrayBuffer>>} body @param {HTMLProgressElement} bar */
async function collect(answer, body, bar) {
  const total = Number(answer.headers.get("Content-Length") ?? 0);
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const parts = [];
  let got = 0;
  const reader = body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    got += part.value.length;
    if (total) bar.value = got / total;
  }
  return new Blob(parts, { type: answer.headers.get("Content-Type") ?? "" });
}

/** @param {Blob} blob @param {string} name */
function save(blob, name) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
