// Pictures for the model to look at: by click, drop or paste, from files or from what is on the page.

import { complain, dropAnywhere, pictures, toast, upload } from "./rk-net.js";

export class References {
  /** @type {Set<Promise<unknown>>} */
  #running = new Set();

  /** @param {HTMLFormElement} form @param {() => void} changed */
  constructor(form, changed) {
    this.form = form;
    this.changed = changed;
    const input = form.querySelector("input[type=file][name=reference]");
    if (input instanceof HTMLInputElement) {
      input.addEventListener("change", () => { this.addFiles(pictures(input.files)); input.value = ""; });
    }
    form.addEventListener("click", (event) => {
      const button = event.target instanceof Element ? event.target.closest("[data-remove]") : null;
      if (!button) return;
      button.closest(".ref")?.remove();
      form.querySelector(".refs input[type=file]")?.parentElement?.querySelector("input")?.focus();
      changed();
    });
    const hint = form.querySelector('[data-part="drop"]');
    dropAnywhere(hint instanceof HTMLElement ? hint : null, (data) => this.#dropped(data));
    addEventListener("paste", (event) => {
      const files = pictures(event.clipboardData?.files);
      if (!files.length) return;
      event.preventDefault();
      this.addFiles(files);
    });
    document.addEventListener("click", (event) => {
      const link = event.target instanceof Element ? event.target.closest("#results a[data-reference]") : null;
      if (!(link instanceof HTMLElement) || !this.#room()) return;
      event.preventDefault();
      this.add(link.dataset.reference ?? "", link.dataset.name ?? "picture");
      changed();
      toast(`${link.dataset.name} is a reference now`);
    });
  }

  /** @returns {HTMLElement[]} */
  get #items() {
    return [...this.form.querySelectorAll(".refs .ref")].map((item) => /** @type {HTMLElement} */ (item));
  }

  get #max() {
    return Number(this.form.querySelector("#fields")?.getAttribute("data-max-references") ?? 0);
  }

  #room() {
    if (this.#items.length < this.#max) return true;
    toast(this.#max ? `This model takes at most ${this.#max}. Remove one first.` : "This model takes no references.", { tone: "info" });
    return false;
  }

  /** Shows how many fit this model. */
  limit() {
    const count = this.#items.length;
    const field = this.form.querySelector('[data-field="references"]');
    if (field instanceof HTMLElement) field.hidden = this.#max === 0 && count === 0;
    const text = this.form.querySelector('[data-part="refs"]');
    if (text) text.textContent = `${count} of ${this.#max}`;
    text?.classList.toggle("bad", count > this.#max);
    const add = this.form.querySelector(".refs .add");
    if (add instanceof HTMLElement) add.hidden = count >= this.#max;
  }

  /** As the API takes them. */
  list() {
    const strength = this.form.querySelector("#fields[data-strength]") !== null;
    return this.held().map((one) => ({ asset: one.asset, role: "reference", ...(strength ? { strength: Number(one.strength) } : {}) }));
  }

  /** Those that are stored, for the draft. */
  held() {
    return this.#items.filter((item) => item.dataset.asset).map((item) => ({
      asset: item.dataset.asset ?? "",
      name: item.querySelector("img")?.alt ?? "",
      strength: item.querySelector("input[type=range]") instanceof HTMLInputElement ? /** @type {HTMLInputElement} */ (item.querySelector("input[type=range]")).value : "",
    }));
  }

  /** Resolves when no upload runs. */
  async settled() {
    await Promise.all(this.#running);
  }

  /** @param {string} asset @param {string} name @param {string} [strength] */
  add(asset, name, strength = "") {
    if (this.#items.some((item) => item.dataset.asset === asset)) return;
    const item = this.#item(name, `/api/v1/assets/${asset}/thumbnail?size=320`);
    if (item) this.#stored(item, asset);
    const range = item?.querySelector("input[type=range]");
    if (strength && range instanceof HTMLInputElement) range.value = strength;
  }

  /** @param {File[]} files */
  addFiles(files) {
    for (const file of files) {
      if (!this.#room()) return;
      const work = this.#upload(file);
      this.#running.add(work);
      void work.finally(() => this.#running.delete(work));
    }
  }

  /** @param {File} file */
  async #upload(file) {
    const address = URL.createObjectURL(file);
    const item = this.#item(file.name || "pasted picture", address);
    if (!item) return;
    const bar = item.querySelector("progress");
    if (bar) bar.hidden = false;
    this.limit();
    try {
      const asset = await upload(file, (part) => { if (bar) bar.value = part * 100; });
      if (item.isConnected) this.#stored(item, asset.id);
    } catch (error) {
      item.remove();
      complain(error);
    } finally {
      if (bar) bar.hidden = true;
      this.changed();
    }
  }

  /** @param {HTMLElement} item @param {string} asset */
  #stored(item, asset) {
    item.dataset.asset = asset;
    item.querySelector("input[type=hidden]")?.setAttribute("value", asset);
  }

  /** @param {string} name @param {string} source @returns {HTMLElement | null} */
  #item(name, source) {
    const template = this.form.querySelector('template[data-part="ref"]');
    const add = this.form.querySelector(".refs .add");
    if (!(template instanceof HTMLTemplateElement) || !add) return null;
    const item = /** @type {HTMLElement} */ (template.content.cloneNode(true)).querySelector(".ref");
    if (!(item instanceof HTMLElement)) return null;
    const image = item.querySelector("img");
    image?.setAttribute("src", source);
    image?.setAttribute("alt", name);
    item.querySelector("input[type=range]")?.setAttribute("aria-label", `Strength of ${name}`);
    item.querySelector("progress")?.setAttribute("aria-label", `Upload of ${name}`);
    item.querySelector("button")?.setAttribute("aria-label", `Remove reference ${name}`);
    add.before(item);
    return item;
  }

  // A picture dragged from the page brings its address; anything else brings files.
  /** @param {DataTransfer} data */
  #dropped(data) {
    const asset = /\/(ast_[a-z0-9]+)/.exec(data.getData("text/uri-list"))?.[1];
    if (!asset) return this.addFiles(pictures(data.files));
    if (!this.#room()) return;
    this.add(asset, "picture");
    this.changed();
  }
}
