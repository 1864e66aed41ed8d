// A figure that grows while a run goes on: one Plotly node for the life of the page, updated through Plotly.react.
export default function (component) {
  const { data, parentElement } = component;
  let root = parentElement.querySelector(".kdlab-small");
  if (!root) root = small(parentElement);
  return lasting(root, () => root._kdlab.update(data));
}

function small(parent) {
  const root = document.createElement("div");
  root.className = "kdlab-small";
  root.setAttribute("role", "img");
  parent.append(root);
  const view = { data: null, drawn: "", ended: false };

  function paint() {
    if (view.ended || !view.data || !window.Plotly || !root.isConnected) return;
    const width = root.clientWidth || 400;
    const wanted = `${width} ${view.data.stamp}`;
    if (wanted === view.drawn) return;
    view.drawn = wanted;
    const { data, layout } = JSON.parse(view.data.figure);
    window.Plotly.react(root, data, { ...layout, width, uirevision: view.data.about, font: { ...(layout.font || {}), family: getComputedStyle(root).fontFamily } }, {
      displaylogo: false, displayModeBar: "hover", modeBarButtonsToRemove: ["lasso2d", "select2d", "toImage"], responsive: false,
      modeBarButtonsToAdd: ["png", "svg"].map((format) => ({
        name: format.toUpperCase(), title: `Download as ${format.toUpperCase()}`, icon: window.Plotly.Icons[format === "png" ? "camera" : "disk"],
        click: (node) => window.Plotly.downloadImage(node, { format, filename: "kdlab", width: node.clientWidth, height: node.clientHeight, scale: format === "png" ? 2 : 1 }),
      })),
    });
    root.dataset.updates = String(Number(root.dataset.updates || 0) + 1);
    root.setAttribute("aria-label", view.data.says);
  }

  const sizes = new ResizeObserver(() => requestAnimationFrame(paint));
  sizes.observe(root);
  root._kdlab = {
    update(data) {
      view.data = data;
      loadPlotly(data.plotly).then(() => requestAnimationFrame(paint)).catch(() => {});
    },
    end() {
      view.ended = true;
      sizes.disconnect();
      if (window.Plotly && view.drawn) window.Plotly.purge(root);
      root.remove();
    },
  };
  return root;
}
