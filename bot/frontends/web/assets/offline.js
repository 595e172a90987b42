// What the page says while the server does not answer.
import {part, root} from "./frame.js";
import {words} from "./words.js";

export function tellOffline() {
  part("offline").textContent = words.offline;
}

export function setOffline(isOffline) {
  root.classList.toggle("away", isOffline);  // away.css
  part("offline").hidden = !isOffline || !part("offline").textContent;
}
