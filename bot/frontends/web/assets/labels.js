// Gradio labels parts of its fields in English; whoever hears the page gets them in their language.
import {words} from "./words.js";

const KNOWN = {
  "Reset to default value": () => words.reset,
  "File upload": () => words.upload,
  "Upload file": () => words.upload,
  "Paste from clipboard": () => words.paste,
};
const PART = /^(?:number input|range slider) for (.+)$/s;

function tell(part) {
  const label = part.ariaLabel;
  const told = PART.exec(label)?.[1] ?? KNOWN[label]?.();
  if (told && told !== label) part.ariaLabel = told;
  if (told && KNOWN[part.title]) part.title = told;
}

export function tellLabels() {
  for (const part of document.querySelectorAll("#work [aria-label]")) tell(part);
}
