// Gets the drawing library before anyone asks for it, and runs it while nobody waits, so that the first chart stands at once.
export default function (component) {
  const { data } = component;
  fetchPlotly(data.plotly).catch(() => {});
  const soon = window.requestIdleCallback || ((call) => setTimeout(call, 1500));
  soon(() => loadPlotly(data.plotly).catch(() => {}), { timeout: 4000 });
}
