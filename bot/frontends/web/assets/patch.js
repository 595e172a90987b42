// Changes what is shown in place, so that a button stays under the finger. Knows nothing of the page.
export const built = html => Object.assign(document.createElement("template"), {innerHTML: html}).content.firstElementChild;

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

// Show pieces of HTML in `place`, told apart by their data-key.
export function show(place, pieces) {
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

// The same for one piece that takes the place of another: whoever stood on a button stands on its successor.
export function exchange(place, pieces) {
  const focused = place.contains(document.activeElement) ? document.activeElement : null;
  show(place, pieces);
  if (!focused || focused.isConnected) return;
  place.querySelector(`[data-do="${focused.dataset.do}"]`)?.focus({preventScroll: true});
}
