// Gets the drawing library once per page, whoever asks first.
function loadPlotly(address) {
  if (window.Plotly) return Promise.resolve(window.Plotly);
  if (!window._kdlabPlotly) {
    // Static files come as text/plain with nosniff for some endings: fetched as text, run from a Blob, that does not matter.
    window._kdlabPlotly = fetch(new URL(address, document.baseURI))
      .then((answer) => {
        if (!answer.ok) throw new Error(`${answer.status} for ${address}`);
        return answer.text();
      })
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
