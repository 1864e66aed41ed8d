// The epoch that all films of a page stand at: one dragged, the others follow.
const MOMENT = "kdlab-moment";

// {turn, epoch}: epoch null is "the newest"; turn counts the times that it was chosen elsewhere than on a film.
function theMoment() {
  window._kdlabMoment = window._kdlabMoment || { turn: -1, epoch: null };
  return window._kdlabMoment;
}

function chooseMoment(epoch, from) {
  theMoment().epoch = epoch;
  window.dispatchEvent(new CustomEvent(MOMENT, { detail: { from } }));
}

// What the server was told elsewhere counts only once, since the page may have gone on meanwhile.
function adoptMoment(at) {
  const moment = theMoment();
  if (!at || at.turn <= moment.turn) return;
  moment.turn = at.turn;
  moment.epoch = at.epoch;
}

function frameAt(frames, epoch) {
  if (epoch === null) return frames.length - 1;
  let best = 0;
  frames.forEach((frame, at) => { if (Math.abs(frame.epoch - epoch) < Math.abs(frames[best].epoch - epoch)) best = at; });
  return best;
}
