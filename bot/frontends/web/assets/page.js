// The living part of the page: asks for the state, shows it, and sends what buttons mean.
//
// Starts once, when Gradio has put the component there; `element` is its place, `reuse` fills the
// form with the settings of a job.
// Everything shown comes as HTML from the server, in the reader's language and escaped. Nothing is kept here that a
// reload would lose.
import {listenToButtons} from "./actions.js";
import {listenToResults} from "./announcing.js";
import {listenToArrivals} from "./arrival.js";
import {listenToRequests} from "./away.js";
import {listenToFlaws} from "./flaws.js";
import {listenToForm} from "./form.js";
import {build} from "./frame.js";
import {listenToGallery} from "./gallery.js";
import {listenToRoom} from "./room.js";
import {language} from "./server.js";
import {look} from "./state.js";

export function start(element, reuse) {
  document.documentElement.lang = language;
  build(element);
  listenToGallery();
  listenToButtons(reuse);
  listenToForm();
  listenToArrivals();
  listenToFlaws();
  listenToRequests();
  listenToResults();
  listenToRoom();
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  look();
}
