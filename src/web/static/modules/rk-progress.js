// How far a generation is, written into what the server made: no layout changes, no second template.

import { durationText, make } from "./rk-net.js";

/** @typedef {import("./rk-events.js").Generation} Generation */

const LIVE = new Set(["queued", "submitting", "running", "storing"]);

/** @param {string | undefined} state */
export const isLive = (state) => LIVE.has(state ?? "");

/** @param {Generation} generation */
function words(generation) {
  const place = generation.progress?.place;
  if (typeof place === "number") return `Place ${place} in the queue`;
  const step = generation.progress?.step ?? "";
  return step.charAt(0).toUpperCase() + step.slice(1).replaceAll("_", " ");
}

/**
 * Writes progress into a card or a line of the tray.
 * @param {Element} host @param {Generation} generation
 */
export function patch(host, generation) {
  const fraction = generation.progress?.fraction;
  const percent = typeof fraction === "number" ? Math.round(fraction * 100) : null;
  const text = words(generation);
  if (text) write(host, "words", text);
  if (percent !== null) write(host, "percent", `${percent} %`);
  const bar = host.querySelector('progress[data-part="bar"]');
  if (bar instanceof HTMLProgressElement && percent !== null) bar.value = percent;
  const spent = host.querySelector('[data-part="spent"]');
  if (spent instanceof HTMLElement && generation.started_at) spent.dataset.since = generation.started_at;
  const preview = generation.progress?.preview;
  if (preview) void showPreview(host, preview);
}

/** @param {Element} host @param {string} part @param {string} text */
function write(host, part, text) {
  const place = host.querySelector(`[data-part="${part}"]`);
  if (place && place.textContent !== text) place.textContent = text;
}

/** Only a decoded picture is shown, so that nothing flashes. @param {Element} host @param {string} address */
async function showPreview(host, address) {
  const tile = host.querySelector('[data-part="first"]');
  const shown = tile?.querySelector("img");
  if (!tile || shown?.getAttribute("src") === address) return;
  const next = make("img", { src: address, width: "320", height: "320", alt: "Preview, not finished", "data-part": "preview" });
  try { await next.decode(); } catch { return; }
  tile.classList.replace("wait", "preview");
  (tile.querySelector("img") ?? tile.querySelector(".skel"))?.replaceWith(next);
}

// Time spent goes on between the events.
setInterval(() => {
  if (document.hidden) return;
  for (const place of document.querySelectorAll("[data-since]")) {
    const since = Date.parse(place.getAttribute("data-since") ?? "");
    if (!Number.isNaN(since)) place.textContent = `${durationText((Date.now() - since) / 1000)} so far`;
  }
}, 1000);
