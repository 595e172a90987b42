// What buttons mean: `data-do` names the action, `data-id` the job.
import {open, question, showHelp} from "./dialogs.js";
import {part} from "./frame.js";
import {fillPrompt, say} from "./form.js";
import {forget, grid, ids, showGallery, showImage, shownId} from "./gallery.js";
import {close, compare, turn, zoom, zoomed} from "./lightbox.js";
import {setOffline} from "./offline.js";
import {isSelecting, selected, setSelecting, toggle} from "./selection.js";
import {home, post} from "./server.js";
import {lookSoon} from "./state.js";
import {counted, words} from "./words.js";

const AT_ONCE = 100;  // images that the server takes in one request

// Ask the server to do something, and say what came of it; whether it was done.
async function tell(path, values) {
  const answer = await post(path, values);
  if (answer.text) say(answer.text, answer.is_refusal);
  return !answer.is_refusal;
}

async function send(button) {
  await tell(`/console/jobs/${button.dataset.id}/${button.dataset.do}`);
  lookSoon();
}

// The same for any number of images, as many at once as may be; `after` hears of each portion that was done.
async function forAll(path, all, after = () => {}) {
  for (let start = 0; start < all.length; start += AT_ONCE) {
    const portion = all.slice(start, start + AT_ONCE);
    if (!await tell(path, {ids: portion.join(",")})) return;
    after(portion);
  }
}

async function showAnew(id) {
  await showGallery();
  if (shownId() === id) await showImage(id);
  if (zoomed() === id) await zoom(id);
}

async function keep(id, isKept) {
  await forAll(isKept ? "/console/images/let_go" : "/console/images/keep", [id]);
  await showAnew(id);
}

async function erase(all) {
  const text = all.length === 1 ? words.delete_one : counted(words.delete_many, all.length);
  if (!await question(text)) return;
  const index = grid.indexOf(all[0]);
  const isByKeys = document.activeElement?.matches(".grid *, :focus-visible");
  await forAll("/console/images/erase", all, gone => {
    if (gone.includes(zoomed())) close();
    forget(gone);
  });
  setSelecting(false);
  await showGallery();
  if (isByKeys) grid.focus(Math.max(0, index));
}

function download(all) {
  if (all.length > AT_ONCE) return say(words.too_many, true);
  const address = `${home}/console/images/zip?${new URLSearchParams({ids: all.join(",")})}`;
  Object.assign(document.createElement("a"), {href: address, download: ""}).click();
}

// `events` are those of the Gradio component: `reuse` fills the form, `startFrom` puts an image there.
export function listenToButtons(events) {
  const edit = button => {
    close();
    events.reuse(Number(button.dataset.id));
    document.querySelector("#prompt textarea")?.focus();
  };
  const actions = {
    show: async button => {
      if (isSelecting) return toggle(button);
      await Promise.all([zoom(button.dataset.id), showImage(button.dataset.id)]);
    },
    zoom: button => zoom(button.dataset.id),
    previous: () => turn(-1),
    next: () => turn(1),
    close: button => button.closest("dialog").close(),
    help: showHelp,
    try: button => fillPrompt(button.dataset.prompt),
    reuse: edit, edit,
    start_from: button => { close(); events.startFrom({job_id: Number(button.dataset.id)}); say(words.used); },
    keep: button => keep(Number(button.dataset.id), button.dataset.isKept === "yes"),
    delete: button => erase([Number(button.dataset.id)]),
    zip: () => download([...selected]),
    keepSelected: async () => { await forAll("/console/images/keep", [...selected]); setSelecting(false); await showGallery(); },
    compare: () => compare(ids().filter(id => selected.has(id))),
    deleteSelected: () => erase([...selected]),
    cancel: send, reroll: send, vary: send, upscale: send, final: send, more_steps: send, dismiss: send,
  };
  document.addEventListener("click", async event => {
    const button = event.target.closest("[data-do]");
    if (!button || !(button.dataset.do in actions)) return;
    if (button.tagName === "A" && (event.ctrlKey || event.metaKey || event.shiftKey)) return;  // in a tab of its own
    event.preventDefault();
    if (button.ariaBusy === "true") return;
    if (button.matches(".button:not(.turns)")) button.ariaBusy = "true";  // `disabled` would take the focus away
    try {
      await actions[button.dataset.do](button);
    } catch (error) {
      console.debug(error);
      setOffline(true);
    } finally {
      button.ariaBusy = null;
    }
  });
  // Keys on an image, in the gallery and large.
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const cell = event.target.closest(".thumbnail"), id = cell ? Number(cell.dataset.id) : zoomed();
    const keys = {
      x: () => cell && toggle(cell),
      f: () => keep(id, Boolean(cell ? cell.classList.contains("kept") : part("stage").querySelector("[data-is-kept=yes]"))),
      Delete: () => erase(cell && selected.size ? [...selected] : [id]),
    };
    if (!id || !(event.key in keys) || part("question").open) return;
    event.preventDefault();
    Promise.resolve(keys[event.key]()).catch(error => { console.debug(error); setOffline(true); });
  });
}
