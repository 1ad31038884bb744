// One picture: fitted or zoomed in, dragging while large, keys for what the links and buttons do.

import "./rk-acts.js";
import { writing } from "./rk-frame.js";
import { element, toast } from "./rk-net.js";

element("rk-viewer", (host) => {
  const stage = host.querySelector('[data-part="stage"]');
  const picture = host.querySelector('[data-part="picture"]');
  const button = host.querySelector("[data-zoom]");
  if (!(stage instanceof HTMLElement) || !(picture instanceof HTMLImageElement) || !(button instanceof HTMLElement)) return;

  /** @param {number} x 0 to 1, the point that stays in the middle @param {number} y */
  function zoom(x, y) {
    const large = stage?.classList.toggle("large") ?? false;
    button?.setAttribute("aria-pressed", String(large));
    if (!large || !stage) return;
    stage.scrollLeft = x * stage.scrollWidth - stage.clientWidth / 2;
    stage.scrollTop = y * stage.scrollHeight - stage.clientHeight / 2;
  }

  button.addEventListener("click", () => zoom(0.5, 0.5));
  picture.addEventListener("dblclick", (event) => zoom(event.offsetX / picture.clientWidth, event.offsetY / picture.clientHeight));
  drag(stage);

  /** @type {Record<string, string>} */
  const keys = { z: "[data-zoom]", d: ".bar a[data-download]", Delete: "form[data-trash] button" };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || writing(event.target) || document.querySelector("dialog[open]")) return;
    if (stage.classList.contains("large") && event.key.startsWith("Arrow")) return;
    const target = host.querySelector(keys[event.key] ?? `[data-key="${CSS.escape(event.key)}"]`);
    if (!(target instanceof HTMLElement)) return;
    event.preventDefault();
    target.click();
  });

  host.addEventListener("click", (event) => {
    const copy = event.target instanceof Element ? event.target.closest("[data-copy]") : null;
    const text = document.getElementById(copy?.getAttribute("data-copy") ?? "")?.textContent;
    if (text) void navigator.clipboard.writeText(text).then(() => toast("Prompt copied"), () => toast("The browser did not allow copying.", { tone: "bad" }));
  });
  host.querySelector('.strip [aria-current="true"]')?.scrollIntoView({ inline: "center", block: "nearest" });
});

/** Pulls a large picture around. @param {HTMLElement} stage */
function drag(stage) {
  stage.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button || !stage.classList.contains("large")) return;
    event.preventDefault();
    stage.setPointerCapture(event.pointerId);
    const from = { x: event.clientX + stage.scrollLeft, y: event.clientY + stage.scrollTop };
    /** @param {PointerEvent} move */
    const pull = (move) => { stage.scrollLeft = from.x - move.clientX; stage.scrollTop = from.y - move.clientY; };
    stage.addEventListener("pointermove", pull);
    stage.addEventListener("pointerup", () => stage.removeEventListener("pointermove", pull), { once: true });
  });
}
