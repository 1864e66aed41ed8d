// A square to draw on: light ink on a dark ground, its pixels told when the pen is lifted.

const ACROSS = 448;  // pixels drawn on; what is told is averaged down to `side`

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  let root = parentElement.querySelector(".kdlab-canvas");
  if (!root) root = build(parentElement);
  return lasting(root, () => root._kdlab.update(data, setTriggerValue));
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function build(parent) {
  const paper = element("canvas", {
    width: ACROSS, height: ACROSS, role: "img", tabindex: 0,
    "aria-label": "Draw here with mouse, pen or finger; the networks are asked when you lift it",
  });
  const brush = element("input", { type: "range", class: "brush", min: 4, max: 25, step: 1, value: 11, "aria-label": "Width of the brush, in percent of the canvas", title: "Width of the brush" });
  const ink = element("input", { type: "color", class: "ink", value: "#ffffff", "aria-label": "Colour of the brush", title: "Colour of the brush" });
  const clear = element("button", { type: "button", class: "clear" }, "Clear");
  const root = element("div", { class: "kdlab-canvas" }, element("div", { class: "bar" }, element("span", {}, "Brush"), brush, ink, clear), paper);
  parent.append(root);
  const pen = paper.getContext("2d", { willReadFrequently: true });
  const view = { data: null, tell: null, last: null, touched: false };

  function wipe() {
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, ACROSS, ACROSS);
  }

  function at(event) {
    const box = paper.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * ACROSS, ((event.clientY - box.top) / box.height) * ACROSS];
  }

  function line(from, to) {
    pen.strokeStyle = view.data.colour ? ink.value : "#fff";
    pen.lineWidth = (Number(brush.value) / 100) * ACROSS;
    pen.lineCap = pen.lineJoin = "round";
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(...to);
    pen.stroke();
  }

  function told() {
    const side = view.data.side;
    const small = document.createElement("canvas");
    small.width = small.height = side;
    const shrunk = small.getContext("2d");
    shrunk.imageSmoothingQuality = "high";
    shrunk.drawImage(paper, 0, 0, side, side);
    const found = shrunk.getImageData(0, 0, side, side).data;
    const step = view.data.colour ? 3 : 1;
    let text = "";
    for (let place = 0; place < found.length; place += 4) {
      for (let channel = 0; channel < step; channel += 1) text += String.fromCharCode(found[place + channel]);
    }
    root.dataset.sent = String(Number(root.dataset.sent || 0) + 1);
    view.tell("drawn", btoa(text));
  }

  paper.onpointerdown = (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    paper.setPointerCapture(event.pointerId);
    view.touched = true;
    view.last = at(event);
    line(view.last, view.last);
  };
  paper.onpointermove = (event) => {
    if (!view.last) return;
    const steps = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const one of steps.length ? steps : [event]) {
      const next = at(one);
      line(view.last, next);
      view.last = next;
    }
  };
  paper.onpointerup = paper.onpointercancel = () => {
    if (!view.last) return;
    view.last = null;
    told();
  };
  clear.onclick = () => {
    view.touched = true;
    wipe();
    root.dataset.sent = String(Number(root.dataset.sent || 0) + 1);
    view.tell("drawn", "");
  };
  wipe();

  root._kdlab = {
    update(data, tell) {
      const first = view.data === null;
      view.data = data;
      view.tell = tell;
      ink.hidden = !data.colour;
      if (first && data.start) {
        const before = new Image();
        before.onload = () => { if (!view.touched) { pen.imageSmoothingEnabled = true; pen.drawImage(before, 0, 0, ACROSS, ACROSS); } };
        before.src = data.start;
      }
    },
    end() { root.remove(); },
  };
  return root;
}
