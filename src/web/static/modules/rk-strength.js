// Says while typing how good a new password is and which rules it keeps. The server decides: its list
// of common passwords is long and stays there; this one only knows the shapes that come up most.

const COMMON = /^(?:.*(?:pass ?word|passwort|qwert[yz]|letmein|iloveyou|welcome|willkommen|admin|dragon|monkey|football|sunshine|princess|changeme).{0,4}|(.{1,4})\1+|[0-9]+)$/i;
const RUNS = ["abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"];
const WORDS = [
  ["Too short", "", "bad"],
  ["Weak", "easy to guess", "bad"],
  ["Fair", "longer is better", "warn"],
  ["Good", "hard to guess", "ok"],
  ["Strong", "very hard to guess", "ok"],
];

/** @param {string} text */
function isRun(text) {
  const lower = text.toLowerCase();
  return RUNS.some((run) => (run + run).includes(lower) || [...run + run].reverse().join("").includes(lower));
}

/** Parts of the person's own name and mail that are long enough to matter.
 * @param {DOMStringMap} data */
function ownWords(data) {
  const text = `${data.name ?? ""} ${(data.mail ?? "").split("@")[0]}`;
  return text.toLowerCase().split(/[^\p{L}\p{N}]+/u).filter((word) => word.length >= 4);
}

/** From 0 (too short) to 4 (strong): length first, then variety; a rule that is broken keeps it at 1.
 * @param {string} text @param {boolean} allowed */
function score(text, allowed) {
  const length = [...text].length;
  if (length < 12) return 0;
  if (!allowed) return 1;
  const variety = new Set(text.toLowerCase()).size;
  if (variety < 6) return 1;
  const bits = length * Math.log2(variety + (/[^a-z]/.test(text) ? 6 : 0));
  return bits < 42 ? 2 : bits < 64 ? 3 : 4;
}

class Strength extends HTMLElement {
  connectedCallback() {
    const first = this.querySelector('input[name="new_password"]');
    const again = this.querySelector('input[name="again"]');
    if (!(first instanceof HTMLInputElement) || !(again instanceof HTMLInputElement)) return;
    first.addEventListener("input", () => this.#judge(first.value));
    const compare = () => again.setCustomValidity(again.value === first.value ? "" : "Not the same as above");
    first.addEventListener("input", compare);
    again.addEventListener("input", compare);
  }

  /** @param {string} text */
  #judge(text) {
    const length = [...text].length;
    const lower = text.toLowerCase();
    const common = length > 0 && !COMMON.test(text) && !isRun(text);
    const own = length > 0 && !ownWords(this.dataset).some((word) => lower.includes(word));
    this.#rule("length", length >= 12);
    this.#rule("common", common);
    this.#rule("own", own);
    const count = this.querySelector("[data-count]");
    if (count) count.textContent = length ? `, you have ${length}` : "";
    this.#show(length ? score(text, common && own) : -1);
  }

  /** @param {string} name @param {boolean} kept */
  #rule(name, kept) {
    const item = this.querySelector(`[data-rule="${name}"]`);
    const icon = item?.querySelector("svg");
    const use = icon?.querySelector("use");
    use?.setAttribute("href", (use.getAttribute("href") ?? "").replace(/#.*/, kept ? "#ok" : "#minus"));
    icon?.classList.toggle("ok", kept);
    icon?.classList.toggle("faint", !kept);
  }

  /** @param {number} level */
  #show(level) {
    const box = this.querySelector("[data-strength]");
    const word = box?.querySelector("[data-word]");
    const hint = box?.querySelector("[data-hint]");
    const meter = box?.querySelector("meter");
    if (!(box instanceof HTMLElement) || !word || !hint || !meter) return;
    box.hidden = level < 0;
    const [label = "", note = "", tone = ""] = WORDS[Math.max(level, 0)] ?? [];
    word.textContent = label;
    word.className = `strong ${tone}`;
    hint.textContent = note;
    meter.value = Math.max(level, 0.4);
    meter.className = tone;
  }
}

customElements.define("rk-strength", Strength);
