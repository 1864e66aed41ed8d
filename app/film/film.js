// A film of figures: one Plotly node for the life of the page, each frame drawn by Plotly.react from data already here.

const PLAY_SECONDS = 8;        // a whole film takes about this long
const QUICKEST = 120;          // ms between two frames at least
const SLOWEST = 700;

export default function (component) {
  const { data, parentElement } = component;
  let root = parentElement.querySelector(".kdlab-film");
  if (!root) root = build(parentElement);
  root._kdlab.update(data, component.setTriggerValue);
  return () => root._kdlab.end();
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function loadPlotly(address) {
  if (window.Plotly) return Promise.resolve(window.Plotly);
  if (!window._kdlabPlotly) {
    // Fetched as text and run from a Blob: the type that the server gives static files then does not matter.
    window._kdlabPlotly = fetch(new URL(address, document.baseURI))
      .then((answer) => {
        if (!answer.ok) throw new Error(`${answer.status} for ${address}`);
        return answer.text();
      })
      .then((text) => new Promise((done, failed) => {
        const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
        const script = element("script", { src: url });
        script.onload = () => { URL.revokeObjectURL(url); done(window.Plotly); };
        script.onerror = () => failed(new Error("the drawing library does not run in this browser"));
        document.head.append(script);
      }));
    window._kdlabPlotly.catch(() => { window._kdlabPlotly = null; });
  }
  return window._kdlabPlotly;
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
  const coming = element("i");
  const line = element("div", { class: "coming", role: "progressbar", "aria-label": "Epochs computed" }, coming);
  const chart = element("div", { class: "chart wait", role: "img" }, "The picture is being drawn …");
  const root = element("div", { class: "kdlab-film", role: "group", "aria-label": "Film over the epochs" },
    says, element("div", { class: "bar" }, play, slider, where, element("span", { class: "group" }, png, svg)), line, chart);
  parent.append(root);

  const view = { data: null, at: 0, name: "", last: true, timer: 0, ready: new Map(), drawn: false, queued: false, ended: false, listening: false, tell: null, stamp: "" };

  const draw = () => {
    if (view.queued || view.ended) return;
    view.queued = true;
    requestAnimationFrame(() => { view.queued = false; paint(); });
  };

  function traceOf(number) {
    if (!view.ready.has(number)) view.ready.set(number, unpacked(view.data.film.traces[number]));
    return view.ready.get(number);
  }

  function paint() {
    if (!view.data || view.ended || !root.isConnected) return;
    const { film, done, total } = view.data;
    const frame = film.frames[view.at];
    if (!frame) return;
    says.textContent = frame.says;
    slider.max = film.frames.length - 1;
    slider.value = view.at;
    slider.disabled = play.disabled = film.frames.length < 2;
    slider.setAttribute("aria-valuetext", frame.label);
    where.textContent = frame.label + (done < total ? ` · ${done}/${total} ready` : "");
    line.style.visibility = done < total ? "visible" : "hidden";
    coming.style.width = `${(100 * done) / Math.max(1, total)}%`;
    play.textContent = view.timer ? "❚❚ Hold" : "▶ Play";
    root.dataset.frame = String(view.at);
    root.dataset.frames = String(film.frames.length);
    if (!window.Plotly) return;
    if (!view.drawn) { chart.classList.remove("wait"); chart.textContent = ""; view.drawn = true; }
    const width = root.clientWidth || 800;
    const { margin, meta, height } = film.layout;
    const tall = meta && meta.aspect ? margin.t + margin.b + (width - margin.l - margin.r) * meta.aspect : height;
    const style = getComputedStyle(root);
    const layout = {
      ...film.layout, annotations: frame.texts, width, height: Math.min(1100, Math.max(240, tall)), uirevision: view.data.about,
      font: { ...(film.layout.font || {}), family: style.fontFamily, color: style.color },
    };
    window.Plotly.react(chart, frame.traces.map(traceOf), layout, {
      displaylogo: false, displayModeBar: "hover", modeBarButtonsToRemove: ["lasso2d", "select2d", "toImage", "autoScale2d"],
    });
    if (!view.listening) { view.listening = true; chart.on("plotly_click", clicked); }
    root.dataset.drawn = String(Number(root.dataset.drawn || 0) + 1);
    chart.setAttribute("aria-label", `${frame.label}: ${frame.says}`);
  }

  // A field of a heat map, where the page wants to know which: [row, column], counted from 0.
  function clicked(event) {
    const point = event.points[0];
    if (view.data.cells && point && Array.isArray(point.pointNumber)) view.tell("cell", point.pointNumber);
  }

  function show(at) {
    const frames = view.data.film.frames;
    view.at = Math.min(Math.max(at, 0), frames.length - 1);
    view.last = view.at === frames.length - 1;
    view.name = frames[view.at] ? frames[view.at].name : "";
    draw();
  }

  function hold() { clearInterval(view.timer); view.timer = 0; }

  play.onclick = () => {
    if (!view.data) return;
    if (view.timer) { hold(); draw(); return; }
    const frames = view.data.film.frames.length;
    if (view.at >= frames - 1) show(0);
    view.timer = setInterval(() => {
      if (view.at >= view.data.film.frames.length - 1) { hold(); draw(); return; }
      show(view.at + 1);
    }, Math.min(SLOWEST, Math.max(QUICKEST, (1000 * PLAY_SECONDS) / frames)));
    draw();
  };
  slider.oninput = () => { hold(); show(Number(slider.value)); };
  slider.onkeydown = (event) => { if (event.key === " ") { event.preventDefault(); play.click(); } };
  const image = (format) => () => window.Plotly && view.drawn && window.Plotly.downloadImage(chart, {
    format, filename: `kdlab ${view.data.film.frames[view.at].label}`, width: chart.clientWidth, height: chart.clientHeight, scale: format === "png" ? 2 : 1,
  });
  png.onclick = image("png");
  svg.onclick = image("svg");

  const sizes = new ResizeObserver(draw);
  sizes.observe(root);

  root._kdlab = {
    update(data, tell) {
      view.data = data;
      view.tell = tell;
      root.classList.toggle("cells", Boolean(data.cells));
      view.ready = new Map();
      const found = data.film.frames.findIndex((frame) => frame.name === view.name);
      if (view.last || found < 0) show(data.film.frames.length - 1);
      else show(found);
      loadPlotly(data.plotly).then(draw).catch((error) => {
        if (!view.drawn) chart.textContent = `The picture cannot be drawn: ${error.message}. Reload the page to try again.`;
      });
    },
    end() {
      view.ended = true;
      hold();
      sizes.disconnect();
      if (window.Plotly && view.drawn) window.Plotly.purge(chart);
      root.remove();
    },
  };
  return root;
}
