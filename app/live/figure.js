// What is drawn: data of a run and a moment of it in, traces and layout out. Touches no page.
const FAINT = 0.35;            // of a parent's curve behind a fork's
const NARROW = 700;            // below this width (px) the panels stand under one another

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
  if (trace.faint && trace.phase === now.phase) return trace.step.length;  // what a fork left behind stands there whole
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

// A trace's uid. Plotly asks the page for it as a CSS class when the trace goes, so blanks, points and colons must not be in it.
function handle(name) {
  return `t${[...name].map((letter) => (/[A-Za-z0-9]/.test(letter) ? letter : `-${letter.codePointAt(0)}-`)).join("")}`;
}

function figure(data, { now, shown, kind, log, smooth, width, style, off, zoomed, titled }) {
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
      opacity: trace.faint ? FAINT : 1,
      type: "scatter", mode: count > 1 ? "lines" : "markers", uid: handle(`loss ${trace.name}`), meta: `loss ${trace.name}`, name: trace.name, x: trace.x.slice(0, count), y: smooth ? running(y, 4) : y,
      xaxis: "x", yaxis: "y", visible: !off.has(`loss ${trace.name}`), line: { color: trace.colour, width: trace.total ? 2.5 : 1.5, dash: trace.dash }, marker: { color: trace.colour, size: 6 },
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
      opacity: trace.faint ? FAINT : 1,
      type: "scatter", mode: level || count > 1 ? "lines" : "markers", uid: handle(`score ${trace.name}`), meta: `score ${trace.name}`, name: trace.name, ...curve, xaxis: "x2", yaxis: "y2", visible: !off.has(`score ${trace.name}`),
      line: { color: trace.colour, width: trace.hidden ? 1.5 : 2.5, dash: trace.level && !level ? "solid" : trace.dash }, marker: { color: trace.colour, size: 6 },
      hovertemplate: `%{y:.1f} %<extra>${trace.name}${level ? " (finished)" : ""}</extra>`,
    });
    if (last !== null && !trace.faint) ends.push(`${trace.name} ${last.toFixed(1)} %`);
  }
  const axis = (revision, more) => ({
    uirevision: `${data.run} ${revision}`, gridcolor: mix(ink, 0.15), zerolinecolor: mix(ink, 0.3), linecolor: mix(ink, 0.3), automargin: true, ...more,
  });
  const [left, right, low, high] = narrow ? [[0, 1], [0, 1], [0.59, 1], [0, 0.41]] : [[0, 0.475], [0.545, 1], [0, 1], [0, 1]];
  const phase = data.phases[shown];
  const whole = [(phase && phase.epochs) || 1, longest];
  const title = (text, x, y) => ({ text: `<b>${text}</b>`, x, y, xref: "paper", yref: "paper", xanchor: "left", yanchor: "bottom", showarrow: false, font: { size: 14 } });
  const wait = (text, x, y) => ({ text, x, y, xref: "paper", yref: "paper", xanchor: "center", yanchor: "middle", showarrow: false, font: { color: mix(ink, 0.6) } });
  // An axis without a curve would not be drawn at all.
  for (const [x, y] of [["x", "y"], ["x2", "y2"]]) {
    if (!traces.some((trace) => trace.xaxis === x)) traces.push({ type: "scatter", mode: "lines", uid: handle(`none ${x}`), name: "", x: [], y: [], xaxis: x, yaxis: y, line: {}, showlegend: false });
  }
  const titles = [phase ? `Loss: ${phase.title.charAt(0).toLowerCase()}${phase.title.slice(1)}` : "Loss", data.score_title];
  const annotations = titled || narrow ? [title(titles[0], left[0], 1.005), title(titles[1], right[0], high[1] + 0.005)] : [];
  const middle = (span) => (span[0] + span[1]) / 2;
  const any = (axis) => traces.some((trace) => trace.xaxis === axis && trace.x.length);
  if (!any("x")) annotations.push(wait("the first step is awaited", middle(left), middle(low)));
  if (!any("x2")) annotations.push(wait("scored after each epoch", middle(right), middle(high)));
  const layout = {
    width, height: (narrow ? 640 : Math.max(data.height, Math.min(window.innerHeight - 430, 640))) + (titled ? 70 : 0), uirevision: data.run, annotations, showlegend: Boolean(titled), hovermode: "x unified",
    paper_bgcolor: paper, plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, family: style.fontFamily, size: 12 },
    hoverlabel: { bgcolor: paper, font: { color: ink } }, margin: { l: 52, r: 10, t: titled || narrow ? 28 : 10, b: titled ? 86 : 40 },
    xaxis: axis(`x ${performance.now()}`, { domain: left, anchor: "y", title: { text: "epochs of this phase", standoff: 4 }, range: zoomed[`x ${shown}`] || [0, whole[0]] }),
    yaxis: axis(`y ${shown} ${kind} ${log}`, {
      domain: low, anchor: "x", type: log ? "log" : "linear", rangemode: log ? "normal" : "tozero", exponentformat: "power",
      ...(any("x") ? {} : { showticklabels: false }),
      title: { text: kind === "weighted" ? "loss × weight" : "loss before weights", standoff: 6 },
    }),
    xaxis2: axis(`x2 ${performance.now()}`, { domain: right, anchor: "y2", title: { text: "epochs of its own training", standoff: 4 }, range: zoomed.x2 || [0, whole[1]] }),
    yaxis2: axis("y2", { domain: high, anchor: "x2", title: { text: "accuracy in %", standoff: 6 }, ...(any("x2") ? {} : { range: [0, 100] }) }),
    legend: { orientation: "h", x: 0, y: -0.14, yanchor: "top", bgcolor: "rgba(0,0,0,0)" },
  };
  return { traces, layout, summary: `Validation accuracy: ${ends.join(", ") || "not measured yet"}. ${now.words}.`, titles, whole };
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
