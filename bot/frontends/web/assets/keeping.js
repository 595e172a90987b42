// Keeps what stands in the form in this browser, until it is drawn from or changed: over reloads, restarts, closed tabs.
//
// `rules` say, for each field in its order, its name, its kind, its bounds, and what it holds when the page opens:
// `form_memory.py` makes them. What was stored is a stranger's word: whatever breaks its rule is left out.
import {home} from "./server.js";

const KEY = "imagine-bot-form", VERSION = 1, MAX_CHARS = 64 * 1024;
const BARE_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/;
let isRestored = false;

const addressOf = name => `${home}/gradio_api/file=${name}`;
const fits = {
  text: (value, rule) => typeof value === "string" && value.length <= rule.most,
  number: (value, rule) => typeof value === "number" && value >= rule.least && value <= rule.most && (!rule.whole || Number.isInteger(value)),
  choice: (value, rule) => rule.choices.includes(value),
  file: value => typeof value === "string" && BARE_NAME.test(value),
};

function stored() {
  try {
    const text = localStorage.getItem(KEY) ?? "";
    const found = text.length <= MAX_CHARS ? JSON.parse(text || "{}") : {};
    return found?.version === VERSION && typeof found.values === "object" && found.values ? found.values : {};
  } catch {  // not JSON, or a browser that keeps nothing
    return {};
  }
}

// An upload is kept by the server for an hour; a form that names one that is gone could not be drawn from.
async function upload(name) {
  const isThere = await fetch(addressOf(name), {method: "HEAD"}).then(answer => answer.ok, () => false);
  return isThere ? {path: name, url: addressOf(name), orig_name: name, meta: {_type: "gradio.FileData"}} : null;
}

// What the fields are to hold, given what they hold now.
export async function restore(rules, values) {
  const kept = stored();
  const restored = await Promise.all(rules.map((rule, index) => {
    const value = Object.hasOwn(kept, rule.name) ? kept[rule.name] : undefined;
    if (value === undefined || !fits[rule.kind](value, rule)) return values[index];
    return rule.kind === "file" ? upload(value) : value;
  }));
  isRestored = true;
  return restored;
}

// Keep what differs from the page as it opens.
export function save(rules, values) {
  if (!isRestored) return;
  const kept = {};
  rules.forEach((rule, index) => {
    const value = rule.kind === "file" ? values[index]?.path : values[index];
    if (value !== rule.usual && value !== undefined && value !== null && fits[rule.kind](value, rule)) kept[rule.name] = value;
  });
  try {
    const text = JSON.stringify({version: VERSION, values: kept});
    if (text.length <= MAX_CHARS) localStorage.setItem(KEY, text);
  } catch (error) {  // it is full, or keeps nothing
    console.debug(error);
  }
}
