// What the buttons on cards and images mean: `data-do` names the action, `data-id` the job.
import {part, root} from "./frame.js";
import {say} from "./form.js";
import {showImage} from "./gallery.js";
import {setOffline} from "./offline.js";
import {post} from "./server.js";
import {lookSoon} from "./state.js";

async function send(id, action) {
  const answer = await post(`/console/jobs/${id}/${action}`);
  if (answer.text) say(answer.text, answer.is_refusal);
  lookSoon();
}

// `reuse` fills the form with the settings of a job.
export function listenToButtons(reuse) {
  const actions = {
    show: id => showImage(id).then(() => part("shown").scrollIntoView({behavior: "smooth", block: "nearest"})),
    reuse: async id => { reuse(Number(id)); document.querySelector("#prompt textarea")?.focus(); },
    cancel: send, vary: send, upscale: send, dismiss: send,
  };
  root.addEventListener("click", async event => {
    const button = event.target.closest("[data-do]");
    if (!button) return;
    button.disabled = true;
    try {
      await actions[button.dataset.do](button.dataset.id, button.dataset.do);
    } catch (error) {
      console.debug(error);
      setOffline(true);
    } finally {
      button.disabled = false;
    }
  });
}
