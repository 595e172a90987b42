// The frame of the living part: the places that all other modules fill.
//
// `part` finds a place by its name. The frame is built once, before any other module looks for its places.
const FRAME = `<p class="offline" role="alert" hidden></p>
  <div class="head"><div class="queue"></div><span class="model note"></span></div><div class="jobs"></div>
  <div class="shown"></div><section class="gallery" hidden><div class="row"><h2></h2><input type="search"></div>
  <p class="note empty"></p><div class="grid"></div><button class="button older" hidden></button></section>`;

export let root;

export function build(element) {
  root = element.querySelector(".living");
  root.innerHTML = FRAME;
}

export const part = name => root.querySelector(`.${name}`);
