// Brings the card of what was just asked for into sight, wherever the form was: on a phone the cards are below it.
import {part} from "./frame.js";

const PATIENCE_MS = 15_000;
let askedAt = -Infinity;

function isInView(box) {
  return box.top >= 0 && box.bottom <= innerHeight;
}

export function listenToArrivals() {
  document.addEventListener("click", event => { if (event.target.closest("#draw")) askedAt = performance.now(); });
  new MutationObserver(changes => {
    if (performance.now() - askedAt > PATIENCE_MS) return;
    const card = changes.flatMap(change => [...change.addedNodes]).find(node => node.classList?.contains("card"));
    if (!card) return;
    askedAt = -Infinity;
    // At once: a long smooth way may take longer than somebody waits for a sign.
    if (!isInView(card.getBoundingClientRect())) card.scrollIntoView({block: "center", behavior: "instant"});
  }).observe(part("jobs"), {childList: true});
}
