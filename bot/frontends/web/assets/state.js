// Asks for the state again and again, and hands it to what shows it.
import {announceImage} from "./announcing.js";
import {tellDialogs} from "./dialogs.js";
import {part} from "./frame.js";
import {isStale, showGallery, showImage, tellGallery} from "./gallery.js";
import {tellHeader} from "./header.js";
import {tellLabels} from "./labels.js";
import {setOffline, tellOffline} from "./offline.js";
import {show} from "./patch.js";
import {tellRoom} from "./room.js";
import {tellSelection} from "./selection.js";
import {ask} from "./server.js";
import {words} from "./words.js";

const BUSY_MS = 700, IDLE_MS = 3000, AWAY_MS = 4000;
let newest, release, timer, isAsking = false;

async function refresh() {
  const state = await (await ask("/console/state")).json();
  if (release && release !== state.release) return location.reload();
  release = state.release;
  Object.assign(words, state.words);
  tellRoom(state.room);
  tellHeader(state);
  tellGallery(state.models);
  tellSelection();
  tellDialogs();
  tellOffline();
  tellLabels();
  show(part("jobs"), state.jobs);
  if (isStale) await showGallery({isNew: true});
  if (state.newest !== newest || part("gallery").hidden) {
    const isNews = newest !== undefined && state.newest && state.newest !== newest;
    newest = state.newest;
    await showGallery();
    if (newest) await showImage(newest);
    if (isNews) announceImage();
  }
  return state.is_busy;
}

export async function look() {
  if (isAsking) return;
  isAsking = true;
  clearTimeout(timer);
  let pause = AWAY_MS;
  try {
    pause = await refresh() ? BUSY_MS : IDLE_MS;
    setOffline(false);
  } catch (error) {
    console.debug(error);
    setOffline(true);
    pause = AWAY_MS / 2;
  } finally {
    isAsking = false;
    timer = setTimeout(look, pause);
  }
}

export function lookSoon() {
  for (const pause of [150, 500, 1000]) setTimeout(look, pause);
}
