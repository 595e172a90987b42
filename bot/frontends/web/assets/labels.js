// Gradio labels parts of its fields in English; whoever hears the page gets them in their language.
import {words} from "./words.js";

const KNOWN = {"Reset to default value": "reset", "File upload": "upload", "Upload file": "upload", "Paste from clipboard": "paste"};
const PART = /^(?:number input|range slider) for (.+)$/s;

function tell(part) {
  const label = part.ariaLabel;
  const told = PART.exec(label)?.[1] ?? words[KNOWN[label]];
  if (told && told !== label) part.ariaLabel = told;
  if (told && KNOWN[part.title]) part.title = told;
}

export function tellLabels() {
  for (const part of document.querySelectorAll("#work [aria-label]")) tell(part);
}
