// Talking to the server and to the person: requests with the form token, uploads, toasts.

/** @typedef {{name: string, code: string, message: string}} FieldError */
/** @typedef {{micros: number, currency: string}} Money */

/** An answer that is not 2xx, as RFC 9457 tells it. */
export class Problem extends Error {
  /** @param {number} status @param {Record<string, any>} body */
  constructor(status, body) {
    super(String(body.detail || body.title || "The server did not answer as expected."));
    this.status = status;
    this.code = String(body.code ?? "");
    this.requestId = String(body.request_id ?? "");
    /** @type {FieldError[]} */
    this.fields = Array.isArray(body.fields) ? body.fields : [];
  }
}

/** The session is over: signed out in another tab, or too old. */
export const signedOut = () => new Problem(401, { code: "auth.required" });

/** Pages lead whoever is signed out to the sign-in, and scripts must not take that for what they asked for. @param {string} url */
export const isSignIn = (url) => new URL(url, location.href).pathname === "/sign-in";

const OFFLINE = "The server cannot be reached. Nothing was lost; try again in a moment.";

/** The form token of the session. */
export const csrf = () => document.querySelector('meta[name="csrf"]')?.getAttribute("content") ?? "";

/**
 * Sends a request and gives the parsed answer (null without a body).
 * @param {string} method @param {string} url
 * @param {{json?: unknown, key?: string, signal?: AbortSignal}} [options]
 * @returns {Promise<any>}
 */
export async function send(method, url, options = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", "X-CSRF-Token": csrf() };
  if (options.json !== undefined) headers["Content-Type"] = "application/json";
  if (options.key) headers["Idempotency-Key"] = options.key;
  const body = options.json === undefined ? null : JSON.stringify(options.json);
  const answer = await fetch(url, { method, headers, body, signal: options.signal ?? null, credentials: "same-origin" }).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: OFFLINE });
  });
  const text = await answer.text();
  if (!answer.ok) throw new Problem(answer.status, parse(text) ?? {});
  return text ? parse(text) : null;
}

/** @param {string} text @returns {any} */
function parse(text) {
  try { return JSON.parse(text); } catch { return null; }
}

/**
 * Fetches a piece of a page.
 * @param {string} url @returns {Promise<DocumentFragment>}
 */
export async function fragment(url) {
  const answer = await fetch(url, { headers: { "HX-Request": "true", Accept: "text/html" }, credentials: "same-origin" });
  if (!answer.ok) throw new Problem(answer.status, {});
  if (isSignIn(answer.url)) throw signedOut();
  const template = document.createElement("template");
  template.innerHTML = await answer.text();
  return template.content;
}

/**
 * Uploads one picture; XMLHttpRequest because fetch cannot tell how far an upload is.
 * @param {File} file @param {(fraction: number) => void} progress
 * @returns {Promise<{id: string, name: string, width: number, height: number}>}
 */
export function upload(file, progress) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/api/v1/assets");
    request.setRequestHeader("X-CSRF-Token", csrf());
    request.setRequestHeader("Accept", "application/json");
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onerror = () => failed(new Problem(0, { detail: OFFLINE }));
    request.onload = () => {
      const body = parse(request.responseText);
      request.status === 201 ? done(body) : failed(new Problem(request.status, body ?? {}));
    };
    const form = new FormData();
    form.append("file", file, file.name || "picture.png");
    request.send(form);
  });
}

/** The pictures among dropped or pasted files. @param {Iterable<File> | undefined | null} files */
export const pictures = (files) => [...(files ?? [])].filter((file) => file.type.startsWith("image/"));

/** A key that makes a repeated request the same request. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {Money} money */
export function moneyText(money) {
  return new Intl.NumberFormat("en", { style: "currency", currency: money.currency, currencyDisplay: "narrowSymbol", minimumFractionDigits: 2, maximumFractionDigits: 6 }).format(money.micros / 1e6);
}

/** @param {number} seconds */
export function durationText(seconds) {
  const all = Math.max(0, Math.floor(seconds));
  if (all < 60) return `${all} s`;
  return all < 3600 ? `${Math.floor(all / 60)} min ${all % 60} s` : `${Math.floor(all / 3600)} h ${Math.floor((all % 3600) / 60)} min`;
}

/** @param {number} number @param {string} word */
export const plural = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;

const sprite = new URL("../icons.svg", import.meta.url).pathname;

/** @param {string} name @param {string} [size] */
export function icon(name, size = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", `i ${size}`);
  svg.setAttribute("aria-hidden", "true");
  svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "use")).setAttribute("href", `${sprite}#${name}`);
  return svg;
}

/**
 * Makes an element; children are elements or text, never HTML.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {Record<string, string>} [attributes] @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * Says what just happened; stays until left alone for some seconds.
 * @param {string | (Node | string)[]} text
 * @param {{tone?: "ok" | "bad" | "info", act?: {label: string, run: () => void}, stay?: boolean}} [options]
 */
export function toast(text, options = {}) {
  const tone = options.tone ?? "ok";
  const box = make("div", { class: `toast ${tone}` }, icon(tone), make("span", {}, ...[text].flat()));
  const close = () => box.remove();
  const act = options.act;
  if (act) {
    const button = make("button", { class: "btn s", type: "button" }, act.label);
    button.addEventListener("click", () => { close(); act.run(); });
    box.append(button);
  }
  const dismiss = make("button", { class: "btn icon s", type: "button", "aria-label": "Close" }, icon("close", "s"));
  dismiss.addEventListener("click", close);
  box.append(dismiss);
  document.getElementById("toasts")?.append(box);
  if (!options.stay) fadeOut(box, act ? 8000 : 6000);
  return box;
}

/** Goes after its time, but never under the pointer or the focus. @param {HTMLElement} box @param {number} after */
export function fadeOut(box, after) {
  setTimeout(() => (box.matches(":hover, :focus-within") ? fadeOut(box, 2000) : box.remove()), after);
}

/** A failure in words; when the session is over, with the way back in. @param {unknown} error @returns {(Node | string)[]} */
export function explain(error) {
  if (!(error instanceof Problem) || error.code !== "auth.required") return [error instanceof Error ? error.message : String(error)];
  // Without the query: the Studio then shows what was typed, and not what the address began with.
  const href = `/sign-in?next=${encodeURIComponent(location.pathname)}`;
  return ["Your session has ended. ", make("a", { href }, "Sign in"), " to go on."];
}

/** Tells about a failure. @param {unknown} error */
export function complain(error) {
  if (error instanceof Error && error.name === "AbortError") return;
  toast(explain(error), { tone: "bad" });
}

/** How a page scrolls by itself: at once for whoever asked for less motion. @returns {ScrollBehavior} */
export const motion = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth");

/** Tells a screen reader, and nobody else. @param {string} text */
export function say(text) {
  let region = document.getElementById("say");
  if (!region) document.body.append((region = make("div", { id: "say", class: "sr", role: "status" })));
  region.textContent = text;
}

/**
 * Marks a button as working while something runs.
 * @template T @param {Element | null} button @param {() => Promise<T>} work @returns {Promise<T | undefined>}
 */
export async function busy(button, work) {
  if (button?.getAttribute("aria-busy") === "true") return undefined;
  button?.setAttribute("aria-busy", "true");
  try { return await work(); } finally { button?.removeAttribute("aria-busy"); }
}

/** Runs a custom element's set-up once. @param {string} name @param {(element: HTMLElement) => void} setUp */
export function element(name, setUp) {
  customElements.define(name, class extends HTMLElement {
    #done = false;
    connectedCallback() {
      if (this.#done) return;
      this.#done = true;
      setUp(this);
    }
  });
}

/**
 * Drop anywhere on the page, with a hint while something hovers.
 * @param {HTMLElement | null} hint @param {(data: DataTransfer) => void} dropped
 */
export function dropAnywhere(hint, dropped) {
  let depth = 0;
  /** @param {boolean} on */
  const show = (on) => { if (hint) hint.hidden = !on; if (!on) depth = 0; };
  /** @param {DragEvent} event */
  const useful = (event) => [...(event.dataTransfer?.types ?? [])].some((type) => type === "Files" || type === "text/uri-list");
  addEventListener("dragenter", (event) => { if (useful(event)) { depth += 1; show(true); } });
  addEventListener("dragleave", () => { depth -= 1; if (depth <= 0) show(false); });
  addEventListener("dragover", (event) => { if (useful(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!useful(event) || !event.dataTransfer) return;
    event.preventDefault();
    show(false);
    dropped(event.dataTransfer);
  });
}
