// The person's images: the large one, and the gallery of all with its search.
import {part} from "./frame.js";
import {built, show} from "./patch.js";
import {ask} from "./server.js";

let oldest, typing;

export async function showImage(id) {
  const answer = await ask(`/console/jobs/${id}`);
  show(part("shown"), answer.status === 409 ? [] : [await answer.text()]);
}

export async function showGallery(before) {
  const search = part("gallery").querySelector("input").value;
  const page = await (await ask("/console/gallery", {search, ...(before ? {before} : {})})).json();
  const grid = part("grid");
  if (before) page.pictures.forEach(html => grid.append(built(html)));
  else show(grid, page.pictures);
  oldest = page.older_than;
  part("older").hidden = !oldest;
  part("empty").textContent = page.empty;
  part("empty").hidden = !page.empty;
  part("gallery").hidden = false;
}

export function tellGallery(words) {
  part("gallery").querySelector("h2").textContent = words.gallery;
  const search = part("gallery").querySelector("input");
  search.placeholder = search.ariaLabel = words.search;
  part("older").textContent = words.older;
}

export function listenToGallery() {
  part("older").addEventListener("click", () => showGallery(oldest));
  part("gallery").querySelector("input").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => showGallery(), 250);
  });
}
