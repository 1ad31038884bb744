// What every page does: theme, shortcuts, menus, relative times, fading toasts, the queue.

import { complain, csrf, fadeOut, isSignIn, signedOut } from "./rk-net.js";

// ---- theme: at once, and kept in the cookie that the server reads -----------------------------------
document.addEventListener("submit", (event) => {
  const form = event.target;
  const button = event.submitter;
  if (!(form instanceof HTMLFormElement) || !(button instanceof HTMLButtonElement) || button.name !== "theme") return;
  event.preventDefault();
  document.documentElement.dataset.theme = button.value;
  document.cookie = `__Host-rk_theme=${button.value}; Path=/; Max-Age=31536000; SameSite=Lax; Secure`;
  for (const other of form.querySelectorAll('button[name="theme"]')) {
    other.setAttribute("aria-pressed", String(other === button));
  }
});

// ---- signing out leaves nothing typed behind --------------------------------------------------------
document.addEventListener("submit", (event) => {
  if (event.target instanceof HTMLElement && "signOut" in event.target.dataset) sessionStorage.clear();
});

// ---- htmx sends the form token too ------------------------------------------------------------------
document.addEventListener("htmx:configRequest", (event) => {
  if (event instanceof CustomEvent && event.detail.verb !== "get") event.detail.headers["X-CSRF-Token"] = csrf();
});

document.addEventListener("htmx:beforeSwap", (event) => {
  if (!(event instanceof CustomEvent) || !isSignIn(event.detail.xhr.responseURL)) return;
  event.detail.shouldSwap = false;
  complain(signedOut());
});

// ---- dialogs in browsers without invoker commands ---------------------------------------------------
if (!("commandForElement" in HTMLButtonElement.prototype)) {
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button[commandfor]") : null;
    const dialog = document.getElementById(button?.getAttribute("commandfor") ?? "");
    if (!(dialog instanceof HTMLDialogElement)) return;
    button?.getAttribute("command") === "close" ? dialog.close() : dialog.showModal();
  });
}

// ---- a click beside a dialog or a folded menu closes it ---------------------------------------------
document.addEventListener("click", (event) => {
  const target = event.target;
  if (target instanceof HTMLDialogElement && target.matches(".dialog")) target.close();
  for (const menu of document.querySelectorAll("details.drop-menu[open]")) {
    if (target instanceof Node && (!menu.contains(target) || (target instanceof Element && target.closest(".menu a")))) menu.removeAttribute("open");
  }
});

// ---- shortcuts --------------------------------------------------------------------------------------
/** True while somebody writes. @param {EventTarget | null} target */
export const writing = (target) => target instanceof HTMLElement && (target.isContentEditable || target.matches("input:not([type=checkbox], [type=radio], [type=range]), textarea, select"));

/** @type {Record<string, string>} */
const PLACES = { s: "/studio", l: "/library", a: "/activity" };
let going = 0;

addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeMenu();
  if (event.ctrlKey || event.metaKey || event.altKey || writing(event.target) || document.querySelector("dialog[open]")) return;
  const place = PLACES[event.key];
  if (place && Date.now() - going < 1500 && document.querySelector(".rail")) location.assign(place);
  going = event.key === "g" ? Date.now() : 0;
  const list = document.getElementById("shortcuts");
  if (event.key === "?" && list instanceof HTMLDialogElement) {
    event.preventDefault();
    list.showModal();
  }
});

function closeMenu() {
  const menu = document.querySelector("details.drop-menu[open]");
  menu?.removeAttribute("open");
  menu?.querySelector("summary")?.focus();
}

// ---- a sheet beside a list: Escape closes it, and the focus goes back to its row -------------------
const OPENED = "rk.sheet";
const closer = document.querySelector("a[data-sheet-close]");

if (closer instanceof HTMLAnchorElement) {
  closer.addEventListener("click", () => sessionStorage.setItem(OPENED, location.pathname + location.search));
  addEventListener("keydown", (event) => {
    const above = document.querySelector("dialog[open], :popover-open, details.drop-menu[open]");
    if (event.key === "Escape" && !above && !writing(event.target)) closer.click();
  });
} else {
  const opened = sessionStorage.getItem(OPENED);
  sessionStorage.removeItem(OPENED);
  const row = opened ? document.querySelector(`.main-cell a[href="${CSS.escape(opened)}"]`) : null;
  if (row instanceof HTMLElement) row.focus();
}

// ---- times stay true, and their exact form is in the reader's own zone ------------------------------
function times() {
  if (document.hidden) return;
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = new Date(time.getAttribute("datetime") ?? "");
    if (Number.isNaN(at.getTime())) continue;
    time.setAttribute("title", at.toLocaleString("en-GB", { dateStyle: "long", timeStyle: "medium" }));
    const minutes = Math.floor((Date.now() - at.getTime()) / 60_000);
    if (/^just now$|min ago$/.test(time.textContent ?? "") && minutes >= 1) {
      time.textContent = minutes < 60 ? `${minutes} min ago` : `${Math.floor(minutes / 60)} h ago`;
    }
  }
}
times();
setInterval(times, 60_000);

// ---- toasts that came with the page -----------------------------------------------------------------
for (const toast of document.querySelectorAll("#toasts .toast")) {
  if (toast instanceof HTMLElement) fadeOut(toast, 8000);
}

// ---- signed in: acts on pictures and generations, and the queue -------------------------------------
if (csrf() && document.querySelector("rk-queue, rk-viewer")) {
  void import("./rk-acts.js");
  if (document.querySelector("rk-queue")) void import("./rk-queue.js");
}
