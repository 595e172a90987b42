// The person's images: the large one, and the gallery of all, which grows while it is scrolled, with its search.
import {part} from "./frame.js";
import {Grid} from "./grid.js";
import {exchange, show} from "./patch.js";
import {decorate} from "./selection.js";
import {ask, language} from "./server.js";
import {words} from "./words.js";

const TYPING_MS = 250;
const LABEL_TIME = "\ue000";  // stands in a label for a time of day, which only we know
const days = new Intl.DateTimeFormat(language, {day: "numeric", month: "short"});
const times = new Intl.DateTimeFormat(language, {hour: "2-digit", minute: "2-digit", hour12: false});

export let grid;
export let isStale = false;  // what was looked for last was not answered
let oldest = null, isLoading = false, typing, asked = 0;

export const ids = () => grid.items.map(item => item.id);

function told(seconds) {
  const at = new Date(seconds * 1000);
  const isToday = at.toDateString() === new Date().toDateString();
  return isToday ? times.format(at) : `${days.format(at)}, ${times.format(at)}`;
}

function prepare(cell) {
  cell.ariaLabel = cell.ariaLabel.replace(LABEL_TIME, told(Number(cell.dataset.at)));
  cell.title += ` · #${cell.dataset.id} · ${told(Number(cell.dataset.at))}`;
  decorate(cell);
}

const item = html => ({id: Number(/data-id="(\d+)"/.exec(html)[1]), html});

function looked() {
  return {
    search: part("search").value,
    ...(part("only-kept").ariaPressed === "true" ? {kept: "yes"} : {}),
    ...(part("of-model").value ? {model: part("of-model").value} : {}),
  };
}

export async function showImage(id) {
  const answer = await ask(`/console/jobs/${id}`);
  exchange(part("shown"), answer.status === 409 ? [] : [await answer.text()]);
}

export const shownId = () => Number(part("shown").querySelector(".picture")?.dataset.id) || null;

// Ask for the newest page again; what was there of older ones stays, unless something else is looked for.
export async function showGallery({isNew = false} = {}) {
  const number = ++asked;
  const page = await (await ask("/console/gallery", looked())).json();
  if (number !== asked) return;  // meanwhile something else was asked for
  isStale = false;
  const fresh = page.pictures.map(item);
  const known = isNew ? [] : grid.items.filter(each => page.older_than !== null && each.id < page.older_than);
  if (!known.length) oldest = page.older_than;
  const isAny = fresh.length > 0 || page.older_than !== null;
  show(part("welcomes"), page.welcome ? [page.welcome] : []);
  part("empty").textContent = page.empty;
  part("empty").hidden = !page.empty;
  part("gallery").hidden = false;
  part("gallery").classList.toggle("bare", Boolean(page.welcome));
  grid.setItems([...fresh, ...known]);
  return isAny;
}

async function showOlder() {
  if (oldest === null || isLoading) return;
  isLoading = true;
  const number = asked;
  try {
    const page = await (await ask("/console/gallery", {...looked(), before: oldest})).json();
    if (number !== asked) return;
    oldest = page.older_than;
    grid.setItems([...grid.items, ...page.pictures.map(item)]);
  } catch (error) {
    console.debug(error);  // the next scroll asks again
  } finally {
    isLoading = false;
  }
  if (oldest !== null) grid.render();  // a page may be shorter than the window
}

export function forget(gone) {
  const left = new Set(gone.map(Number));
  grid.setItems(grid.items.filter(each => !left.has(each.id)));
  if (left.has(shownId())) show(part("shown"), []);
}

export function tellGallery(models) {
  part("gallery").querySelector("h2").textContent = words.gallery;
  const search = part("search"), choice = part("of-model");
  search.placeholder = search.ariaLabel = words.search;
  part("only-kept").title = part("only-kept").ariaLabel = words.kept_only;
  choice.ariaLabel = words.models;
  choice.hidden = models.length < 2;
  const options = [["", words.all_models], ...models];
  if (choice.options.length !== options.length) choice.replaceChildren(...options.map(([name, title]) => new Option(title, name)));
}

export function listenToGallery() {
  grid = new Grid(part("grid"), {prepare, onEnd: showOlder});
  const look = async () => {
    try {
      await showGallery({isNew: true});
      // What was found is to be seen, also below a large image.
      if (part("gallery").getBoundingClientRect().top > innerHeight / 2) part("gallery").scrollIntoView();
    } catch (error) {
      console.debug(error);
      isStale = true;  // state.js asks again
    }
  };
  const again = () => { clearTimeout(typing); typing = setTimeout(look, TYPING_MS); };
  part("search").addEventListener("input", again);
  part("of-model").addEventListener("change", again);
  part("only-kept").addEventListener("click", event => {
    const button = event.currentTarget;
    button.ariaPressed = String(button.ariaPressed !== "true");
    again();
  });
}
