// Gets the drawing library while nobody waits for it, so that the first chart stands at once.
export default function (component) {
  const { data } = component;
  const soon = window.requestIdleCallback || ((call) => setTimeout(call, 1500));
  soon(() => loadPlotly(data.plotly).catch(() => {}), { timeout: 4000 });
}
