// The form beside the living part, as far as Gradio leaves it to us: its answer, its keys.
import {lookSoon} from "./state.js";

export function say(text, isRefusal = false) {
  const place = document.querySelector("#said [role=status]");
  if (!place) return;
  place.innerHTML = "";
  place.append(Object.assign(document.createElement("span"), {className: isRefusal ? "refusal" : "answer", textContent: text}));
}

// Put words into the prompt as if they were typed.
export function fillPrompt(text) {
  const field = document.querySelector("#prompt textarea");
  if (!field) return;
  field.value = text;
  field.dispatchEvent(new Event("input", {bubbles: true}));
  field.focus();
}

export function listenToForm() {
  document.addEventListener("click", event => {
    if (!event.target.closest("#draw")) return;
    lookSoon();
  });
  document.addEventListener("keydown", event => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    document.querySelector("#draw")?.click();
  });
  // Gradio takes Tab for typing, and would leave the list of choices open over the fields.
  document.addEventListener("keydown", event => {
    if (event.key === "Tab" && event.target.matches("input[role=combobox]")) event.stopPropagation();
  }, true);
}
