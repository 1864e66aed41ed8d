// A film of figures: one Plotly node for the life of the page. What is dragged or played shows stills; at rest the
// figure itself stands there, with hover and zoom.

const PLAY_SECONDS = 8;        // a whole film takes about this long
const QUICKEST = 120;          // ms between two frames at least
const SLOWEST = 700;
const SETTLE = 180;            // ms of rest after which a still makes way for the figure
const TELL = 350;              // ms of rest after which the server hears of the epoch
const LEAST = 560;             // px of a figure of maps: on a telephone it is pushed sideways, not squeezed
const ABREAST = 900;           // px of panels side by side, likewise, in a window narrower than that

export default function (component) {
  const { data, parentElement } = component;
  let root = parentElement.querySelector(".kdlab-film");
  if (!root) root = build(parentElement);
  return lasting(root, () => root._kdlab.update(data, component));
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// A trace as Plotly takes it: heat maps come as one byte a value.
function unpacked(trace) {
  if (!trace.z || !trace.z.bytes) return trace;
  const { bytes, rows, columns, low, high } = trace.z;
  const raw = atob(bytes);
  const z = [];
  for (let row = 0; row < rows; row += 1) {
    const line = new Array(columns);
    for (let column = 0; column < columns; column += 1) {
      const level = raw.charCodeAt(row * columns + column);
      line[column] = level === 255 ? null : low + ((high - low) * level) / 254;
    }
    z.push(line);
  }
  const made = { ...trace, z };
  if (trace.meta && trace.meta.across) made.text = z.map(() => trace.meta.across);
  return made;
}

function build(parent) {
  const says = element("p", { class: "says" });
  const play = element("button", { type: "button", class: "play" }, "▶ Play");
  const slider = element("input", { type: "range", class: "slider", min: 0, max: 0, step: 1, value: 0, "aria-label": "Epoch" });
  const where = element("span", { class: "where" });
  const png = element("button", { type: "button", class: "png", "aria-label": "Download this frame as PNG" }, "PNG");
  const svg = element("button", { type: "button", class: "svg", "aria-label": "Download this frame as SVG" }, "SVG");
  const lensName = element("span", { class: "lens-name" });
  const lens = element("input", { type: "range", class: "lens", min: 0, max: 0, step: 1, value: 0 });
  const degrees = element("span", { class: "degrees" });
  const lensBar = element("div", { class: "bar lens-bar" }, lensName, degrees, lens);
  lensBar.hidden = true;
  const coming = element("i");
  const near = element("div", { class: "near kdlab-near", role: "img" });
  near.hidden = true;
  const line = element("div", { class: "coming", role: "progressbar", "aria-label": "Epochs computed" }, coming);
  const chart = element("div", { class: "chart wait", role: "img" }, "The picture is being drawn …");
  const over = element("div", { class: "stills" });
  const root = element("div", { class: "kdlab-film", role: "group", "aria-label": "Film over the epochs" },
    says, element("div", { class: "bar" }, play, slider, where, element("span", { class: "group" }, png, svg)), lensBar, line, near,
    element("div", { class: "picture" }, chart, over));
  parent.append(root);

  const view = {
    data: null, at: 0, lens: 0, timer: 0, ready: new Map(), drawn: "", queued: false, ended: false, listening: false,
    touched: false, settling: 0, telling: 0, pressed: false, brushed: null, brushes: 0, say: () => {}, width: 0, colours: "",
  };

  const draw = () => {
    if (view.queued || view.ended) return;
    view.queued = true;
    requestAnimationFrame(() => { view.queued = false; paint(); });
  };

  // A frame by its name and not its number, so that a film which grows keeps its stills.
  const keyOf = (at, lensAt) => `${view.data.film.frames[at].name}/${lensAt}`;

  function traceOf(number) {
    if (!view.ready.has(number)) view.ready.set(number, unpacked(view.data.film.traces[number]));
    return view.ready.get(number);
  }

  function figureOf(at, lensAt) {
    const { film } = view.data;
    const frame = film.frames[at];
    const { traces, texts, axes } = (frame.lenses && frame.lenses[lensAt]) || frame;
    const { margin, meta, height } = film.layout;
    const abreast = Object.keys(film.layout).some((key) => /^xaxis[2-9]/.test(key));
    const width = Math.max(meta && meta.aspect ? LEAST : abreast && window.innerWidth < ABREAST ? ABREAST : 0, root.clientWidth || 800);
    const tall = meta && meta.aspect ? margin.t + margin.b + (width - margin.l - margin.r) * meta.aspect : height;
    const style = getComputedStyle(root);
    const layout = {
      ...film.layout, annotations: texts, width, height: Math.min(1100, Math.max(240, tall)), uirevision: view.data.about,
      font: { ...(film.layout.font || {}), family: style.fontFamily, color: style.color },
    };
    for (const [name, range] of Object.entries(axes || {})) layout[name] = { ...layout[name], range };
    // The outline drawn around points would stay where it is while the points move on.
    if (view.data.brush) Object.assign(layout, { selections: [], selectionrevision: view.brushes });
    const panels = view.data.brush && meta ? meta.panels : 0;
    const chosen = view.brushed || (view.data.standing.length ? view.data.standing : null);
    return {
      layout,
      traces: traces.map((number, place) => (place < panels ? { ...traceOf(number), selectedpoints: chosen } : traceOf(number))),
    };
  }

  const stills = stillsOf(root, over, {
    async draw(stage, key) {
      const [name, lensAt] = key.split("/");
      const at = view.data.film.frames.findIndex((frame) => frame.name === name);
      const { traces, layout } = figureOf(at, Number(lensAt));
      const now = chart._fullLayout || {};
      if (view.touched) {
        // What whoever looks has zoomed into or hidden in the legend.
        for (const axis of Object.keys(layout).filter((one) => /^[xy]axis\d*$/.test(one))) {
          if (now[axis] && !now[axis].autorange) layout[axis] = { ...layout[axis], range: [...now[axis].range], autorange: false };
        }
      }
      const off = (chart._fullData || []).map((trace) => trace.visible);
      await window.Plotly.react(stage, traces.map((trace, place) => (off[place] === "legendonly" ? { ...trace, visible: "legendonly" } : trace)), layout, { staticPlot: true });
    },
    wanted() {
      if (!view.data || !view.drawn) return [];
      const frames = view.data.film.frames;
      if (frames.length < 2 && !view.data.film.lens) return [];
      const near = frames.map((_, at) => at).sort((a, b) => Math.abs(a - view.at) - Math.abs(b - view.at));
      const lenses = view.data.film.lens ? view.data.film.lens.values.map((_, at) => at) : [0];
      return [...near.map((at) => keyOf(at, view.lens)), ...lenses.map((at) => keyOf(view.at, at))];
    },
  });

  // How near the networks are to the teacher, who stands at the right end: a strip that moves with the film.
  // Where a frame has steps of a lens that say it, it is how near they are at that step.
  function tellNearness(film, frame) {
    near.hidden = !film.near || !frame.near;
    if (near.hidden) { near.dataset.made = ""; return; }
    const { networks } = film.near;
    const lensed = frame.lenses && frame.lenses[view.lens] && frame.lenses[view.lens].near ? frame.lenses[view.lens] : null;
    const of = lensed ? lensed.of : film.near.of;
    const places = lensed ? lensed.near : frame.near;
    const made = JSON.stringify(film.near);
    if (near.dataset.made !== made) {
      near.dataset.made = made;
      near.replaceChildren(element("span", { class: "of" }, element("b", {}, "How near to the teacher"), element("span", {})), element("div", { class: "track" }));
      for (const [part, [name, colour]] of Object.entries(networks)) {
        const dot = element("span", { class: `dot ${part}`, style: `--part: ${colour}` }, element("span", { class: "name" }, name));
        near.lastChild.append(dot);
      }
    }
    near.querySelector(".of span").textContent = of;
    const said = [];
    for (const dot of near.querySelectorAll(".dot")) {
      const part = dot.classList[1];
      const share = part === "teacher" ? 1 : places[part];
      dot.hidden = share === undefined;
      if (dot.hidden) continue;
      dot.style.left = `${100 * share}%`;
      dot.dataset.near = String(share);
      dot.classList.toggle("early", share < 0.12);
      if (part === "teacher") continue;
      const percent = share < 1 && share > 0.994 ? (Math.floor(1000 * share) / 10).toFixed(1) : Math.round(100 * share);
      dot.firstChild.textContent = `${networks[part][0]} ${percent} %`;
      said.push(dot.firstChild.textContent);
    }
    near.setAttribute("aria-label", `How near to the teacher (${of}): ${said.join(", ")}`);
  }

  // Where each frame stands on the slider: while others are still to come, where it will stand among them.
  function spots() {
    const { film, done, total } = view.data;
    const last = Math.max(...film.frames.map((frame) => frame.epoch));
    return film.frames.map((frame, place) => (done < total && last > 0 ? Math.round(((total - 1) * frame.epoch) / last) : place));
  }

  function nearest(wanted) {
    const all = spots();
    const best = all.reduce((found, spot, place) => (Math.abs(spot - wanted) < Math.abs(all[found] - wanted) ? place : found), 0);
    // A key moves by one, which may be less than the way to the next frame that is there.
    if (best !== view.at || view.pressed || wanted === all[view.at]) return best;
    return Math.min(Math.max(view.at + Math.sign(wanted - all[view.at]), 0), all.length - 1);
  }

  function tell() {
    const { film, done, total } = view.data;
    const frame = film.frames[view.at];
    tellNearness(film, frame);
    says.textContent = frame.says;
    says.hidden = Boolean(film.still) && !frame.says;
    slider.max = Math.max(done < total ? total : 0, film.frames.length) - 1;
    slider.value = spots()[view.at];
    slider.disabled = play.disabled = film.frames.length < 2;
    slider.hidden = play.hidden = where.hidden = line.hidden = Boolean(film.still);
    slider.setAttribute("aria-valuetext", frame.label);
    where.textContent = frame.label + (done < total ? ` · ${done}/${total} ready` : "");
    line.style.visibility = done < total ? "visible" : "hidden";
    coming.style.width = `${(100 * done) / Math.max(1, total)}%`;
    play.textContent = view.timer ? "❚❚ Hold" : "▶ Play";
    lensBar.hidden = !film.lens;
    if (film.lens) {
      lensName.textContent = film.lens.label;
      lens.setAttribute("aria-label", film.lens.label);
      lens.max = film.lens.values.length - 1;
      lens.value = view.lens;
      degrees.textContent = film.lens.values[view.lens];
      lens.setAttribute("aria-valuetext", film.lens.values[view.lens]);
    }
    root.dataset.frame = String(view.at);
    root.dataset.frames = String(film.frames.length);
    root.dataset.epoch = String(frame.epoch);
    chart.setAttribute("aria-label", `${frame.label}: ${frame.says}`);
  }

  function paint() {
    if (!view.data || view.ended || !root.isConnected || !view.data.film.frames[view.at]) return;
    tell();
    if (!window.Plotly) return;
    const key = keyOf(view.at, view.lens);
    if (view.drawn && view.drawn !== key && (view.pressed || view.timer || view.settling) && stills.show(key)) {
      chart.style.visibility = "hidden";
      root.dataset.drawn = String(Number(root.dataset.drawn || 0) + 1);
      return;
    }
    if (view.drawn === key) { reveal(); return; }
    figure(key);
  }

  // The figure itself, which takes its time.
  function figure(key) {
    if (!view.drawn) { chart.classList.remove("wait"); chart.textContent = ""; }
    const { traces, layout } = figureOf(view.at, view.lens);
    window.Plotly.react(chart, traces, layout, {
      displaylogo: false, displayModeBar: "hover",
      modeBarButtonsToRemove: view.data.brush ? ["toImage", "autoScale2d"] : ["lasso2d", "select2d", "toImage", "autoScale2d"],
    });
    view.drawn = key;
    root.dataset.figure = view.data.film.frames[view.at].name;
    root.dataset.shows = `${view.data.stamp} ${view.data.standing.length}`;
    if (!view.listening) listen();
    reveal();
    stills.soon();
    root.dataset.drawn = String(Number(root.dataset.drawn || 0) + 1);
  }

  function reveal() {
    chart.style.visibility = "";
    stills.show(null);
  }

  function settle() {
    clearTimeout(view.settling);
    view.settling = setTimeout(() => { view.settling = 0; if (!view.pressed && !view.timer) draw(); else settle(); }, SETTLE);
  }

  function listen() {
    view.listening = true;
    chart.on("plotly_click", clicked);
    chart.on("plotly_relayout", (change) => {
      if (!Object.keys(change).some((name) => /^[xy]axis\d*\.(range|autorange)/.test(name))) return;
      view.touched = true;
      stills.forget();
    });
    chart.on("plotly_restyle", () => stills.forget());
    // Taking an outline away tells of a choice of nothing, which nobody made.
    chart.on("plotly_selected", (event) => { if (event && event.points.length) brush(event.points); });
    chart.on("plotly_doubleclick", () => { if (view.data.brush) brush(null); });
  }

  // A field of a heat map, where the page wants to know which: [row, column], counted from 0.
  function clicked(event) {
    const point = event.points[0];
    if (view.data.cells && point && Array.isArray(point.pointNumber)) view.say("cell", point.pointNumber);
    else if (view.data.brush && point) brush([point]);
  }

  // Points chosen in one panel are chosen in all.
  function brush(points) {
    if (!view.data.brush) return;
    const { panels } = view.data.film.layout.meta;
    const rows = points ? [...new Set(points.filter((point) => point.curveNumber < panels).map((point) => point.pointNumber))].sort((a, b) => a - b) : [];
    view.brushed = rows.length ? rows : null;
    view.brushes += 1;
    view.drawn = "again";
    stills.forget();
    root.dataset.brushed = String(rows.length);
    draw();
    view.hold("rows", rows);
  }

  function show(at) {
    const frames = view.data.film.frames;
    view.at = Math.min(Math.max(at, 0), frames.length - 1);
    draw();
  }

  // Whoever looks has chosen: the other films follow at once, the server once the hand rests.
  function choose(at) {
    const frames = view.data.film.frames;
    stills.touch();
    show(at);
    settle();
    chooseMoment(view.at === frames.length - 1 ? null : frames[view.at].epoch, root);
    clearTimeout(view.telling);
    view.telling = setTimeout(report, TELL);
  }

  function report() {
    if (view.pressed || view.timer) { view.telling = setTimeout(report, TELL); return; }
    if (!view.ended) view.say("epoch", { epoch: theMoment().epoch });
  }

  function followed(event) {
    if (event.detail.from === root || !view.data) return;
    hold();
    stills.touch();
    show(frameAt(view.data.film.frames, theMoment().epoch));
    settle();
  }
  window.addEventListener(MOMENT, followed);

  function hold() { clearInterval(view.timer); view.timer = 0; }

  play.onclick = () => {
    if (!view.data) return;
    if (view.timer) { hold(); choose(view.at); return; }
    const frames = view.data.film.frames.length;
    if (view.at >= frames - 1) choose(0);
    view.timer = setInterval(() => {
      if (view.at >= view.data.film.frames.length - 1) { hold(); choose(view.at); return; }
      choose(view.at + 1);
    }, Math.min(SLOWEST, Math.max(QUICKEST, (1000 * PLAY_SECONDS) / frames)));
    draw();
  };
  slider.oninput = () => { hold(); choose(nearest(Number(slider.value))); };
  slider.onkeydown = (event) => { if (event.key === " ") { event.preventDefault(); play.click(); } };
  lens.oninput = () => { view.lens = Number(lens.value); stills.touch(); settle(); draw(); };
  for (const one of [slider, lens]) one.onpointerdown = () => { view.pressed = true; };
  const released = () => { view.pressed = false; };
  for (const name of ["pointerup", "pointercancel", "blur"]) window.addEventListener(name, released);

  const image = (format) => () => {
    if (!window.Plotly || !view.drawn) return;
    if (view.drawn !== keyOf(view.at, view.lens)) figure(keyOf(view.at, view.lens));
    window.Plotly.downloadImage(chart, {
      format, filename: `kdlab ${view.data.film.frames[view.at].label}`, width: chart.clientWidth, height: chart.clientHeight, scale: format === "png" ? 2 : 1,
    });
  };
  png.onclick = image("png");
  svg.onclick = image("svg");

  const sizes = new ResizeObserver(() => {
    if (root.clientWidth === view.width || !root.clientWidth) return;
    view.width = root.clientWidth;
    if (view.drawn) { view.drawn = "again"; stills.forget(); draw(); }
  });
  sizes.observe(root);

  root._kdlab = {
    update(data, component) {
      const before = view.data;
      view.data = data;
      view.say = component.setTriggerValue;
      view.hold = component.setStateValue;
      root.classList.toggle("cells", Boolean(data.cells));
      adoptMoment(data.at);
      const { film } = data;
      if (before && String(before.standing) !== String(data.standing)) { view.drawn = view.drawn && "again"; stills.forget(); }
      if (!before || before.stamp !== data.stamp) {
        view.ready = new Map();
        if (film.lens && !(before && before.film.lens)) view.lens = film.lens.start;
        const same = before && before.about === data.about && JSON.stringify(before.film.layout) === JSON.stringify(film.layout);
        const stamps = new Map(film.frames.map((frame) => [frame.name, frame.stamp]));
        const old = new Map(before ? before.film.frames.map((frame) => [frame.name, frame.stamp]) : []);
        const holds = (key) => same && stamps.get(key.split("/")[0]) === old.get(key.split("/")[0]);
        if (!same) view.touched = view.touched && Boolean(before) && before.about === data.about;
        if (view.drawn && !holds(view.drawn)) view.drawn = "again";
        if (before && before.about !== data.about) { view.brushed = null; delete root.dataset.brushed; }
        stills.forget(holds);
      }
      show(frameAt(film.frames, theMoment().epoch));
      loadPlotly(data.plotly).then(draw).catch((error) => {
        if (!view.drawn) chart.textContent = `The picture cannot be drawn: ${error.message}. Reload the page to try again.`;
      });
    },
    end() {
      view.ended = true;
      hold();
      clearTimeout(view.settling);
      clearTimeout(view.telling);
      sizes.disconnect();
      window.removeEventListener(MOMENT, followed);
      for (const name of ["pointerup", "pointercancel", "blur"]) window.removeEventListener(name, released);
      stills.end();
      if (window.Plotly && view.drawn) window.Plotly.purge(chart);
      root.remove();
    },
  };
  return root;
}
