// A button that copies the text of another element. Without this module, or without the right to
// write to the clipboard, the text is selected and can be copied by hand.

class Copy extends HTMLElement {
  connectedCallback() {
    const button = this.querySelector("button");
    const word = this.querySelector("[data-word]");
    const source = document.getElementById(this.dataset.from ?? "");
    if (!button || !source) return;
    button.hidden = false;
    const label = word?.textContent ?? "";
    button.addEventListener("click", async () => {
      const done = await copy(source);
      if (word) word.textContent = done ? "Copied" : "Selected, copy it now";
      setTimeout(() => { if (word) word.textContent = label; }, 4000);
    });
    word?.setAttribute("aria-live", "polite");
  }
}

/** @param {HTMLElement} source */
async function copy(source) {
  const field = source instanceof HTMLInputElement;
  try {
    await navigator.clipboard.writeText(field ? source.value : source.textContent ?? "");
    return true;
  } catch {
    // No clipboard without https or without permission: select it instead.
    if (field) source.select();
    else getSelection()?.selectAllChildren(source);
    return false;
  }
}

customElements.define("rk-copy", Copy);
