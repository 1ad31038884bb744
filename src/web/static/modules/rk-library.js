// The library: selection by click, shift and keyboard, bulk acts, uploads, more rows while scrolling.

import { each, restore, take, trash } from "./rk-acts.js";
import { writing } from "./rk-frame.js";
import { complain, dropAnywhere, element, explain, fragment, icon, make, pictures, plural, send, toast, upload } from "./rk-net.js";

/** More than this many pages in one document are not good for anybody: then the link leads on. */
const MOST_PAGES = 10;

element("rk-grid", (grid) => {
  const form = grid.querySelector("form");
  const days = grid.querySelector("#days");
  if (!form || !days) return;
  const inTrash = "trash" in grid.dataset;
  let last = /** @type {HTMLInputElement | null} */ (null);

  /** @returns {HTMLInputElement[]} */
  const boxes = () => [...days.querySelectorAll(".pick input")].map((box) => /** @type {HTMLInputElement} */ (box));
  const chosen = () => boxes().filter((box) => box.checked);
  /** @param {string} name */
  const part = (name) => grid.querySelector(`[data-part="${name}"]`);

  function show() {
    const count = chosen().length;
    const bar = part("bar");
    if (bar instanceof HTMLElement) bar.hidden = count === 0;
    grid.classList.toggle("choosing", count > 0);
    const selected = part("selected");
    if (selected) selected.textContent = `${count} selected`;
    const verb = part("verb");
    if (verb) verb.textContent = `Move ${count} to trash`;
  }

  form.addEventListener("click", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement) || box.type !== "checkbox") return;
    if (event.shiftKey && last) {
      const all = boxes();
      const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
      for (const one of all.slice(from, (to ?? 0) + 1)) one.checked = box.checked;
    }
    last = box;
    show();
  });
  form.addEventListener("reset", () => setTimeout(show));
  document.addEventListener("rk:tiles", () => { tidy(days); show(); void recount(); });
  show();

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const items = chosen().map((box) => /** @type {Element} */ (box.closest(".tile")));
    const ids = items.map((item) => item.getAttribute("data-asset") ?? "");
    const act = event.submitter?.getAttribute("data-bulk");
    if (!ids.length) return;
    if (act === "trash") void trash(ids, items);
    else if (act === "restore") void restore(ids).then((done) => gone(items, done, "brought back"));
    else if (act === "delete") confirmDelete(ids.length, () => void each(ids, (id) => send("DELETE", `/api/v1/assets/${id}?forever=true`)).then((done) => gone(items, done, "deleted")));
  });

  /** @param {Element[]} items @param {string[]} done @param {string} word */
  function gone(items, done, word) {
    take(items.filter((item) => done.includes(item.getAttribute("data-asset") ?? "")));
    if (done.length) toast(`${plural(done.length, "picture")} ${word}`);
  }

  grid.addEventListener("keydown", (event) => {
    const tile = event.target instanceof Element ? event.target.closest(".tile") : null;
    if (!tile || writing(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = neighbour([...days.querySelectorAll(".tile")], tile, event.key);
    const box = tile.querySelector(".pick input");
    if (next) {
      event.preventDefault();
      next.querySelector("a")?.focus();
    } else if (event.key === "x" && box instanceof HTMLInputElement) box.click();
  });
  addEventListener("keydown", (event) => { if (event.key === "Escape" && chosen().length && !document.querySelector("dialog[open]")) form.reset(); });

  if (!inTrash) follow(grid, days);
});

/** The tile that an arrow leads to. @param {Element[]} tiles @param {Element} tile @param {string} key */
function neighbour(tiles, tile, key) {
  const at = tiles.indexOf(tile);
  if (key === "ArrowRight") return tiles[at + 1];
  if (key === "ArrowLeft") return tiles[at - 1];
  if (key !== "ArrowDown" && key !== "ArrowUp") return undefined;
  const here = tile.getBoundingClientRect();
  const rows = tiles.map((other) => ({ other, box: other.getBoundingClientRect() })).filter(({ box }) => (key === "ArrowDown" ? box.top > here.top + 4 : box.top < here.top - 4));
  const row = key === "ArrowDown" ? Math.min(...rows.map(({ box }) => box.top)) : Math.max(...rows.map(({ box }) => box.top));
  const middle = here.left + here.width / 2;
  return rows.filter(({ box }) => Math.abs(box.top - row) < 4).sort((a, b) => Math.abs(a.box.left + a.box.width / 2 - middle) - Math.abs(b.box.left + b.box.width / 2 - middle))[0]?.other;
}

/** Counts again, and drops days that became empty. @param {Element} days */
function tidy(days) {
  for (const day of days.querySelectorAll(".daygroup")) {
    const count = day.querySelectorAll(".tile").length;
    const text = day.querySelector('[data-part="count"]');
    if (text) text.textContent = plural(count, "picture");
    if (day instanceof HTMLElement) day.hidden = count === 0;
  }
}

/** What the head says of all pictures, as it is now: only the server knows those that are not shown. */
async function recount() {
  const here = document.querySelector('[data-part="summary"]');
  try {
    const page = await fragment(location.pathname + location.search);
    here?.replaceChildren(...(page.querySelector('[data-part="summary"]')?.childNodes ?? []));
  } catch {
    // The next act or reload brings it.
  }
}

/** Loads the next page when the end comes near. @param {HTMLElement} grid @param {Element} days */
function follow(grid, days) {
  const place = grid.querySelector('[data-part="pager"]');
  let pages = 1;
  if (!place) return;
  const watch = new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) void more(); }, { rootMargin: "800px" });
  watch.observe(place);

  async function more() {
    const link = place?.querySelector("a[rel=next]");
    if (!(link instanceof HTMLAnchorElement) || pages >= MOST_PAGES || link.getAttribute("aria-busy")) return;
    link.setAttribute("aria-busy", "true");
    try {
      const page = await fragment(link.href);
      pages += 1;
      for (const day of page.querySelectorAll(".daygroup")) join(day);
      place?.replaceChildren(...(page.querySelector('[data-part="pager"]')?.childNodes ?? []));
      if (pages < MOST_PAGES && place) { watch.unobserve(place); watch.observe(place); }
    } catch (error) {
      link.removeAttribute("aria-busy");
      complain(error);
    }
  }

  /** A day that goes on stays one day. @param {Element} day */
  function join(day) {
    const same = days.querySelector(`.daygroup[data-day="${CSS.escape(day.getAttribute("data-day") ?? "")}"] ul`);
    same ? same.append(...day.querySelectorAll(".tile")) : days.append(day);
    tidy(days);
  }
}

/** @param {number} count @param {() => void} run */
function confirmDelete(count, run) {
  const dialog = document.getElementById("forever");
  if (!(dialog instanceof HTMLDialogElement)) return;
  const title = dialog.querySelector('[data-part="title"]');
  const confirm = dialog.querySelector('[data-part="confirm"]');
  if (title) title.textContent = `Delete ${plural(count, "picture")} forever?`;
  if (confirm) confirm.textContent = `Delete ${plural(count, "picture")}`;
  dialog.returnValue = "";
  dialog.addEventListener("close", () => { if (dialog.returnValue === "delete") run(); }, { once: true });
  dialog.showModal();
}

// The colours below a picture have done their work once it is there; a transparent one would show them.
document.addEventListener("load", (event) => {
  if (event.target instanceof HTMLImageElement) event.target.parentElement?.querySelector(".skel")?.remove();
}, true);

element("rk-uploads", (list) => {
  const input = document.querySelector("#upload input[type=file]");
  const hint = document.querySelector('[data-part="drop"]');
  if (!(input instanceof HTMLInputElement)) return;
  input.addEventListener("change", () => { const files = pictures(input.files); input.value = ""; void all(files); });
  dropAnywhere(hint instanceof HTMLElement ? hint : null, (data) => void all(pictures(data.files)));

  /** Two at a time: the server checks each, and a slow line stays usable. @param {File[]} files */
  async function all(files) {
    const waiting = files.map((file) => ({ file, line: row(file) }));
    list.hidden = !waiting.length;
    let stored = 0;
    await Promise.all([1, 2].map(async () => {
      for (let one = waiting.shift(); one; one = waiting.shift()) {
        // Not `stored += await`, which forgets what the other one stored meanwhile.
        if (await store(one.file, one.line)) stored += 1;
      }
    }));
    if (stored) await renew(stored);
    list.hidden = !list.children.length;
  }

  /** @param {File} file */
  function row(file) {
    const line = make("div", { class: "upload" }, icon("upload", "s"), make("span", { class: "clip grow" }, file.name), make("progress", { max: "1", value: "0", "aria-label": `Upload of ${file.name}` }));
    list.append(line);
    return line;
  }

  /** @param {File} file @param {HTMLElement} line */
  async function store(file, line) {
    const bar = line.querySelector("progress");
    try {
      await upload(file, (part) => { if (bar) bar.value = part; });
      line.remove();
      return true;
    } catch (error) {
      const close = make("button", { class: "btn quiet icon s", type: "button", "aria-label": `Dismiss ${file.name}` }, icon("close", "s"));
      close.addEventListener("click", () => { line.remove(); list.hidden = !list.children.length; });
      bar?.replaceWith(make("span", { class: "bad" }, ...explain(error)), close);
      return false;
    }
  }
});

/** Shows the list as it is now. @param {number} stored */
async function renew(stored) {
  try {
    const page = await fragment(location.pathname + location.search);
    const days = page.querySelector("#days");
    const here = document.getElementById("days");
    if (!here || !days || !here.children.length) return location.reload();
    here.replaceChildren(...days.childNodes);
    document.querySelector('[data-part="pager"]')?.replaceChildren(...(page.querySelector('[data-part="pager"]')?.childNodes ?? []));
    document.dispatchEvent(new Event("rk:tiles"));
    toast(`${plural(stored, "picture")} uploaded`);
  } catch { location.reload(); }
}
