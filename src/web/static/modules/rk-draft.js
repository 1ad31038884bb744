// What was typed survives a reload. Kept for this tab only: prompts do not stay on a shared machine.

import { fragment } from "./rk-net.js";

const KEY = "rk.draft";

/** @typedef {{model: string, prompt: string, size?: string, count?: number, seed?: number, parameters: Record<string, unknown>}} Draft */

/** The form as the API takes it; what is not set is left out. @param {HTMLFormElement} form @returns {Draft} */
export function draftOf(form) {
  const data = new FormData(form);
  /** @param {string} name */
  const text = (name) => String(data.get(name) ?? "").trim();
  /** @type {Draft} */
  const draft = { model: text("model"), prompt: String(data.get("prompt") ?? ""), parameters: {} };
  if (text("size")) draft.size = text("size");
  if (text("count")) draft.count = Number(text("count"));
  if (text("seed")) draft.seed = Number(text("seed"));
  for (const input of inputs(form)) {
    const value = valueOf(input);
    if (value !== undefined) draft.parameters[input.name.slice("parameter.".length)] = value;
  }
  return draft;
}

/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Field */

/** @param {HTMLFormElement} form @returns {Field[]} */
const inputs = (form) => [...form.querySelectorAll("[name^='parameter.']")].map((input) => /** @type {Field} */ (input));

/** @param {Field} input */
function valueOf(input) {
  if (input instanceof HTMLInputElement && input.dataset.json === "boolean") return input.checked;
  if (!input.value) return undefined;
  return input.dataset.json === "number" ? Number(input.value) : input.value;
}

/** @typedef {{held: () => {asset: string, name: string, strength: string}[], add: (asset: string, name: string, strength?: string) => void}} Holder */

/** @type {Holder | null} */
let holder = null;

/** @param {HTMLFormElement} form */
export function keep(form) {
  if (!holder) return;
  sessionStorage.setItem(KEY, JSON.stringify({ draft: draftOf(form), references: holder.held() }));
}

/**
 * Fills the form again, unless the address asked for something else.
 * @param {HTMLFormElement} form @param {Holder} references
 */
export function restoreDraft(form, references) {
  const stored = "fixed" in form.dataset ? null : sessionStorage.getItem(KEY);
  if (!stored) {
    holder = references;
    return;
  }
  /** @type {{draft: Draft, references: {asset: string, name: string, strength: string}[]}} */
  const { draft, references: held } = JSON.parse(stored);
  set(form, "prompt", draft.prompt);
  for (const one of held) references.add(one.asset, one.name, one.strength);
  const model = form.elements.namedItem("model");
  const known = model instanceof HTMLSelectElement && [...model.options].some((option) => option.value === draft.model);
  void fieldsFor(form, known && model.value !== draft.model ? draft.model : "").then(() => {
    fill(form, draft);
    holder = references;
    form.dispatchEvent(new Event("input"));
  });
}

/** The part of the form that belongs to another model. @param {HTMLFormElement} form @param {string} model */
async function fieldsFor(form, model) {
  if (!model) return;
  holdFields(form, true);
  try {
    const content = await fragment(`/studio/fields?model=${encodeURIComponent(model)}`);
    form.querySelector("#fields")?.replaceWith(content);
    set(form, "model", model);
  } catch {
    // The form stays with the model it was made for.
    holdFields(form, false);
  }
}

/** Keeps hands off the fields that are about to be replaced. @param {HTMLFormElement} form @param {boolean} on */
export const holdFields = (form, on) => form.querySelector("#fields")?.toggleAttribute("inert", on);

/** @param {HTMLFormElement} form @param {Draft} draft */
function fill(form, draft) {
  set(form, "size", draft.size ?? "");
  if (draft.count) set(form, "count", String(draft.count));
  set(form, "seed", draft.seed === undefined ? "" : String(draft.seed));
  for (const [name, value] of Object.entries(draft.parameters)) set(form, `parameter.${name}`, value);
}

/** @param {HTMLFormElement} form @param {string} name @param {unknown} value */
function set(form, name, value) {
  for (const input of form.querySelectorAll(`[name="${CSS.escape(name)}"]`)) {
    if (input instanceof HTMLInputElement && input.type === "radio") {
      if (input.value === value) input.checked = true;
    } else if (input instanceof HTMLInputElement && input.type === "checkbox") input.checked = value === true;
    else if (input instanceof HTMLSelectElement) {
      if ([...input.options].some((option) => option.value === String(value))) input.value = String(value);
    } else if (input instanceof HTMLInputElement || input instanceof HTMLTextAreaElement) input.value = String(value);
  }
}
