// The composer: keeps what was typed, takes references by click, drop and paste, asks the price, sends.

import "./rk-results.js";
import { draftOf, holdFields, keep, restoreDraft } from "./rk-draft.js";
import { emit } from "./rk-events.js";
import { writing } from "./rk-frame.js";
import { Problem, busy, complain, element, explain, make, icon, moneyText, motion, newKey, plural, send } from "./rk-net.js";
import { References } from "./rk-references.js";

/** @typedef {import("./rk-net.js").Money} Money */
/** @typedef {{scope: string, period: string, limit: Money, left: Money, refills_at: string | null}} Cap */
/** @typedef {{price: Money, allowed: boolean, caps: Cap[]}} Quote */

class Composer {
  /** @type {AbortController | null} */
  #asking = null;
  #timer = 0;
  /** The key of an attempt whose answer never came: sent again, it is the same request. */
  #attempt = { body: "", key: "" };
  /** @type {{at: number, typed: string}} */
  #history = { at: -1, typed: "" };

  /** @param {HTMLFormElement} form @param {HTMLTextAreaElement} prompt */
  constructor(form, prompt) {
    this.form = form;
    this.prompt = prompt;
    this.references = new References(form, () => this.changed());
    form.noValidate = true;
    form.addEventListener("input", () => this.changed());
    form.addEventListener("click", (event) => this.#clicked(event));
    form.addEventListener("keydown", (event) => this.#keyed(event));
    form.addEventListener("submit", (event) => { event.preventDefault(); void this.generate(); });
    // What is chosen while another model's fields are on their way would be lost with the old ones.
    form.addEventListener("htmx:beforeRequest", () => holdFields(form, true));
    form.addEventListener("htmx:afterRequest", () => holdFields(form, false));
    document.addEventListener("htmx:afterSwap", () => this.changed());
    addEventListener("keydown", (event) => {
      if (event.key !== "/" || writing(event.target) || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      prompt.focus();
    });
    restoreDraft(form, this.references);
    this.changed();
  }

  /** @param {string} name */
  part(name) {
    const found = this.form.querySelector(`[data-part="${name}"]`);
    return found instanceof HTMLElement ? found : null;
  }

  changed() {
    const max = Number(this.prompt.dataset.max);
    const length = [...this.prompt.value].length;
    const count = this.part("count");
    if (count) count.textContent = `${length.toLocaleString("en")} of ${max.toLocaleString("en")}`;
    count?.classList.toggle("bad", length > max);
    this.references.limit();
    keep(this.form);
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.ask(), 300);
  }

  /** What is sent, for a price and for real. */
  body() {
    const draft = draftOf(this.form);
    return { ...draft, references: this.references.list() };
  }

  async ask() {
    this.#asking?.abort();
    this.#asking = new AbortController();
    const wrong = this.#countReason();
    if (wrong) return this.#noPrice(wrong);
    const body = this.body();
    try {
      // The price does not depend on the words, and is shown before there are any.
      const quote = await send("POST", "/api/v1/quotes", { json: { ...body, prompt: body.prompt.trim() || "price" }, signal: this.#asking.signal });
      this.#show(quote, Number(body.count ?? 1));
    } catch (error) {
      if (!(error instanceof Problem) || !error.status) return;
      this.#noPrice(error.status === 422 ? (error.fields[0]?.message ?? error.message) : "");
    }
  }

  /** How many the model makes at a time, if the form asks for another number. */
  #countReason() {
    const input = this.form.querySelector("input[name=count]");
    if (!(input instanceof HTMLInputElement) || input.validity.valid) return "";
    return `Number of pictures: ${input.max === "1" ? "1" : `1 to ${input.max}`} at a time.`;
  }

  /** The last price was for something else. @param {string} reason */
  #noPrice(reason) {
    this.part("price")?.replaceChildren(make("span", { class: "dim" }, "No price"));
    this.#refuse(reason);
  }

  /** @param {Quote} quote @param {number} count */
  #show(quote, count) {
    const price = this.part("price");
    price?.replaceChildren(make("span", { class: "strong" }, `About ${moneyText(quote.price)}`), make("span", { class: "dim" }, ` for ${plural(count, "picture")}`));
    const tightest = [...quote.caps].sort((a, b) => a.left.micros - b.left.micros)[0];
    const left = this.part("left");
    if (left && tightest) left.textContent = `${moneyText(atLeastNothing(tightest.left))} left`;
    this.#refuse(quote.allowed || !tightest ? "" : capReason(tightest));
  }

  /** Says why it cannot be sent; an empty reason means it can. @param {string} reason */
  #refuse(reason) {
    const place = this.part("reason");
    const button = this.form.querySelector(".go button[type=submit]");
    if (!place || !button) return;
    place.hidden = !reason;
    place.replaceChildren(...(reason ? [icon("bad", "s"), reason] : []));
    reason ? button.setAttribute("aria-disabled", "true") : button.removeAttribute("aria-disabled");
  }

  async generate() {
    const button = this.form.querySelector(".go button[type=submit]");
    if (button?.getAttribute("aria-disabled") === "true") return;
    this.#clearErrors();
    if (!this.prompt.value.trim()) return this.#fieldError("prompt", "Write what you want to see.");
    const wrong = this.#countReason();
    if (wrong) return this.#fieldError("count", wrong);
    await busy(button, async () => {
      try {
        await this.references.settled();
        const body = this.body();
        emit(await send("POST", "/api/v1/generations", { json: body, key: this.#key(body) }), true);
        this.#attempt = { body: "", key: "" };
        this.#history = { at: -1, typed: "" };
        if (matchMedia("(width < 1020px)").matches) document.getElementById("results")?.scrollIntoView({ behavior: motion() });
      } catch (error) { this.#failed(error); }
    });
    void this.ask();
  }

  /** @param {unknown} body */
  #key(body) {
    const text = JSON.stringify(body);
    if (this.#attempt.body !== text) this.#attempt = { body: text, key: newKey() };
    return this.#attempt.key;
  }

  /** @param {unknown} error */
  #failed(error) {
    if (!(error instanceof Problem)) return complain(error);
    // Any answer means that nothing was done; only a lost one may have been something.
    if (error.status) this.#attempt = { body: "", key: "" };
    const unplaced = error.fields.filter((field) => !this.#fieldError(field.name, field.message));
    if (error.fields.length && !unplaced.length) return;
    const words = unplaced[0] ? [unplaced[0].message] : explain(error);
    this.part("error")?.replaceChildren(make("div", { class: "banner bad" }, icon("bad"), make("div", {}, make("p", { class: "strong" }, ...words))));
    this.part("error")?.scrollIntoView({ block: "nearest" });
  }

  /** Puts a message below its field; false when there is no such field. @param {string} name @param {string} message */
  #fieldError(name, message) {
    const base = name.startsWith("parameters.") ? name : (name.split(/[.[]/)[0] ?? name);
    const field = this.form.querySelector(`[data-field="${CSS.escape(base)}"]`);
    if (!field) return false;
    const id = `error-${base.replace(/\W/g, "-")}`;
    field.append(make("span", { class: "error", id, "data-live": "" }, icon("bad", "s"), message));
    const input = field.querySelector("input:not([type=hidden], [type=file]), select, textarea");
    input?.setAttribute("aria-invalid", "true");
    input?.setAttribute("aria-describedby", id);
    field.closest("details")?.setAttribute("open", "");
    if (input instanceof HTMLElement) input.focus();
    return true;
  }

  #clearErrors() {
    for (const old of this.form.querySelectorAll(".error:not(#reason)")) old.remove();
    for (const input of this.form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
    this.part("error")?.replaceChildren();
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    if (button?.dataset.step) {
      const input = button.parentElement?.querySelector("input");
      if (input) input.value = String(Math.min(Math.max(Number(input.value) + Number(button.dataset.step), Number(input.min)), Number(input.max)));
    } else if (button && "dice" in button.dataset) {
      const input = this.form.querySelector("input[name=seed]");
      if (input instanceof HTMLInputElement) input.value = String(crypto.getRandomValues(new Uint32Array(1))[0]);
    } else {
      return;
    }
    this.changed();
  }

  /** @param {KeyboardEvent} event */
  #keyed(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      void this.generate();
    } else if (event.altKey && event.target === this.prompt && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      event.preventDefault();
      this.#walk(event.key === "ArrowUp" ? 1 : -1);
    }
  }

  /** Earlier prompts are those of the cards; what was being typed comes back at the end. @param {number} step */
  #walk(step) {
    const cards = [...document.querySelectorAll("#results [data-prompt]")].map((card) => card.getAttribute("data-prompt") ?? "");
    const prompts = [...new Set(cards)];
    if (this.#history.at < 0) this.#history.typed = this.prompt.value;
    this.#history.at = Math.min(Math.max(this.#history.at + step, -1), prompts.length - 1);
    this.prompt.value = prompts[this.#history.at] ?? this.#history.typed;
    this.changed();
  }
}

/** @param {Cap} cap */
function capReason(cap) {
  const whose = cap.scope === "person" ? "your" : `the ${cap.scope}’s`;
  const refill = cap.refills_at ? ` It refills on ${new Date(cap.refills_at).toLocaleDateString("en-GB", { day: "numeric", month: "long", timeZone: "UTC" })}.` : "";
  if (cap.left.micros <= 0) return `${capitalised(whose)} cap of ${moneyText(cap.limit)} is used up.${refill} An owner can raise it.`;
  return `Over ${whose} cap: ${moneyText(cap.left)} of ${moneyText(cap.limit)} is left.${refill} Fewer pictures, another model or an owner can help.`;
}

/** A cap that a provider's bill went over has nothing left, not less. @param {Money} money @returns {Money} */
const atLeastNothing = (money) => ({ ...money, micros: Math.max(money.micros, 0) });

/** @param {string} words */
const capitalised = (words) => words.charAt(0).toUpperCase() + words.slice(1);

// Last, because an element that is already there is set up at once.
element("rk-composer", (host) => {
  const form = host.querySelector("form");
  const prompt = host.querySelector("textarea[name=prompt]");
  if (form && prompt instanceof HTMLTextAreaElement) new Composer(form, prompt);
});
