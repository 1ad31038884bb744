// The queue chip and its tray: what runs and waits, on every page.

import { listen } from "./rk-events.js";
import { element, fragment } from "./rk-net.js";
import { patch } from "./rk-progress.js";

element("rk-queue", (host) => {
  const tray = host.querySelector("#tray");
  const chip = document.getElementById("queue-chip");
  if (!(tray instanceof HTMLElement) || !chip) return;
  /** @type {Map<string, string>} */
  const states = new Map();
  let timer = 0;

  /** @param {number} running @param {number} waiting */
  const count = (running, waiting) => {
    const parts = [running && `${running} running`, waiting && `${waiting} waiting`].filter(Boolean);
    chip.setAttribute("aria-label", parts.length ? `Queue: ${parts.join(", ")}` : "Queue");
    const number = chip.querySelector("[data-queue-count]");
    const word = chip.querySelector("[data-queue-word]");
    if (number) number.textContent = running || waiting ? String(running || waiting) : "";
    if (word) word.textContent = running ? "running" : waiting ? "waiting" : "Queue";
  };

  /** The focus stays with the work that it was on. @param {DocumentFragment} content */
  const show = (content) => {
    const focused = tray.contains(document.activeElement) ? document.activeElement : null;
    const job = focused?.closest(".job")?.getAttribute("data-gen");
    tray.replaceChildren(content);
    if (!focused) return;
    const again = job ? tray.querySelector(`[data-gen="${CSS.escape(job)}"] ${focused.localName}`) : null;
    (again instanceof HTMLElement ? again : chip).focus();
  };

  const refresh = async () => {
    timer = 0;
    try {
      const content = await fragment(tray.dataset.src ?? "");
      const head = content.querySelector("header");
      count(Number(head?.dataset.running ?? 0), Number(head?.dataset.waiting ?? 0));
      if (tray.matches(":popover-open")) show(content);
    } catch {
      // The chip keeps its last number; the page itself says when the server is away.
    }
  };

  const soon = () => { timer ||= window.setTimeout(refresh, 400); };

  tray.addEventListener("toggle", () => { if (tray.matches(":popover-open")) void refresh(); });
  listen((generation) => {
    if (!generation) return soon();
    if (states.get(generation.id) !== generation.state) {
      states.set(generation.id, generation.state);
      return soon();
    }
    const line = tray.querySelector(`[data-gen="${CSS.escape(generation.id)}"]`);
    if (line) patch(line, generation);
  });
});
