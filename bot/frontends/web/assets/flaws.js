// Puts what is wrong with the form beside the field that it is about: the server names the field in `data-field`.
const OPEN_MS = 2000;
let flawed = null;

const inputOf = field => field.querySelector("textarea, input:not([type=range]), select, button");

function forget() {
  if (!flawed) return;
  flawed.note.remove();
  flawed.input?.removeAttribute("aria-invalid");
  flawed.input?.removeAttribute("aria-describedby");
  flawed = null;
}

// A field behind "More settings" is there once that is open.
async function find(id) {
  const started = performance.now();
  let isOpened = false;
  while (performance.now() - started < OPEN_MS) {
    const field = document.getElementById(id);
    if (field?.offsetParent) return field;
    if (!isOpened) document.querySelector("#more > button:not(.open)")?.click();
    isOpened = true;
    await new Promise(requestAnimationFrame);
  }
  return null;
}

async function put(refusal) {
  forget();
  const field = await find(refusal.dataset.field);
  if (!field || !refusal.isConnected) return;  // it stays below the button
  const note = Object.assign(document.createElement("p"), {className: "flaw", id: "flaw", textContent: refusal.textContent});
  note.setAttribute("role", "alert");
  field.append(note);
  const input = inputOf(field);
  input?.setAttribute("aria-invalid", "true");
  input?.setAttribute("aria-describedby", note.id);
  flawed = {field, note, input};
  refusal.classList.add("moved");
  input?.focus({preventScroll: true});
  field.scrollIntoView({block: "nearest"});
}

export function listenToFlaws() {
  const said = document.querySelector("#said");
  if (!said) return;
  let last;
  new MutationObserver(() => {
    const refusal = said.querySelector(".refusal[data-field]");
    const number = refusal?.dataset.number;
    if (number === last && (refusal || !flawed)) return;
    last = number;
    if (refusal) put(refusal);
    else if (said.textContent.trim()) forget();
  }).observe(said, {childList: true, subtree: true, characterData: true});
  document.addEventListener("input", event => { if (flawed?.field.contains(event.target)) forget(); });
}
