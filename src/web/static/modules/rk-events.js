// Live generations. One stream for all tabs: browsers allow only six connections to a server without
// TLS, so the tab that holds the lock listens and tells the others.

/**
 * @typedef {{id: string, state: string, prompt: string, started_at: string | null,
 *   progress: {step: string, fraction: number | null, place: number | null, preview: string | null} | null}} Generation
 */

/** @typedef {(generation: Generation | null, asked: boolean) => void} Listener */

/** @type {Set<Listener>} */
const listeners = new Set();
const channel = new BroadcastChannel("rk-events");
let started = false;

/**
 * Hears about every change; null means that changes may have been missed, and `asked` that somebody
 * at this very tab has just asked for it.
 * @param {Listener} listener
 */
export function listen(listener) {
  listeners.add(listener);
  if (started) return;
  started = true;
  channel.addEventListener("message", (event) => deliver(event.data));
  void stand();
}

/** Passes on what this tab learned from an answer of its own. @param {Generation} generation @param {boolean} asked */
export function emit(generation, asked) {
  deliver(generation, asked);
  channel.postMessage(generation);
}

/** @param {Generation | null} generation @param {boolean} [asked] */
function deliver(generation, asked = false) {
  for (const listener of listeners) listener(generation, asked);
}

// Without the locks API (old browsers, no secure context) each tab listens for itself.
async function stand() {
  for (;;) {
    await (navigator.locks ? navigator.locks.request("rk-events", stream) : stream());
    // The stream was refused, as after signing out in another tab: ask again, but slowly.
    await new Promise((wake) => setTimeout(wake, 15_000));
  }
}

/** Resolves when the browser gave up; short breaks it mends itself, with Last-Event-ID. @returns {Promise<void>} */
function stream() {
  return new Promise((ended) => {
    const source = new EventSource("/api/v1/events");
    /** @param {Generation | null} generation */
    const tell = (generation) => { deliver(generation); channel.postMessage(generation); };
    source.addEventListener("generation", (event) => tell(JSON.parse(event.data)));
    source.addEventListener("reset", () => tell(null));
    // The first opening says only what runs; what ended since the page was made has to be looked up.
    source.addEventListener("open", () => tell(null), { once: true });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) ended();
    });
    addEventListener("pagehide", () => { source.close(); ended(); }, { once: true });
  });
}
