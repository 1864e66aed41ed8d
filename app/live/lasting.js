// Streamlit calls a component with each change of its data. Changes that come while the script is still being loaded are
// called for when it is there, sometimes the older after the newer, and what an overtaken call gave back is called at
// once. So that is no sign that the component goes: it ends when its node is out of the page, and an overtaken call
// that came last makes way for the newest of the others. `update` tells the node of this call's data.
function lasting(root, update) {
  const calls = root._calls || (root._calls = []);
  calls.push(update);
  setTimeout(() => calls.splice(0, calls.length - 1));  // whatever was overtaken has been called back by then
  update();
  return () => {
    if (!root.isConnected) { root._kdlab.end(); return; }
    const place = calls.indexOf(update), newest = place === calls.length - 1;
    if (place >= 0) calls.splice(place, 1);
    if (newest && calls.length) calls[calls.length - 1]();
  };
}
