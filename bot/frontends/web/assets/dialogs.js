// The dialogs, which the browser itself keeps the focus in, closes by Escape, and gives the focus back from.
import {part, root} from "./frame.js";
import {ask} from "./server.js";
import {words} from "./words.js";

export function open(name) {
  const dialog = part(name);
  if (!dialog.open) dialog.showModal();
  return dialog;
}

// Ask a question; whether it was answered with yes.
export function question(text) {
  const dialog = open("question");
  dialog.querySelector("p").textContent = text;
  dialog.ariaLabel = text;
  dialog.querySelector(".yes").textContent = words.yes_delete;
  dialog.querySelector(".no").textContent = words.no;
  dialog.querySelector(".no").focus();
  return new Promise(answered => {
    const yes = () => { answered(true); dialog.close(); };
    dialog.querySelector(".yes").addEventListener("click", yes, {once: true});
    dialog.addEventListener("close", () => {
      dialog.querySelector(".yes").removeEventListener("click", yes);
      answered(false);
    }, {once: true});
  });
}

export async function showHelp() {
  const text = await (await ask("/console/help")).text();
  const dialog = open("helping");
  dialog.ariaLabel = dialog.querySelector("h2").textContent = words.help;
  part("topics").innerHTML = text;
}

export function tellDialogs() {
  for (const button of root.querySelectorAll("dialog .closes")) button.ariaLabel = button.title = words.close;
  for (const [name, text] of [["previous", words.previous], ["next", words.next]]) part(name).ariaLabel = part(name).title = text;
}

export function listenToDialogs() {
  for (const dialog of root.querySelectorAll("dialog")) {
    dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });  // beside it
  }
}
