// The frame of the page: the header, the places of the living part, and the dialogs. All other modules fill them.
//
// `part` finds a place by its name. The frame is built once, before any other module looks for its places.
const TOP = `<header><h1>imagine-bot</h1><span class="model"></span><div class="queue"></div>
  <select class="language"></select><button type="button" class="button helps" data-do="help"></button>
  <a class="button corner" hidden>⚙</a></header>`;
const LIVING = `<p class="offline" role="alert" hidden></p><div class="jobs"></div><div class="shown"></div>
  <div class="welcomes"></div>
  <section class="gallery" hidden>
    <div class="row"><h2></h2><input type="search" class="search">
      <button type="button" class="button only-kept" aria-pressed="false">⭐</button>
      <select class="of-model" hidden></select>
      <button type="button" class="button selects" aria-pressed="false"></button></div>
    <div class="selection row" role="toolbar" hidden><strong class="tally" role="status"></strong>
      <button type="button" class="button" data-do="zip"></button>
      <button type="button" class="button" data-do="keepSelected"></button>
      <button type="button" class="button" data-do="compare"></button>
      <button type="button" class="button" data-do="deleteSelected"></button></div>
    <p class="note empty" hidden></p><div class="grid"></div>
  </section>
  <dialog class="lightbox"><div class="bar"><button type="button" class="button closes" data-do="close">✕</button></div>
    <button type="button" class="button turns previous" data-do="previous">‹</button>
    <div class="stage" aria-live="polite"></div>
    <button type="button" class="button turns next" data-do="next">›</button></dialog>
  <dialog class="comparison"><div class="bar"><button type="button" class="button closes" data-do="close">✕</button></div>
    <div class="pair"></div></dialog>
  <dialog class="question" role="alertdialog"><p></p><div class="buttons">
    <button type="button" class="button no" data-do="close"></button>
    <button type="button" class="button yes"></button></div></dialog>
  <dialog class="helping"><div class="bar"><button type="button" class="button closes" data-do="close">✕</button></div>
    <h2></h2><div class="topics"></div></dialog>
  <div class="dropping" hidden></div>`;

export let root, top;

export function build(element) {
  root = element.querySelector(".living");
  root.innerHTML = LIVING;
  top = document.querySelector("#top .top");
  top.innerHTML = TOP;
}

export const part = name => root.querySelector(`.${name}`) ?? top.querySelector(`.${name}`);
