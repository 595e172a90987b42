// A grid of square cells that may be ten thousand: only those near the window are in the document.
//
// Cells are placed by number, so that scrolling reads one position and writes only the cells that come and go. Knows
// nothing of images; an item is {id, html}, and `prepare` finishes its cell.
import {built} from "./patch.js";

const LEAST_PX = 140, GAP_PX = 10, ROWS_AHEAD = 6, LEAST_ROWS = 3;

export class Grid {
  constructor(place, {prepare, onEnd}) {
    Object.assign(this, {place, prepare, onEnd, items: [], places: new Map(), cells: new Map(), columns: 1, pitch: 1});
    this.current = 0;  // the only cell that Tab comes to
    new ResizeObserver(() => this.measure()).observe(place);
    let isDue = false;
    const soon = () => {
      if (isDue) return;
      isDue = true;
      requestAnimationFrame(() => { isDue = false; this.render(); });
    };
    addEventListener("scroll", soon, {passive: true});
    addEventListener("resize", soon, {passive: true});
    place.addEventListener("focusin", event => {
      const index = this.indexOf(event.target.dataset.id);
      if (index >= 0) this.setCurrent(index);
    });
    place.addEventListener("keydown", event => this.#walk(event));
  }

  indexOf(id) { return this.places.get(Number(id)) ?? -1; }

  // Show these items, and build the cells of those anew that changed.
  setItems(items) {
    const focused = this.place.contains(document.activeElement) ? document.activeElement : null;
    const before = new Map(this.items.map(item => [item.id, item.html]));
    const kept = new Set(items.filter(item => before.get(item.id) === item.html).map(item => item.id));
    for (const [id, cell] of this.cells) if (!kept.has(id)) { cell.remove(); this.cells.delete(id); }
    const id = this.items[this.current]?.id;
    this.items = items;
    this.places = new Map(items.map((item, index) => [item.id, index]));
    this.setCurrent(this.places.get(id) ?? Math.min(this.current, Math.max(0, items.length - 1)));
    this.measure();
    if (focused && !focused.isConnected) this.cells.get(Number(focused.dataset.id))?.focus({preventScroll: true});
  }

  measure() {
    const width = this.place.clientWidth;
    if (!width) return;
    this.columns = Math.max(2, Math.floor((width + GAP_PX) / (LEAST_PX + GAP_PX)));
    this.pitch = (width + GAP_PX) / this.columns;
    this.place.style.height = `${Math.max(0, Math.ceil(this.items.length / this.columns) * this.pitch - GAP_PX)}px`;
    for (const [id, cell] of this.cells) this.#put(cell, this.indexOf(id));
    this.render();
  }

  render() {
    const top = this.place.getBoundingClientRect().top, rows = Math.ceil(this.items.length / this.columns);
    const first = Math.max(0, Math.floor(-top / this.pitch) - ROWS_AHEAD);
    const last = Math.max(first + LEAST_ROWS, Math.ceil((innerHeight - top) / this.pitch) + ROWS_AHEAD);
    const wanted = this.items.slice(first * this.columns, last * this.columns);
    const near = new Set(wanted.map(item => item.id));
    for (const [id, cell] of this.cells) {
      if (near.has(id) || cell === document.activeElement) continue;
      cell.remove();
      this.cells.delete(id);
    }
    let after = null;
    wanted.forEach((item, offset) => {
      let cell = this.cells.get(item.id);
      if (!cell) {
        cell = built(item.html);
        cell.tabIndex = first * this.columns + offset === this.current ? 0 : -1;
        this.prepare(cell);
        this.#put(cell, first * this.columns + offset);
        this.cells.set(item.id, cell);
        if (after) after.after(cell); else this.place.prepend(cell);
      }
      after = cell;
    });
    if (last >= rows - 2) this.onEnd();
  }

  #put(cell, index) {
    const size = this.pitch - GAP_PX, column = index % this.columns, row = (index - column) / this.columns;
    cell.style.cssText = `left:${column * this.pitch}px;top:${row * this.pitch}px;width:${size}px;height:${size}px`;
  }

  setCurrent(index) {
    this.current = index;
    const current = this.cells.get(this.items[index]?.id);
    for (const cell of this.cells.values()) cell.tabIndex = cell === current ? 0 : -1;
  }

  // Bring a cell into the window and give it the focus.
  focus(index) {
    if (!this.items.length) return;
    this.setCurrent(Math.max(0, Math.min(index, this.items.length - 1)));
    const row = Math.floor(this.current / this.columns), top = this.place.getBoundingClientRect().top + row * this.pitch;
    if (top < 0) scrollBy(0, top - GAP_PX);
    else if (top + this.pitch > innerHeight) scrollBy(0, top + this.pitch - innerHeight + GAP_PX);
    this.render();
    this.cells.get(this.items[this.current].id)?.focus({preventScroll: true});
  }

  #walk(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = this.columns * Math.max(1, Math.floor(innerHeight / this.pitch) - 1);
    const ways = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns, PageUp: -page, PageDown: page,
      Home: -this.items.length, End: this.items.length,
    };
    if (!(event.key in ways)) return;
    event.preventDefault();
    this.focus(this.current + ways[event.key]);
  }
}
