// Says aloud, to screen readers, what changes by itself: an image that is ready, one that failed.
import {part, root} from "./frame.js";
import {words} from "./words.js";

export function listenToResults() {
  const place = document.createElement("p");
  place.className = "only-heard announced";
  place.setAttribute("role", "status");
  root.append(place);
  let shown, isFirst = true;
  const say = text => { place.textContent = text; };
  new MutationObserver(() => {
    const image = part("shown").querySelector("[data-key]");
    const key = image?.dataset.key;
    if (key && key !== shown && !isFirst) say(`${words.ready} ${image.querySelector("img")?.alt ?? ""}`);
    shown = key ?? shown;
    isFirst = false;
  }).observe(part("shown"), {childList: true, subtree: true, attributes: true, attributeFilter: ["data-key"]});
  new MutationObserver(changes => {
    const failed = changes.flatMap(change => [...change.addedNodes]).find(node => node.classList?.contains("failed"));
    if (failed) say(failed.querySelector("strong")?.textContent ?? "");
  }).observe(part("jobs"), {childList: true});
}
