// What the page says while the server does not answer.
import {part} from "./frame.js";

export function tellOffline(words) {
  part("offline").textContent = words.offline;
}

export function setOffline(isOffline) {
  part("offline").hidden = !isOffline || !part("offline").textContent;
}
