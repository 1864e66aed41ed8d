// The live chart of a run. One Plotly node for the life of the page: every update goes through Plotly.react.

const PLACES = 1000;           // steps of the replay slider
const PLAY_SECONDS = 10;       // a replay takes this long
const NARROW = 700;            // below this width (px) the panels stand under one another

export default function (component) {
  const { data, parentElement } = component;
  let root = parentElement.querySelector("#kdlab-live");
  if (!root) {
    root = build(parentElement);
  }
  root._kdlab.update(data);
  return () => root._kdlab.end();
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function build(parent) {
  const button = (id, text, label) => element("button", { type: "button", id, "data-testid": id, "aria-label": label }, text);
  const tick = (id, text, title) => {
    const box = element("input", { type: "checkbox", id, "data-testid": id });
    return [box, element("label", { for: id, title }, box, text)];
  };
  const chart = element("div", { id: "kdlab-live-chart", "data-testid": "kdlab-live-chart", class: "chart", role: "img" });
  const phase = element("select", { id: "kdlab-live-phase", "data-testid": "kdlab-live-phase", "aria-label": "Phase whose losses are drawn" });
  const weighted = button("kdlab-live-weighted", "Weighted", "Terms times their weights: what the student minimises");
  const raw = button("kdlab-live-raw", "Raw", "Terms before their weights");
  const [log, logLabel] = tick("kdlab-live-log", "log scale", "Logarithmic loss axis");
  const [smooth, smoothLabel] = tick("kdlab-live-smooth", "smooth", "Mean of 9 neighbouring points; the CSV has the plain values");
  const pause = button("kdlab-live-pause", "Pause view", "Hold the picture still; the run goes on");
  const png = button("kdlab-live-png", "PNG", "Download the chart as PNG");
  const svg = button("kdlab-live-svg", "SVG", "Download the chart as SVG");
  const csv = button("kdlab-live-csv", "CSV", "Download all values as CSV");
  const play = button("kdlab-live-play", "▶ Replay", "Play the run from its start");
  const slider = element("input", {
    type: "range", min: 0, max: PLACES, step: 1, value: PLACES, id: "kdlab-live-slider",
    "data-testid": "kdlab-live-slider", "aria-label": "Moment of the run",
  });
  const phases = element("div", { class: "phases", "aria-hidden": "true" });
  const where = element("span", { class: "where", id: "kdlab-live-where", "data-testid": "kdlab-live-where" });
  const said = element("p", { class: "said", id: "kdlab-live-said" });
  const legend = element("div", { class: "legend", id: "kdlab-live-legend", "data-testid": "kdlab-live-legend" });
  const bar = element("div", { class: "bar" },
    element("label", {}, "Losses of", phase), element("span", { class: "group", role: "group", "aria-label": "Loss terms" }, weighted, raw),
    logLabel, smoothLabel, element("span", { class: "space" }), pause, element("span", { class: "group" }, png, svg, csv));
  const replay = element("div", { class: "replay" }, play, element("div", { class: "track" }, phases, slider), where);
  const root = element("div", { id: "kdlab-live", "data-testid": "kdlab-live", role: "group", "aria-label": "Live curves of the run" },
    bar, legend, chart, replay, said);
  parent.append(root);

  const view = {
    data: null, place: 1, follow: true, paused: false, held: null, kind: "weighted", phase: -1,
    playing: 0, queued: false, drawn: false, ended: false, off: new Set(),
  };
  chart.classList.add("wait");
  chart.textContent = "The chart is being loaded …";

  const draw = () => {
    if (view.queued || view.ended) return;
    view.queued = true;
    requestAnimationFrame(() => { view.queued = false; paint(); });
  };

  function paint() {
    const data = view.paused && view.held ? view.held : view.data;
    if (!data || !window.Plotly || view.ended || !root.isConnected) return;
    if (!view.drawn) { chart.classList.remove("wait"); chart.textContent = ""; view.drawn = true; }
    const now = moment(data, view.follow ? 1 : view.place);
    const shown = view.phase >= 0 && view.phase < data.phases.length ? view.phase : now.phase;
    const options = { now, shown, kind: view.kind, log: log.checked, smooth: smooth.checked, width: root.clientWidth || 600, style: getComputedStyle(root), off: view.off };
    const { traces, layout, summary, titles } = figure(data, options);
    view.last = options;
    name(traces, titles, options.width < NARROW);
    window.Plotly.react(chart, traces, layout, {
      displaylogo: false, displayModeBar: "hover", modeBarButtonsToRemove: ["lasso2d", "select2d", "toImage"], responsive: false,
    });
    root.dataset.updates = String(Number(root.dataset.updates || 0) + 1);
    root.dataset.points = String(traces.reduce((sum, trace) => sum + trace.x.length, 0));
    chart.setAttribute("aria-label", summary);
    said.textContent = summary;
    place(data, now);
  }

  // The legend is made here: two of Plotly's own beside one another run into each other when their names are long.
  function name(traces, titles, narrow) {
    const wanted = JSON.stringify([narrow, titles, traces.map((trace) => [trace.uid, trace.line.color, trace.line.dash])]);
    if (legend.dataset.what !== wanted) {
      legend.dataset.what = wanted;
      legend.classList.toggle("narrow", narrow);
      legend.replaceChildren(...titles.map((title, panel) => {
        const cell = element("div", { role: "group", "aria-label": title }, element("b", {}, title));
        for (const trace of traces.filter((one) => one.name && one.xaxis === (panel ? "x2" : "x"))) {
          const chip = element("button", { type: "button", "data-name": trace.uid, title: "Show or hide this curve" }, element("i"), trace.name);
          const style = { solid: "solid", dash: "dashed", dot: "dotted", dashdot: "dashed" }[trace.line.dash] || "solid";
          chip.firstChild.style.borderTop = `${trace.line.width > 2 ? 3 : 2}px ${style} ${trace.line.color}`;
          chip.onclick = () => { if (!view.off.delete(trace.uid)) view.off.add(trace.uid); draw(); };
          cell.append(chip);
        }
        return cell;
      }));
    }
    for (const chip of legend.querySelectorAll("button")) chip.setAttribute("aria-pressed", String(!view.off.has(chip.dataset.name)));
  }

  function place(data, now) {
    const wanted = JSON.stringify(data.phases.map((one) => [one.title, one.colour, one.share]));
    if (phases.dataset.what !== wanted) {
      phases.dataset.what = wanted;
      phases.replaceChildren(...data.phases.map((one, number) => {
        const made = element("div", { class: "phase", title: `${number + 1}. ${one.title}` }, element("i"), element("span", {}, `${number + 1} ${one.title}`));
        made.style.flex = `${one.share} 1 0`;
        made.firstChild.style.background = one.colour;
        return made;
      }));
      const chosen = view.phase;
      phase.replaceChildren(element("option", { value: -1 }, "the phase at this moment"),
        ...data.phases.filter((one) => one.step > 0 || one.begun).map((one, number) => element("option", { value: number }, `${number + 1} ${one.title}`)));
      phase.value = String(chosen);
    }
    [...phases.children].forEach((made, number) => {
      const share = number < now.phase ? 1 : number === now.phase ? now.share : 0;
      made.firstChild.style.width = `${100 * share}%`;
    });
    const reached = Math.round(PLACES * data.reached);
    if (document.activeElement !== slider || view.playing || view.follow) slider.value = Math.round(PLACES * now.place);
    slider.setAttribute("aria-valuetext", now.words);
    slider.disabled = reached === 0;
    where.textContent = now.words;
    play.textContent = view.playing ? "❚❚ Hold" : data.running && !view.follow ? "● Live" : "▶ Replay";
    play.setAttribute("aria-label", view.playing ? "Hold the replay" : data.running && !view.follow ? "Back to the present" : "Play the run from its start");
    weighted.setAttribute("aria-pressed", String(view.kind === "weighted"));
    raw.setAttribute("aria-pressed", String(view.kind === "raw"));
    pause.hidden = !data.running && !view.paused;
    pause.setAttribute("aria-pressed", String(view.paused));
    pause.textContent = view.paused ? "Paused: go on" : "Pause view";
    root.dataset.state = data.running ? "running" : "over";
  }

  function stopPlaying() { if (view.playing) cancelAnimationFrame(view.playing); view.playing = 0; }

  function scrub(place) {
    const end = view.data ? view.data.reached : 1;
    view.place = Math.min(Math.max(place, 0), end);
    view.follow = view.place >= end - 0.5 / PLACES;
    draw();
  }

  function startPlaying() {
    const end = view.data.reached;
    if (view.follow || view.place >= end) view.place = 0;
    view.follow = false;
    let before = performance.now();
    const tickOn = (time) => {
      const moved = (time - before) / 1000 / PLAY_SECONDS;
      before = time;
      view.place += moved;
      if (view.place >= view.data.reached) { view.playing = 0; view.follow = true; draw(); return; }
      draw();
      view.playing = requestAnimationFrame(tickOn);
    };
    view.playing = requestAnimationFrame(tickOn);
  }

  play.onclick = () => {
    if (!view.data) return;
    if (view.playing) stopPlaying();
    else if (view.data.running && !view.follow) view.follow = true;
    else startPlaying();
    draw();
  };
  slider.oninput = () => { stopPlaying(); scrub(Number(slider.value) / PLACES); };
  slider.onkeydown = (event) => {
    if (event.key === " ") { event.preventDefault(); play.click(); return; }
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!step || !view.data) return;
    event.preventDefault();
    stopPlaying();
    scrub(nextEpoch(view.data, view.follow ? view.data.reached : view.place, step));
  };
  weighted.onclick = () => { view.kind = "weighted"; draw(); };
  raw.onclick = () => { view.kind = "raw"; draw(); };
  log.onchange = smooth.onchange = draw;
  phase.onchange = () => { view.phase = Number(phase.value); draw(); };
  pause.onclick = () => { view.paused = !view.paused; view.held = view.paused ? view.data : null; draw(); };
  const image = (format) => () => {
    if (!window.Plotly || !view.drawn) return;
    // Drawn with titles and legend, which stand beside the chart on the page.
    const { traces, layout } = figure(view.data, { ...view.last, titled: true });
    for (const axis of ["xaxis", "yaxis", "xaxis2", "yaxis2"]) layout[axis].range = chart.layout[axis].range;
    window.Plotly.downloadImage({ data: traces, layout }, {
      format, filename: `kdlab-${view.data.run}`, width: layout.width, height: layout.height, scale: format === "png" ? 2 : 1,
    });
  };
  png.onclick = image("png");
  svg.onclick = image("svg");
  csv.onclick = () => {
    if (!view.data) return;
    const url = URL.createObjectURL(new Blob([table(view.data)], { type: "text/csv" }));
    element("a", { href: url, download: `kdlab-${view.data.run}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  };

  const sizes = new ResizeObserver(draw);
  sizes.observe(root);
  let colours = "";
  const look = setInterval(() => {
    const style = getComputedStyle(root);
    const seen = `${style.getPropertyValue("--st-background-color")} ${style.color}`;
    if (seen !== colours) { colours = seen; draw(); }
  }, 700);

  root._kdlab = {
    update(data) {
      const other = view.data && view.data.run !== data.run;
      if (other) { stopPlaying(); Object.assign(view, { follow: true, paused: false, held: null, phase: -1 }); }
      view.data = data;
      loadPlotly(data.plotly).then(draw).catch((error) => {
        if (!view.drawn) chart.textContent = `The chart cannot be drawn: ${error.message}. Reload the page to try again.`;
      });
      draw();
    },
    end() {
      view.ended = true;
      stopPlaying();
      clearInterval(look);
      sizes.disconnect();
      if (window.Plotly && view.drawn) window.Plotly.purge(chart);
      root.remove();
    },
  };
  return root;
}

// Where a place in [0, 1] of the whole run lies: its phase, the step in it and the words for it.
function moment(data, wanted) {
  const place = Math.min(wanted, data.reached);
  let before = 0;
  for (let number = 0; number < data.phases.length; number += 1) {
    const one = data.phases[number];
    const last = number === data.phases.length - 1 || !data.phases[number + 1].begun;
    if (place < before + one.share - 1e-9 || last) {
      const share = one.steps ? Math.min(1, Math.max(0, (place - before) / one.share)) : 0;
      const epoch = share * one.epochs;
      return { place, phase: number, share, step: wanted >= 1 ? Infinity : share * one.steps + 1e-6, words: `phase ${number + 1} of ${data.phases.length} · epoch ${epoch.toFixed(1)} of ${one.epochs}` };
    }
    before += one.share;
  }
  return { place, phase: 0, share: 0, step: Infinity, words: "not begun" };
}

// The place of the next whole epoch in this direction.
function nextEpoch(data, place, direction) {
  const edges = [0];
  let before = 0;
  for (const one of data.phases) {
    for (let epoch = 1; epoch <= one.epochs; epoch += 1) edges.push(before + (one.share * epoch) / one.epochs);
    before += one.share;
  }
  const near = 1e-4;
  return direction > 0 ? edges.find((edge) => edge > place + near) ?? 1 : [...edges].reverse().find((edge) => edge < place - near) ?? 0;
}

function until(now, trace) {
  if (trace.phase < now.phase) return trace.step.length;
  if (trace.phase > now.phase) return 0;
  const after = trace.step.findIndex((step) => step > now.step);
  return after < 0 ? trace.step.length : after;
}

function running(values, reach) {
  return values.map((_, place) => {
    const near = values.slice(Math.max(0, place - reach), place + reach + 1).filter((value) => value !== null);
    return near.length ? near.reduce((sum, value) => sum + value, 0) / near.length : null;
  });
}

function figure(data, { now, shown, kind, log, smooth, width, style, off, titled }) {
  const ink = style.getPropertyValue("--st-text-color").trim() || style.color;
  const paper = style.getPropertyValue("--st-background-color").trim() || "#ffffff";
  const narrow = width < NARROW;
  const traces = [];
  const ends = [];
  for (const trace of data.losses) {
    if (trace.phase !== shown || (trace.kind !== "both" && trace.kind !== kind)) continue;
    const count = until(now, trace);
    const y = trace.y.slice(0, count);
    traces.push({
      type: "scatter", mode: "lines", uid: `loss ${trace.name}`, name: trace.name, x: trace.x.slice(0, count), y: smooth ? running(y, 4) : y,
      xaxis: "x", yaxis: "y", visible: !off.has(`loss ${trace.name}`), line: { color: trace.colour, width: trace.total ? 2.5 : 1.5, dash: trace.dash },
      hovertemplate: `%{y:.4g}<extra>${trace.name}</extra>`,
    });
  }
  const longest = Math.max(1, ...data.scores.filter((trace) => !(trace.level && trace.phase < now.phase)).map((trace) => data.phases[trace.phase].epochs));
  for (const trace of data.scores) {
    const count = until(now, trace);
    const last = count ? trace.y[count - 1] : null;
    // A network whose own training is over is the mark that the others are measured by: a level, not a curve.
    const level = trace.level && trace.phase < now.phase && count > 0;
    const flat = { x: [0, longest], y: [last, last] };
    const curve = level ? flat : { x: trace.x.slice(0, count), y: trace.y.slice(0, count) };
    traces.push({
      type: "scatter", mode: level || count > 1 ? "lines" : "markers", uid: `score ${trace.name}`, name: trace.name, ...curve, xaxis: "x2", yaxis: "y2", visible: !off.has(`score ${trace.name}`),
      line: { color: trace.colour, width: trace.hidden ? 1.5 : 2.5, dash: trace.level && !level ? "solid" : trace.dash }, marker: { color: trace.colour, size: 6 },
      hovertemplate: `%{y:.1f} %<extra>${trace.name}${level ? " (finished)" : ""}</extra>`,
    });
    if (last !== null) ends.push(`${trace.name} ${last.toFixed(1)} %`);
  }
  const axis = (revision, more) => ({
    uirevision: `${data.run} ${revision}`, gridcolor: mix(ink, 0.15), zerolinecolor: mix(ink, 0.3), linecolor: mix(ink, 0.3), automargin: true, ...more,
  });
  const [left, right, low, high] = narrow ? [[0, 1], [0, 1], [0.59, 1], [0, 0.41]] : [[0, 0.475], [0.545, 1], [0, 1], [0, 1]];
  const phase = data.phases[shown];
  const title = (text, x, y) => ({ text: `<b>${text}</b>`, x, y, xref: "paper", yref: "paper", xanchor: "left", yanchor: "bottom", showarrow: false, font: { size: 14 } });
  const wait = (text, x, y) => ({ text, x, y, xref: "paper", yref: "paper", xanchor: "center", yanchor: "middle", showarrow: false, font: { color: mix(ink, 0.6) } });
  // An axis without a curve would not be drawn at all.
  for (const [x, y] of [["x", "y"], ["x2", "y2"]]) {
    if (!traces.some((trace) => trace.xaxis === x)) traces.push({ type: "scatter", mode: "lines", uid: `none ${x}`, name: "", x: [], y: [], xaxis: x, yaxis: y, line: {}, showlegend: false });
  }
  const titles = [phase ? `Loss: ${phase.title.charAt(0).toLowerCase()}${phase.title.slice(1)}` : "Loss", data.score_title];
  const annotations = titled || narrow ? [title(titles[0], left[0], 1.005), title(titles[1], right[0], high[1] + 0.005)] : [];
  const middle = (span) => (span[0] + span[1]) / 2;
  if (!traces.some((trace) => trace.xaxis === "x" && trace.x.length)) annotations.push(wait("the first step is awaited", middle(left), middle(low)));
  if (!traces.some((trace) => trace.xaxis === "x2" && trace.x.length)) annotations.push(wait("scored after each epoch", middle(right), middle(high)));
  const layout = {
    width, height: (narrow ? 640 : Math.max(data.height, Math.min(window.innerHeight - 430, 640))) + (titled ? 70 : 0), uirevision: data.run, annotations, showlegend: Boolean(titled), hovermode: "x unified",
    paper_bgcolor: paper, plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, family: style.fontFamily, size: 12 },
    hoverlabel: { bgcolor: paper, font: { color: ink } }, margin: { l: 52, r: 10, t: titled || narrow ? 28 : 10, b: titled ? 86 : 40 },
    xaxis: axis(`x ${shown}`, { domain: left, anchor: "y", title: { text: "epochs of this phase", standoff: 4 }, range: [0, (phase && phase.epochs) || 1] }),
    yaxis: axis(`y ${shown} ${kind} ${log}`, {
      domain: low, anchor: "x", type: log ? "log" : "linear", rangemode: log ? "normal" : "tozero", exponentformat: "power",
      title: { text: kind === "weighted" ? "loss × weight" : "loss before weights", standoff: 6 },
    }),
    xaxis2: axis(`x2 ${longest}`, { domain: right, anchor: "y2", title: { text: "epochs of its own training", standoff: 4 }, range: [0, longest] }),
    yaxis2: axis("y2", { domain: high, anchor: "x2", title: { text: "accuracy in %", standoff: 6 } }),
    legend: { orientation: "h", x: 0, y: -0.14, yanchor: "top", bgcolor: "rgba(0,0,0,0)" },
  };
  return { traces, layout, summary: `Validation accuracy: ${ends.join(", ") || "not measured yet"}. ${now.words}.`, titles };
}

function mix(colour, share) {
  const hex = /^#([0-9a-f]{6})$/i.exec(colour);
  if (hex) {
    const whole = parseInt(hex[1], 16);
    return `rgba(${whole >> 16},${(whole >> 8) & 255},${whole & 255},${share})`;
  }
  const parts = /rgba?\(([^)]+)\)/.exec(colour);
  return parts ? `rgba(${parts[1].split(",").slice(0, 3).join(",")},${share})` : "rgba(128,128,128,0.3)";
}

function table(data) {
  const quote = (text) => `"${String(text).replaceAll('"', '""')}"`;
  const lines = ["what,phase,series,step,epoch,value"];
  for (const [what, list] of [["loss", data.losses], ["accuracy in %", data.scores]]) {
    for (const trace of list) {
      const kind = trace.kind && trace.kind !== "both" ? ` ${trace.kind}` : "";
      const phase = data.phases[trace.phase].title;
      trace.y.forEach((value, at) => lines.push([quote(what + kind), quote(phase), quote(trace.name), trace.step[at], trace.x[at], value ?? ""].join(",")));
    }
  }
  return `${lines.join("\n")}\n`;
}
