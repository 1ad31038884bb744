// Rows of running generations follow the events; when one ends the server's row takes its place.

import { listen } from "./rk-events.js";
import { element, fragment } from "./rk-net.js";

element("rk-rows", (host) => {
  let timer = 0;

  async function renew() {
    timer = 0;
    try {
      const page = await fragment(location.pathname + location.search);
      for (const row of page.querySelectorAll("tr[data-gen]")) {
        const old = host.querySelector(`tr[data-gen="${CSS.escape(row.getAttribute("data-gen") ?? "")}"]`);
        if (old && old.getAttribute("data-state") !== row.getAttribute("data-state")) old.replaceWith(row);
      }
    } catch {
      // The next change tries again.
    }
  }

  listen((generation) => {
    const row = generation && host.querySelector(`tr[data-gen="${CSS.escape(generation.id)}"]`);
    if (!generation || (row && row.getAttribute("data-state") !== generation.state)) timer ||= window.setTimeout(renew, 600);
  });
});
