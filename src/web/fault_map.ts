/** Shows the flips of one read of a tensor with zoom: one pixel per weight, for one bit plane or for all. */
import { formatPercent } from '../results/results.ts';
import { el, paint, scrollable, table } from './dom.ts';
import type { Reply } from './protocol.ts';
import { describe, type Setting } from './setting.ts';

type Read = Extract<Reply, { kind: 'map' }>;

const ZOOMS = [1, 2, 4, 8, 16, 32];
/** Colour of a pixel by its highest flipped bit, from a small change of the weight to a large one; told apart by lightness. */
const [LOW, HIGH] = [
  [0x56, 0xb4, 0xe9],
  [0xff, 0xd1, 0x66],
] as const;

/** What the buttons of a fault map do. */
export interface FaultMapOptions {
  /** Begins the ids of its elements. */
  readonly id: string;
  onRun(): void;
  onTensor(name: string): void;
}

export class FaultMapView {
  readonly #run: HTMLButtonElement;
  readonly #zooms: readonly HTMLButtonElement[];
  readonly #tensor: HTMLSelectElement;
  readonly #plane: HTMLSelectElement;
  readonly #view: HTMLElement;
  readonly #table: HTMLElement;
  readonly #legend: HTMLElement;
  readonly #canvas = el('canvas', { role: 'img', 'aria-label': 'no read yet' });
  #read: Read | undefined;
  #zoom = 0;

  /** @param root gets the elements of the map as its last children */
  constructor(root: HTMLElement, { id, onRun, onTensor }: FaultMapOptions) {
    const button = (name: string, text: string, label: string | undefined, onclick: () => void) =>
      el(
        'button',
        {
          type: 'button',
          class: name === 'run' ? undefined : 'plain',
          id: `${id}-${name}`,
          'aria-label': label,
          onclick,
        },
        text,
      );
    this.#run = button('run', 'Read it on this machine', undefined, onRun);
    this.#run.disabled = true;
    this.#zooms = [
      button('zoom-in', '+', 'Zoom in', () => this.#zoomBy(1)),
      button('zoom-out', '−', 'Zoom out', () => this.#zoomBy(-1)),
    ];
    this.#tensor = el('select', { id: `${id}-tensor`, onchange: () => onTensor(this.#tensor.value) });
    this.#plane = el('select', { id: `${id}-plane`, onchange: () => this.#draw() });
    this.#view = el(
      'figure',
      {
        id: `${id}-view`,
        class: 'map',
        'aria-label': 'Fault map; scroll with the arrow keys, zoom with plus and minus',
      },
      this.#canvas,
    );
    this.#table = el('div', { id: `${id}-table`, class: 'table-box' });
    this.#legend = el('ul', { class: 'legend', 'aria-label': 'Colours of the fault map' });
    this.clear();
    root.append(
      el(
        'p',
        { class: 'buttons' },
        el('label', {}, 'tensor ', this.#tensor),
        el('label', {}, 'bits ', this.#plane),
        this.#run,
        el('span', { class: 'together' }, ...this.#zooms),
      ),
      this.#view,
      this.#legend,
      el('details', { class: 'more' }, el('summary', {}, 'Flips of every bit as a table'), this.#table),
    );
    this.#plane.append(el('option', { value: 'all' }, 'all'));
    scrollable(this.#view);
    this.#view.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey) return;
      if (event.key === '+' || event.key === '=') this.#zoomBy(1);
      else if (event.key === '-') this.#zoomBy(-1);
      else return;
      event.preventDefault();
    });
  }

  enable(can: boolean): void {
    this.#run.disabled = !can;
  }

  /** Offers these tensors. @param chosen is selected if it is one of them */
  offer(tensors: readonly string[], chosen: string): void {
    const options = tensors.map((name) => el('option', { value: name, selected: name === chosen }, name));
    this.#tensor.replaceChildren(...options);
  }

  /** The chosen tensor; empty if none is offered. */
  get tensor(): string {
    return this.#tensor.value;
  }

  clear(): void {
    this.#read = undefined;
    this.#reveal(false);
    this.#table.replaceChildren();
    this.#legend.replaceChildren();
  }

  /**
   * Follows a change of the setting: a read of another setting is replaced by a preview, or else dimmed.
   * @param preview which weights of a tensor have any flipped bit; undefined if that is not known without the engine
   */
  follow(
    setting: Setting,
    preview: { readonly flipped: readonly boolean[]; readonly columns: number } | undefined,
  ): void {
    const isStale = this.#read !== undefined && readKey(this.#read.setting) !== readKey(setting);
    this.#view.classList.toggle('stale', isStale && !preview);
    if (!preview || (this.#read && !isStale)) return;
    const { flipped, columns } = preview;
    this.clear();
    this.#reveal(true);
    const pixels = Uint8Array.from({ length: 3 * flipped.length }, (_, i) =>
      flipped[Math.floor(i / 3)] ? HIGH[i % 3] : 0,
    );
    const size = { width: columns, height: flipped.length / columns, channels: 3, images: [] } as const;
    const count = flipped.filter(Boolean).length;
    paint(this.#canvas, pixels, size, `${count} of ${flipped.length} weights have a flip in any bit`);
    this.#zoom = initialZoom(columns);
    this.#size();
    this.#legend.replaceChildren(swatch([0, 0, 0], 'read correctly'), swatch(HIGH, 'some bit flipped'));
  }

  #reveal(shown: boolean): void {
    this.#view.hidden = !shown;
    for (const button of this.#zooms) button.disabled = !shown;
  }

  show(read: Read): void {
    this.#read = read;
    this.#view.classList.remove('stale');
    this.#reveal(true);
    const plane = this.#plane;
    const names = [...Array(read.bits).keys()]
      .reverse()
      .map((bit) => ({ value: String(bit), text: bitName(bit, read.bits) }));
    const chosen = plane.value;
    plane.replaceChildren(
      el('option', { value: 'all' }, 'all'),
      ...names.map(({ value, text }) => el('option', { value, selected: value === chosen }, text)),
    );
    this.#zoom = initialZoom(read.columns);
    this.#legend.replaceChildren(
      swatch([0, 0, 0], 'read correctly'),
      swatch(LOW, 'a low bit flipped: a small change'),
      swatch(HIGH, 'the highest bit flipped: a large change'),
    );
    this.#draw();
    const percent = (share: number) => (Number.isNaN(share) ? '' : formatPercent(share));
    this.#table.replaceChildren(
      table(
        `${read.setting.tensor}, ${describe(read.setting)}: ${read.rows} x ${read.columns} weights of ${read.bits} bits; ` +
          `${read.cacheLines.flipped} of ${read.cacheLines.lines} cache lines have a flip`,
        [
          ['bit', 'flips', 'rate', 'of zeros', 'of ones'],
          ...[...read.planes.entries()]
            .reverse()
            .map(([bit, rates]) => [
              bitName(bit, read.bits),
              String(rates.flips),
              percent(rates.rate),
              percent(rates.rateOfZeros),
              percent(rates.rateOfOnes),
            ]),
          [
            'all',
            String(read.total.flips),
            percent(read.total.rate),
            percent(read.total.rateOfZeros),
            percent(read.total.rateOfOnes),
          ],
        ],
      ),
    );
  }

  #zoomBy(step: number): void {
    this.#zoom = Math.min(Math.max(this.#zoom + step, 0), ZOOMS.length - 1);
    this.#size();
  }

  /** The canvas has one pixel per weight; CSS enlarges it. */
  #size(): void {
    this.#canvas.style.width = `${this.#canvas.width * ZOOMS[this.#zoom]}px`;
  }

  #draw(): void {
    if (!this.#read) return;
    const { rows, columns, stride, flips, bits } = this.#read;
    const plane = this.#plane.value;
    const mask = plane === 'all' || plane === '' ? 0xffffffff : 2 ** Number(plane);
    const pixels = new Uint8Array(3 * rows * columns);
    let shown = 0;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const flipped = (flips[row * stride + column] & mask) >>> 0;
        const at = 3 * (row * columns + column);
        if (flipped === 0) continue;
        shown++;
        const share = (31 - Math.clz32(flipped)) / (bits - 1);
        for (let c = 0; c < 3; c++) pixels[at + c] = LOW[c] + share * (HIGH[c] - LOW[c]);
      }
    }
    const name = plane === 'all' || plane === '' ? 'any bit' : bitName(Number(plane), bits);
    const label = `${shown} of ${rows * columns} weights have a flip in ${name}`;
    paint(this.#canvas, pixels, { width: columns, height: rows, channels: 3, images: [] }, label);
    this.#size();
  }
}

/** Settings with the same key give the same flips. */
function readKey({ memory, rate, volts, format, layers, granularity, seed, draw, tensor, victim }: Setting): string {
  return JSON.stringify([memory, rate, volts, format, layers, granularity, seed, draw, tensor, victim]);
}

function initialZoom(columns: number): number {
  return columns <= 64 ? 3 : columns <= 300 ? 1 : 0;
}

/** An entry of the legend. */
function swatch(colour: readonly number[], text: string): HTMLElement {
  const canvas = el('canvas', { 'aria-hidden': 'true' });
  paint(canvas, Uint8Array.from(colour), { width: 1, height: 1, channels: 3, images: [] }, '');
  canvas.removeAttribute('aria-label');
  return el('li', {}, canvas, text);
}

function bitName(bit: number, bits: number): string {
  if (bit === bits - 1) return `${bit}, the highest`;
  return bit === 0 ? '0, the lowest' : String(bit);
}
