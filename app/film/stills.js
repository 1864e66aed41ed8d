// Stills: every frame drawn once, out of sight and while nobody waits, and kept as drawn. Showing one is a matter of
// milliseconds where Plotly takes fifty and more for a figure of many panels.
const MOST_STILLS = 140;
const MOST_NODES = 60000;      // drawn elements in all stills together
const REST = 350;              // ms without a touch after which stills are made

// `draw(stage, key)` draws a frame into a node out of sight and gives back a promise; `wanted()` lists keys, nearest first.
function stillsOf(root, place, { draw, wanted }) {
  const stage = element("div", { class: "stage", "aria-hidden": "true" });
  root.append(stage);
  const kept = new Map();      // key -> node
  let touched = 0, waiting = 0, busy = false, ended = false, shown = null, count = 0, nodes = 0, broken = false;

  const idle = window.requestIdleCallback ? (call) => window.requestIdleCallback(call, { timeout: 2000 }) : (call) => setTimeout(call, 30);

  function later(delay) {
    if (waiting || ended) return;
    waiting = setTimeout(() => { waiting = 0; idle(() => make()); }, delay);
  }

  async function make() {
    if (busy || ended || broken || !root.isConnected) return;
    const left = REST - (performance.now() - touched);
    if (left > 0 || !root.clientWidth) { later(Math.max(50, left)); return; }
    const key = wanted().find((one) => !kept.has(one));
    if (key === undefined || kept.size >= MOST_STILLS || nodes > MOST_NODES) { root.dataset.stills = String(kept.size); return; }
    busy = true;
    const before = count;
    try {
      await draw(stage, key);
      // Whatever was forgotten meanwhile was drawn from what no longer holds.
      if (!ended && before === count) keep(key);
    } catch (error) {
      broken = true;           // then each frame is drawn by Plotly when it is looked at
    } finally { busy = false; }
    later(0);
  }

  function touch() { touched = performance.now(); later(REST); }

  // Whatever is pressed anywhere on the page wants the browser for itself: a still takes it for a frame's time.
  const hands = ["pointerdown", "keydown"];
  for (const name of hands) window.addEventListener(name, touch, true);

  function keep(key) {
    if (stage.querySelector("canvas")) { broken = true; return; }
    const still = element("div", { class: "still", "aria-hidden": "true" });
    const sign = `-${kept.size}-${Math.random().toString(36).slice(2, 8)}`;
    for (const svg of stage.querySelectorAll(".main-svg")) {
      const copy = svg.cloneNode(true);
      // Clip paths are found by their names, which must differ from those of the chart and of other stills.
      for (const node of copy.querySelectorAll("[id]")) node.id += sign;
      for (const node of copy.querySelectorAll("[clip-path], [mask], [style*='url('], [fill^='url(']")) {
        for (const name of ["clip-path", "mask", "style", "fill"]) {
          const said = node.getAttribute(name);
          if (said && said.includes("url(")) node.setAttribute(name, said.replace(/url\((["']?)[^)"']*#([^)"']+)\1\)/g, `url("#$2${sign}")`));
        }
      }
      still.append(copy);
    }
    still.hidden = true;
    place.append(still);
    kept.set(key, still);
    nodes += still.querySelectorAll("*").length;
    root.dataset.stills = String(kept.size);
  }

  return {
    has: (key) => kept.has(key),
    show(key) {
      const still = kept.get(key);
      if (shown === still) return Boolean(still);
      if (still) still.hidden = false;
      if (shown) shown.hidden = true;
      shown = still || null;
      return Boolean(still);
    },
    // There is something to make, once nobody waits.
    soon() { later(REST); },
    // A hand is at work: wait until it rests.
    touch,
    // Those that still hold are kept.
    forget(holds = () => false) {
      count += 1;
      broken = false;
      for (const [key, still] of kept) {
        if (holds(key)) continue;
        if (still === shown) shown = null;
        nodes -= still.querySelectorAll("*").length;
        still.remove();
        kept.delete(key);
      }
      root.dataset.stills = String(kept.size);
      later(REST);
    },
    end() {
      ended = true;
      clearTimeout(waiting);
      for (const name of hands) window.removeEventListener(name, touch, true);
      if (window.Plotly) window.Plotly.purge(stage);
      kept.clear();
    },
  };
}
