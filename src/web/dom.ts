/** Functions with which all parts of the page change the document. */
import type { Pictures } from './protocol.ts';

type Child = Node | string | undefined;
type Attributes = Readonly<Record<string, string | number | boolean | undefined | ((event: Event) => void)>>;

/** Creates an element. Functions named `on...` are listeners; attributes that are false or undefined are left out. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

/** The element of the page with this id. @throws Error if there is none */
export function byId<E extends HTMLElement = HTMLElement>(id: string): E {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element as E;
}

/** Creates a table whose first row and first column are headings. */
export function table(caption: string, rows: readonly (readonly (string | Node)[])[]): HTMLTableElement {
  const [head, ...body] = rows;
  return el(
    'table',
    {},
    el('caption', {}, caption),
    el('thead', {}, el('tr', {}, ...head.map((cell) => el('th', { scope: 'col' }, cell)))),
    el(
      'tbody',
      {},
      ...body.map(([first, ...rest]) =>
        el('tr', {}, el('th', { scope: 'row' }, first), ...rest.map((cell) => el('td', {}, cell))),
      ),
    ),
  );
}

/** Draws the present picture of a canvas. */
const painters = new WeakMap<HTMLCanvasElement, () => void>();

/** Draws a canvas now, and again whenever it lost its content with the device. */
export function keepPainted(canvas: HTMLCanvasElement, draw: () => void): void {
  if (!painters.has(canvas)) canvas.addEventListener('contextrestored', () => painters.get(canvas)!());
  painters.set(canvas, draw);
  draw();
}

/** Draws a picture into a canvas. @param label names the picture for screen readers */
export function paint(canvas: HTMLCanvasElement, pixels: Uint8Array, pictures: Pictures, label: string): void {
  const { width, height, channels } = pictures;
  canvas.setAttribute('aria-label', label);
  keepPainted(canvas, () => {
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const context = canvas.getContext('2d')!;
    const image = context.createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[channels === 1 ? i : 3 * i + c];
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  });
}

export interface GalleryRow {
  readonly id: string;
  readonly label: string;
  readonly detail?: string;
  readonly pictures: Pictures;
  /** Text below each picture. */
  readonly notes?: readonly string[];
}

/** Rows of pictures, one column per person. Pictures of an existing row are replaced in place, so that nothing flickers. */
export class Gallery {
  readonly #root: HTMLElement;
  readonly #rows = new Map<string, HTMLElement>();

  constructor(root: HTMLElement) {
    this.#root = root;
    root.classList.add('gallery');
    scrollable(root);
  }

  show({ id, label, detail, pictures, notes }: GalleryRow, names: readonly string[]): void {
    let row = this.#rows.get(id);
    if (!row) {
      row = el('div', { class: 'gallery-row', 'data-row': id, role: 'group', 'aria-label': label });
      this.#rows.set(id, row);
      this.#root.append(row);
    }
    const { images } = pictures;
    const text = (i: number) => `${names[i]}, ${label}`;
    const shown = [...row.querySelectorAll('canvas')];
    if (shown.length === images.length && !notes) {
      for (const [i, canvas] of shown.entries()) paint(canvas, images[i], pictures, text(i));
      row.querySelector('.gallery-label')!.replaceWith(labelOf(label, detail));
      return;
    }
    const cells = images.map((pixels, i) => {
      const canvas = el('canvas', { role: 'img' });
      paint(canvas, pixels, pictures, text(i));
      return el('div', { class: 'gallery-cell' }, canvas, notes && el('span', { class: 'note' }, notes[i]));
    });
    row.replaceChildren(labelOf(label, detail), ...cells);
  }

  clear(): void {
    this.#rows.clear();
    this.#root.replaceChildren();
  }
}

function labelOf(label: string, detail: string | undefined): HTMLElement {
  return el('div', { class: 'gallery-label' }, el('strong', {}, label), detail && el('span', {}, detail));
}

/** Lets the keyboard scroll an element that may be wider than the page. */
export function scrollable(element: HTMLElement): void {
  element.tabIndex = 0;
}

/** Resolves when the visitor comes near an element: what is further down the page need not be loaded before. */
export function whenNear(element: Element): Promise<void> {
  return new Promise((resolve) => {
    const observer = new IntersectionObserver(
      ([{ isIntersecting }]) => {
        if (!isIntersecting) return;
        observer.disconnect();
        resolve();
      },
      { rootMargin: '1000px' },
    );
    observer.observe(element);
  });
}
