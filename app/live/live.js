// The live chart of a run. One Plotly node for the life of the page: every update goes through Plotly.react.

const PLACES = 1000;           // steps of the replay slider
const PLAY_SECONDS = 10;       // a replay takes this long

export default function (component) {
  const { data, parentElement } = component;
  let root = parentElement.querySelector("#kdlab-live");
  if (!root) {
    root = build(parentElement);
  }
  return lasting(root, () => root._kdlab.update(data));
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
    playing: 0, queued: false, drawn: false, ended: false, off: new Set(), zoomed: {},
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
    const options = { now, shown, kind: view.kind, log: log.checked, smooth: smooth.checked, width: root.clientWidth || 600, style: getComputedStyle(root), off: view.off, zoomed: view.zoomed };
    const { traces, layout, summary, titles, whole } = figure(data, options);
    view.last = { ...options, whole };
    name(traces, titles, options.width < NARROW);
    window.Plotly.react(chart, traces, layout, {
      displaylogo: false, displayModeBar: "hover", modeBarButtonsToRemove: ["lasso2d", "select2d", "toImage", "resetScale2d"], responsive: false, doubleClick: "autosize",
    });
    if (!view.listening) { view.listening = true; chart.on("plotly_relayout", remember); }
    root.dataset.updates = String(Number(root.dataset.updates || 0) + 1);
    root.dataset.points = String(traces.reduce((sum, trace) => sum + trace.x.length, 0));
    chart.setAttribute("aria-label", summary);
    said.textContent = summary;
    place(data, now);
  }

  // Along x the range is the whole budget, or what someone zoomed to. Plotly would give up a zoom when the budget changes.
  function remember(change) {
    for (const [axis, name, whole] of [["xaxis", `x ${view.last.shown}`, view.last.whole[0]], ["xaxis2", "x2", view.last.whole[1]]]) {
      const [low, high] = change[`${axis}.range`] || [change[`${axis}.range[0]`], change[`${axis}.range[1]`]];
      if (change[`${axis}.autorange`] || (low === 0 && high === whole)) { delete view.zoomed[name]; draw(); }
      else if (low !== undefined) view.zoomed[name] = [low, high];
    }
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
          const chip = element("button", { type: "button", "data-name": trace.meta, title: "Show or hide this curve" }, element("i"), trace.name);
          const style = { solid: "solid", dash: "dashed", longdash: "dashed", dot: "dotted", dashdot: "dashed" }[trace.line.dash] || "solid";
          chip.firstChild.style.borderTop = `${trace.line.width > 2 ? 3 : 2}px ${style} ${trace.line.color}`;
          chip.firstChild.style.opacity = trace.opacity ?? 1;
          chip.onclick = () => { if (!view.off.delete(trace.meta)) view.off.add(trace.meta); draw(); };
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
      if (other) { stopPlaying(); Object.assign(view, { follow: true, paused: false, held: null, phase: -1, zoomed: {} }); }
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
