// Says aloud, to screen readers, what changes by itself: an image that is ready, one that failed.
import {part, root} from "./frame.js";
import {words} from "./words.js";

const place = Object.assign(document.createElement("p"), {className: "only-heard announced"});

export function announceImage() {
  const image = part("shown").querySelector("img");
  if (image) place.textContent = `${words.ready} ${image.alt}`;
}

export function listenToResults() {
  place.setAttribute("role", "status");
  root.append(place);
  new MutationObserver(changes => {
    const failed = changes.flatMap(change => [...change.addedNodes]).find(node => node.classList?.contains("failed"));
    if (failed) place.textContent = failed.querySelector("strong")?.textContent ?? "";
  }).observe(part("jobs"), {childList: true});
}
