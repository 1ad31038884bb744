// The dialog that the address asks for: opens it modally, and takes it out of the address when it is
// closed. The page below is complete, so nothing has to be loaded again.

class Ask extends HTMLElement {
  connectedCallback() {
    const dialog = this.querySelector("dialog");
    if (!dialog) return;
    const back = this.dataset.back ?? location.pathname;
    dialog.removeAttribute("open");
    dialog.showModal();
    const first = ['[aria-invalid="true"]', "[autofocus]", 'input:not([type="hidden"])'];
    const target = first.map((selector) => dialog.querySelector(selector)).find((found) => found);
    if (target instanceof HTMLElement) target.focus();
    dialog.addEventListener("close", () => history.replaceState(null, "", back));
    for (const link of dialog.querySelectorAll("a[href]")) {
      if (link.getAttribute("href") !== back) continue;
      link.addEventListener("click", (event) => {
        event.preventDefault();
        dialog.close();
      });
    }
  }
}

customElements.define("rk-ask", Ask);
