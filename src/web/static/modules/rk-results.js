// The generation cards: new ones appear, running ones move on, ended ones are swapped for what the
// server renders. The same on a second device, because it follows the events and not the click.

import { listen } from "./rk-events.js";
import { element, fragment, motion, say } from "./rk-net.js";
import { isLive, patch } from "./rk-progress.js";

/** @typedef {import("./rk-events.js").Generation} Generation */

element("rk-results", (host) => {
  const list = host.querySelector("section");
  if (!(list instanceof HTMLElement)) return;
  /** @type {Set<string>} */
  const loading = new Set();
  /** What was just asked for here, until its card is seen. */
  let asked = "";

  /** @param {string} id */
  const find = (id) => list.querySelector(`[data-gen="${CSS.escape(id)}"]`);

  /** Whoever asks sees that it was heard, however far the page is scrolled. @param {Element | null} card */
  const reveal = (card) => {
    if (!(card instanceof HTMLElement) || card.dataset.gen !== asked) return;
    asked = "";
    const { top } = card.getBoundingClientRect();
    if (top < 0 || top > innerHeight) card.scrollIntoView({ behavior: motion() });
  };

  /** @param {string} id @param {HTMLElement} card */
  const swap = async (id, card) => {
    const old = find(id);
    await ready(card);
    const held = old?.contains(document.activeElement) ?? false;
    if (old) {
      old.replaceWith(card);
      if (!isLive(card.dataset.state)) card.classList.add("fresh");
    } else if (!("only" in list.dataset)) {
      list.querySelector('[data-part="empty"]')?.remove();
      list.prepend(card);
      reveal(card);
    }
    if (held) { card.tabIndex = -1; card.focus({ preventScroll: true }); }
    if (old && !isLive(card.dataset.state)) say(card.querySelector("h2")?.textContent ?? "");
  };

  /** @param {string} id */
  async function refresh(id) {
    if (loading.has(id)) return;
    loading.add(id);
    try {
      const card = (await fragment(`/studio/generations/${id}`)).querySelector("[data-gen]");
      if (card instanceof HTMLElement) await swap(id, card);
    } catch {
      // The next event or reload brings it; an error here has nothing to say to anybody.
    } finally {
      loading.delete(id);
    }
  }

  listen((generation, here) => {
    if (!generation) {
      for (const card of list.querySelectorAll("[data-gen]")) {
        if (card instanceof HTMLElement && isLive(card.dataset.state)) void refresh(card.dataset.gen ?? "");
      }
      return;
    }
    if (here) asked = generation.id;
    const card = find(generation.id);
    reveal(card);
    if (card instanceof HTMLElement && card.dataset.state === generation.state) patch(card, generation);
    else if (card || (isLive(generation.state) && !("only" in list.dataset))) void again(generation);
  });

  // An event that comes while its card is being fetched asks for one more look.
  /** @param {Generation} generation */
  async function again(generation) {
    while (loading.has(generation.id)) await new Promise((wake) => setTimeout(wake, 80));
    const card = find(generation.id);
    if (card instanceof HTMLElement && card.dataset.state === generation.state) return;
    await refresh(generation.id);
  }
});

/** Waits for the pictures of a card, so that it replaces the old one in a single step. @param {HTMLElement} card */
async function ready(card) {
  const decoded = [...card.querySelectorAll("img")].slice(0, 8).map((image) => {
    image.loading = "eager";
    return image.decode().catch(() => undefined);
  });
  await Promise.race([Promise.all(decoded), new Promise((wake) => setTimeout(wake, 2500))]);
}
