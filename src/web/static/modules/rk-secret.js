// A password field whose contents can be shown. Without this module the button stays hidden.

class Secret extends HTMLElement {
  connectedCallback() {
    const input = this.querySelector("input");
    const button = this.querySelector("button");
    if (!input || !button) return;
    button.hidden = false;
    const show = (/** @type {boolean} */ shown) => {
      input.type = shown ? "text" : "password";
      button.setAttribute("aria-pressed", String(shown));
      const use = button.querySelector("use");
      const href = use?.getAttribute("href") ?? "";
      use?.setAttribute("href", href.replace(/#.*/, shown ? "#eye-off" : "#eye"));
    };
    button.addEventListener("click", () => show(input.type === "password"));
    // What is sent is a password again, so that the browser offers to keep it as one.
    input.form?.addEventListener("submit", () => show(false));
  }
}

customElements.define("rk-secret", Secret);
