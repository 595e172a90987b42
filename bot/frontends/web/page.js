// The living part of the page: asks for the state, shows it, and sends what buttons mean.
//
// Runs once, when Gradio has put the component there; `element` is its place, `trigger` fires an event of it
// (here only "reuse", which fills the form). Everything shown comes as HTML from the server, in the reader's
// language and escaped; cards are told apart by data-key and changed in place, so that a button stays under
// the finger. Nothing is kept here that a reload would lose.
const BUSY_MS = 700, IDLE_MS = 3000, AWAY_MS = 4000;
const language = navigator.language;
document.documentElement.lang = language;

const root = element.querySelector(".living");
root.innerHTML = `<p class="offline" role="alert" hidden></p>
  <div class="head"><div class="queue"></div><span class="model note"></span></div><div class="jobs"></div>
  <div class="shown"></div><section class="gallery" hidden><div class="row"><h2></h2><input type="search"></div>
  <p class="note empty"></p><div class="grid"></div><button class="button older" hidden></button></section>`;
const home = new URL(window.gradio_config.root || "/", location).pathname.replace(/\/$/, "");  // where a proxy shows the page
const part = name => root.querySelector(`.${name}`);
const search = root.querySelector("input");

let newest, oldest, release, timer, isAsking = false;

const address = (path, values = {}) => `${home}${path}?${new URLSearchParams({lang: language, ...values})}`;

async function ask(path, values, options) {
  const answer = await fetch(address(path, values), options);
  if (!answer.ok && answer.status !== 409) throw new Error(`${answer.status} for ${path}`);
  return answer;
}

// --- showing ---------------------------------------------------------------------------------------------

const built = html => Object.assign(document.createElement("template"), {innerHTML: html}).content.firstElementChild;

// Make `old` like `fresh` and keep every node that may stay.
function patch(old, fresh) {
  if (old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType === Node.TEXT_NODE) { if (old.data !== fresh.data) old.data = fresh.data; return; }
  for (const {name} of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const {name, value} of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const before = [...old.childNodes], after = [...fresh.childNodes];
  after.forEach((node, index) => index < before.length ? patch(before[index], node) : old.append(node));
  before.slice(after.length).forEach(node => node.remove());
}

function show(place, pieces) {
  const fresh = pieces.map(built);
  const known = new Map([...place.children].map(node => [node.dataset.key, node]));
  const kept = new Set(fresh.map(node => node.dataset.key));
  for (const [key, node] of known) if (!kept.has(key)) node.remove();
  fresh.forEach((node, index) => {
    const old = known.get(node.dataset.key);
    if (old) patch(old, node);
    const there = old && place.contains(old) ? old : node;
    if (place.children[index] !== there) place.insertBefore(there, place.children[index] ?? null);
  });
}

function say(text, isRefusal = false) {
  const place = document.querySelector("#said [role=status]");
  if (!place) return;
  place.innerHTML = "";
  place.append(Object.assign(document.createElement("span"), {className: isRefusal ? "refusal" : "answer", textContent: text}));
}

async function showPicture(id) {
  const answer = await ask(`/console/jobs/${id}`);
  show(part("shown"), answer.status === 409 ? [] : [await answer.text()]);
}

async function showGallery(before) {
  const page = await (await ask("/console/gallery", {search: search.value, ...(before ? {before} : {})})).json();
  const grid = part("grid");
  if (before) page.pictures.forEach(html => grid.append(built(html)));
  else show(grid, page.pictures);
  oldest = page.older_than;
  part("older").hidden = !oldest;
  part("empty").textContent = page.empty;
  part("empty").hidden = !page.empty;
  part("gallery").hidden = false;
}

async function refresh() {
  const state = await (await ask("/console/state")).json();
  if (release && release !== state.release) return location.reload();
  release = state.release;
  const {words} = state;
  root.querySelector("h2").textContent = words.gallery;
  search.placeholder = search.ariaLabel = words.search;
  part("older").textContent = words.older;
  part("offline").textContent = words.offline;
  part("model").textContent = words.model;
  show(part("queue"), state.queue);
  show(part("jobs"), state.jobs);
  if (state.newest !== newest || part("gallery").hidden) {
    newest = state.newest;
    await showGallery();
    if (newest) await showPicture(newest);
  }
  return state.is_busy;
}

async function look() {
  if (isAsking) return;
  isAsking = true;
  clearTimeout(timer);
  let pause = AWAY_MS;
  try {
    pause = await refresh() ? BUSY_MS : IDLE_MS;
    part("offline").hidden = true;
  } catch (error) {
    console.debug(error);
    part("offline").hidden = !part("offline").textContent;
    pause = AWAY_MS / 2;
  } finally {
    isAsking = false;
    timer = setTimeout(look, pause);
  }
}

function lookSoon() {
  for (const pause of [150, 500, 1000]) setTimeout(look, pause);
}

// --- what buttons mean -----------------------------------------------------------------------------------

const actions = {
  show: id => showPicture(id).then(() => part("shown").scrollIntoView({behavior: "smooth", block: "nearest"})),
  reuse: async id => { trigger("reuse", {job_id: Number(id)}); document.querySelector("#prompt textarea")?.focus(); },
  cancel: send, vary: send, upscale: send, dismiss: send,
};

async function send(id, action) {
  const answer = await (await ask(`/console/jobs/${id}/${action}`, {}, {method: "POST"})).json();
  if (answer.text) say(answer.text, answer.is_refusal);
  lookSoon();
}

root.addEventListener("click", async event => {
  const button = event.target.closest("[data-do]");
  if (!button) return;
  button.disabled = true;
  try {
    await actions[button.dataset.do](button.dataset.id, button.dataset.do);
  } catch (error) {
    console.debug(error);
    part("offline").hidden = false;
  } finally {
    button.disabled = false;
  }
});

part("older").addEventListener("click", () => showGallery(oldest));

let typing;
search.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => showGallery(), 250);
});

document.addEventListener("click", event => {
  if (!event.target.closest("#draw")) return;
  lookSoon();
  // On a phone the cards are below the form.
  if (root.getBoundingClientRect().top > innerHeight) root.scrollIntoView({behavior: "smooth"});
});
document.addEventListener("keydown", event => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  document.querySelector("#draw")?.click();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
look();
