// Images that are dropped anywhere or pasted become the starting image of the form; own ones can be dragged out.
import {say} from "./form.js";
import {part, root} from "./frame.js";
import {home} from "./server.js";
import {words} from "./words.js";

const OWN = "application/x-imagine-bot-image";
const KINDS = ["image/png", "image/jpeg", "image/webp"];

async function use(file, startFrom) {
  if (!KINDS.includes(file.type)) return say(words.not_used, true);
  const form = new FormData();
  form.append("files", file);
  const answer = await fetch(`${home}/gradio_api/upload`, {method: "POST", body: form});
  if (!answer.ok) return say(await answer.text(), true);
  const [upload] = await answer.json();
  startFrom({upload});
  say(words.used);
}

const firstImage = data => [...(data?.files ?? [])][0];
const isForUs = data => data && (data.types.includes("Files") || data.types.includes(OWN));
const isField = target => target.closest?.("#source, #source-2, #source-3");  // Gradio's fields take what is dropped on them

export function listenToDrops(startFrom) {
  let depth = 0;
  const cover = isOn => { part("dropping").hidden = !isOn; part("dropping").textContent = words.drop; };
  document.addEventListener("dragenter", event => {
    if (!isForUs(event.dataTransfer)) return;
    depth += 1;
    cover(!isField(event.target));
  });
  document.addEventListener("dragleave", event => {
    if (!isForUs(event.dataTransfer)) return;
    depth = Math.max(0, depth - 1);
    if (!depth) cover(false);
  });
  document.addEventListener("dragover", event => { if (isForUs(event.dataTransfer) && !isField(event.target)) event.preventDefault(); });
  document.addEventListener("drop", event => {
    depth = 0;
    cover(false);
    if (!isForUs(event.dataTransfer) || isField(event.target)) return;
    event.preventDefault();
    const own = event.dataTransfer.getData(OWN), file = firstImage(event.dataTransfer);
    if (own) { startFrom({job_id: Number(own)}); say(words.used); }
    else if (file) use(file, startFrom).catch(console.debug);
  });
  document.addEventListener("paste", event => {
    const file = firstImage(event.clipboardData);
    if (!file || isField(event.target)) return;
    event.preventDefault();
    use(file, startFrom).catch(console.debug);
  });
  // Out of the window, an own image becomes its file; onto the form, its starting image.
  root.addEventListener("dragstart", event => {
    const from = event.target.closest("[data-file], a.large");
    if (!from) return;
    const address = new URL(from.dataset.file ?? from.getAttribute("href"), location).href;
    event.dataTransfer.setData(OWN, from.dataset.id);
    event.dataTransfer.setData("text/uri-list", address);
    event.dataTransfer.setData("DownloadURL", `image/png:${from.dataset.name}:${address}`);
    event.dataTransfer.effectAllowed = "copy";
  });
}
