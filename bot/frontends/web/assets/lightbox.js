// An image as large as the window, with its neighbours at the arrow keys; and two of them beside each other.
import {open} from "./dialogs.js";
import {part} from "./frame.js";
import {grid, ids} from "./gallery.js";
import {exchange, show} from "./patch.js";
import {ask} from "./server.js";

let current = null;

export async function zoom(id) {
  current = Number(id);
  const answer = await ask(`/console/jobs/${current}`);
  const html = answer.status === 409 ? "" : await answer.text();
  if (current !== Number(id)) return;  // the next one was asked for meanwhile
  if (!html) return close();
  exchange(part("stage"), [html]);
  const dialog = open("lightbox");
  dialog.ariaLabel = part("stage").querySelector("img")?.alt ?? "";
  const all = ids(), index = all.indexOf(current);
  part("previous").ariaDisabled = String(index <= 0);  // and stays in focus
  part("next").ariaDisabled = String(index < 0 || index >= all.length - 1);
}

export const zoomed = () => part("lightbox").open ? current : null;

export function close() {
  part("lightbox").close();
}

export function turn(by) {
  const all = ids(), index = all.indexOf(current) + by;
  if (index < 0 || index >= all.length || !all.includes(current)) return;
  if (index > all.length - 10) grid.onEnd();  // there may be older ones that were not asked for yet
  return zoom(all[index]);
}

export async function compare(pair) {
  const pieces = await Promise.all(pair.map(async id => (await ask(`/console/jobs/${id}`)).text()));
  show(part("pair"), pieces);
  open("comparison").ariaLabel = [...part("pair").querySelectorAll("img")].map(image => image.alt).join(" · ");
}

export function listenToLightbox() {
  document.addEventListener("keydown", event => {
    const ways = {ArrowLeft: -1, ArrowRight: 1};
    if (!zoomed() || part("question").open || !(event.key in ways) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    turn(ways[event.key]);
  });
  // Whoever looked through the images goes on from the one that was seen last.
  part("lightbox").addEventListener("close", () => {
    const index = grid.indexOf(current);
    if (index >= 0 && document.activeElement?.classList.contains("thumbnail")) grid.focus(index);
  });
}
