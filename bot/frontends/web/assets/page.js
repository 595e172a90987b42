// The living part of the page: asks for the state, shows it, and sends what buttons mean.
//
// Starts once, when Gradio has put the component there: `element` is its place, `events` fire those of the form.
// Everything shown comes as HTML from the server, in the reader's language and escaped. Nothing is kept here that a
// reload would lose.
import {listenToButtons} from "./actions.js";
import {listenToResults} from "./announcing.js";
import {listenToArrivals} from "./arrival.js";
import {listenToRequests} from "./away.js";
import {listenToDialogs} from "./dialogs.js";
import {listenToDrops} from "./dropping.js";
import {listenToFlaws} from "./flaws.js";
import {listenToForm} from "./form.js";
import {build} from "./frame.js";
import {listenToGallery} from "./gallery.js";
import {listenToHeader} from "./header.js";
import {offerInstallation} from "./installing.js";
import {listenToLightbox} from "./lightbox.js";
import {listenToRoom} from "./room.js";
import {listenToSelection} from "./selection.js";
import {language} from "./server.js";
import {look} from "./state.js";

export function start(element, events) {
  document.documentElement.lang = language;
  build(element);
  listenToHeader();
  listenToGallery();
  listenToSelection();
  listenToDialogs();
  listenToLightbox();
  listenToButtons(events);
  listenToDrops(events.startFrom);
  listenToForm();
  listenToArrivals();
  listenToFlaws();
  listenToRequests();
  listenToResults();
  listenToRoom();
  offerInstallation();
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  look();
}
