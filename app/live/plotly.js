// Gets the drawing library once per page, whoever asks first: fetching it costs nobody time, running it does.
function fetchPlotly(address) {
  if (!window._kdlabPlotlyText) {
    // Static files come as text/plain with nosniff for some endings: fetched as text, run from a Blob, that does not matter.
    window._kdlabPlotlyText = fetch(new URL(address, document.baseURI)).then((answer) => {
      if (!answer.ok) throw new Error(`${answer.status} for ${address}`);
      return answer.text();
    });
    window._kdlabPlotlyText.catch(() => { window._kdlabPlotlyText = null; });
  }
  return window._kdlabPlotlyText;
}

function loadPlotly(address) {
  if (window.Plotly) return Promise.resolve(window.Plotly);
  if (!window._kdlabPlotly) {
    window._kdlabPlotly = fetchPlotly(address)
      .then((text) => new Promise((done, failed) => {
        const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
        const script = document.createElement("script");
        script.src = url;
        script.onload = () => { URL.revokeObjectURL(url); done(window.Plotly); };
        script.onerror = () => failed(new Error("the drawing library does not run in this browser"));
        document.head.append(script);
      }));
    window._kdlabPlotly.catch(() => { window._kdlabPlotly = null; });
  }
  return window._kdlabPlotly;
}
