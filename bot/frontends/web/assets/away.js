// While the server does not answer: cards lose their times and their colours, and the form says what became of a press.
import {say} from "./form.js";
import {setOffline} from "./offline.js";
import {lookSoon} from "./state.js";
import {words} from "./words.js";

const DRAWING = "/gradio_api/run/predict";

// Gradio would tell of a failed request in a note of its own, in English: away.css hides those, and this is ours.
export function listenToRequests() {
  const ask = window.fetch;
  window.fetch = async (...options) => {
    const address = String(options[0]?.url ?? options[0]);
    if (!new URL(address, location).pathname.endsWith(DRAWING)) return ask.apply(window, options);
    try {
      const answer = await ask.apply(window, options);
      if (!answer.ok) say((await answer.clone().json().catch(() => ({}))).error ?? words.unsent, true);
      lookSoon();  // now the card is there, however long that took
      return answer;
    } catch (error) {
      setOffline(true);
      say(words.unsent, true);
      throw error;
    }
  };
}
