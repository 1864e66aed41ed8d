// Pictures to choose from and the chosen one's probabilities under a temperature, both answered from data already here.

const HEIGHT = 205;

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  let root = parentElement.querySelector(".kdlab-gallery");
  if (!root) root = build(parentElement);
  return lasting(root, () => root._kdlab.update(data, setTriggerValue));
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function softmax(logits, temperature) {
  const top = Math.max(...logits);
  const raised = logits.map((value) => Math.exp((value - top) / temperature));
  const sum = raised.reduce((a, b) => a + b, 0);
  return raised.map((value) => value / sum);
}

function build(parent) {
  const cards = element("div", { class: "cards", role: "group", "aria-label": "Pictures" });
  const about = element("p", { class: "about", "aria-live": "polite" });
  const heat = element("input", {
    type: "range", class: "heat", min: 0, max: 1, step: 0.01, value: 0, "aria-label": "Temperature",
  });
  const degrees = element("span", { class: "degrees" });
  const png = element("button", { type: "button", class: "png", "aria-label": "Download the bars as PNG" }, "PNG");
  const svg = element("button", { type: "button", class: "svg", "aria-label": "Download the bars as SVG" }, "SVG");
  const chart = element("div", { class: "chart wait", role: "img" }, "The picture is being drawn …");
  const key = element("p", { class: "key" });
  const root = element("div", { class: "kdlab-gallery" }, key, cards, about,
    element("div", { class: "bar" }, element("span", { title: "Divides the logits before the softmax: above 1 the small probabilities become visible." }, "Temperature"),
      heat, degrees, element("span", { class: "group" }, png, svg)), chart);
  parent.append(root);

  const view = { data: null, tell: null, chosen: null, sent: null, about: "", drawn: false, ended: false, queued: false };
  const temperature = () => Math.pow(20, Number(heat.value));  // 1 to 20, evenly in its logarithm
  const card = () => view.data.cards.find((one) => one.place === view.chosen) || view.data.cards[0];

  function draw() {
    if (view.queued || view.ended) return;
    view.queued = true;
    requestAnimationFrame(() => { view.queued = false; paint(); });
  }

  function paint() {
    if (!view.data || view.ended || !root.isConnected || !view.data.cards.length) return;
    const { parts, names } = view.data;
    const one = card();
    for (const button of cards.children) button.setAttribute("aria-pressed", String(Number(button.dataset.place) === one.place));
    root.dataset.chosen = String(one.place);
    about.textContent = one.about;
    const at = temperature();
    degrees.textContent = `T = ${at < 9.95 ? at.toFixed(1) : at.toFixed(0)}`;
    heat.setAttribute("aria-valuetext", degrees.textContent);
    if (!window.Plotly) return;
    if (!view.drawn) { chart.classList.remove("wait"); chart.textContent = ""; view.drawn = true; }
    const shown = one.classes;
    const traces = parts.map((part) => {
      const chances = softmax(one.logits[part.part], at);
      return {
        type: "bar", name: part.name, marker: { color: part.colour }, x: shown.map((number) => names[number]),
        y: shown.map((number) => chances[number]), customdata: shown.map((number) => one.logits[part.part][number]),
        hovertemplate: `${part.name}: %{y:.1%}, logit %{customdata:.2f}<extra>%{x}</extra>`,
      };
    });
    const style = getComputedStyle(root);
    const grid = "rgba(128,128,128,0.25)";
    window.Plotly.react(chart, traces, {
      barmode: "group", bargap: 0.25, bargroupgap: 0, height: HEIGHT, width: root.clientWidth || 400, margin: { l: 42, r: 4, t: 24, b: 34 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: style.fontFamily, color: style.color, size: 12 },
      xaxis: { type: "category", title: { text: "class", standoff: 4 }, fixedrange: true, automargin: true },
      yaxis: { title: { text: "probability", standoff: 10 }, tickformat: ".0%", rangemode: "tozero", gridcolor: grid, fixedrange: true, automargin: true },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
    }, { displayModeBar: false });
    root.dataset.drawn = String(Number(root.dataset.drawn || 0) + 1);
    chart.setAttribute("aria-label", `Probabilities at ${degrees.textContent}: ${one.about}`);
  }

  function choose(place, tell) {
    if (tell && place !== view.chosen) { view.sent = place; view.tell("picked", place); }
    view.chosen = place;
    draw();
  }

  cards.onclick = (event) => {
    const button = event.target.closest("button");
    if (button) choose(Number(button.dataset.place), true);
  };
  cards.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const button = event.target.closest("button");
    if (!step || !button) return;
    const next = step > 0 ? button.nextElementSibling : button.previousElementSibling;
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.click();
  };
  heat.oninput = draw;
  const image = (format) => () => window.Plotly && view.drawn && window.Plotly.downloadImage(chart, {
    format, filename: `kdlab picture ${view.chosen}`, width: chart.clientWidth, height: HEIGHT, scale: format === "png" ? 2 : 1,
  });
  png.onclick = image("png");
  svg.onclick = image("svg");
  const sizes = new ResizeObserver(draw);
  sizes.observe(root);

  function fill() {
    const asked = view.data.parts.filter((each) => each.part !== "baseline");
    key.replaceChildren(...asked.map((part) => element("span", { style: `color:${part.colour}` }, `${part.name} says`)));
    cards.replaceChildren(...view.data.cards.map((one) => {
      const names = element("span", { class: "names" });
      for (const part of asked) {
        names.append(element("span", { style: `color:${part.colour}` }, view.data.names[one.said[part.part]]));
      }
      return element("button", { type: "button", "data-place": one.place, title: one.about },
        element("img", { src: one.picture, alt: `Picture ${one.place}` }), names, element("span", { class: "measure" }, one.measure));
    }));
  }

  root._kdlab = {
    update(data, tell) {
      const before = view.data;
      view.data = data;
      view.tell = tell;
      if (data.about !== view.about) { view.about = data.about; fill(); view.sent = null; }
      if (view.sent === null || data.chosen === view.sent) {  // a choice on its way is not taken back
        view.sent = null;
        view.chosen = data.chosen;
      }
      if (!before || before.about !== data.about) {
        const button = cards.querySelector(`[data-place="${view.chosen}"]`);
        if (button) cards.scrollTop = Math.max(0, button.offsetTop - cards.offsetTop - 4);
      }
      loadPlotly(data.plotly).then(draw).catch((error) => {
        if (!view.drawn) chart.textContent = `The bars cannot be drawn: ${error.message}. Reload the page to try again.`;
      });
      draw();
    },
    end() {
      view.ended = true;
      sizes.disconnect();
      if (window.Plotly && view.drawn) window.Plotly.purge(chart);
      root.remove();
    },
  };
  return root;
}
