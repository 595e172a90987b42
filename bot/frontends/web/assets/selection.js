// Which images are selected, to be downloaded, kept, compared or deleted together.
import {part} from "./frame.js";
import {counted, words} from "./words.js";

export const selected = new Set();
export let isSelecting = false;

export function decorate(cell) {
  const isSelected = selected.has(Number(cell.dataset.id));
  cell.classList.toggle("selected", isSelected);
  if (isSelecting) cell.ariaPressed = String(isSelected);
  else cell.removeAttribute("aria-pressed");
}

export function tellSelection() {
  part("selects").textContent = isSelecting ? words.select_done : words.select;
  part("selects").ariaPressed = String(isSelecting);
  part("tally").textContent = counted(words.selected, selected.size);
  const texts = {zip: words.zip, keepSelected: words.keep, compare: words.compare, deleteSelected: words.delete};
  for (const [name, text] of Object.entries(texts)) {
    const button = part("selection").querySelector(`[data-do=${name}]`);
    button.textContent = text;
    button.disabled = name === "compare" ? selected.size !== 2 : !selected.size;
  }
  part("selection").querySelector("[data-do=compare]").title = words.compare_hint;
}

export function setSelecting(isOn) {
  isSelecting = isOn;
  if (!isOn) selected.clear();
  part("selection").hidden = !isOn;
  part("grid").classList.toggle("selecting", isOn);
  for (const cell of part("grid").children) decorate(cell);
  tellSelection();
}

export function toggle(cell) {
  const id = Number(cell.dataset.id);
  if (!selected.delete(id)) selected.add(id);
  if (!isSelecting) setSelecting(true);
  decorate(cell);
  tellSelection();
}

export function listenToSelection() {
  part("selects").addEventListener("click", () => setSelecting(!isSelecting));
}
