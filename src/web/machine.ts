/** Draws the machine: a photograph, the bits of some weights in memory, the classifier's answers, and the attacker's picture. */
import { formatNumber } from '../results/format.ts';
import { byId, el, keepPainted, paint } from './dom.ts';
import type { Pictures, ShownWeight } from './protocol.ts';
import { countText, namedBy, type Point, recognisedBy, verdictOf } from './verdict.ts';

/** Everything that the machine shows. */
export interface MachineState {
  readonly names: readonly string[];
  readonly truth: Pictures;
  readonly none: { readonly point: Point; readonly pictures: Pictures };
  readonly memory: { readonly point: Point; readonly pictures: Pictures };
  /** Weights of `tensor`, as stored and as read. */
  readonly weights:
    | { readonly tensor: string; readonly bits: number; readonly weights: readonly ShownWeight[] }
    | undefined;
}

/** A name such as `person 1` for `private-0`, which is an identifier of the data set. */
const personName = (name: string) => name.replace(/^private-(\d+)$/, (_, number) => `person ${Number(number) + 1}`);

export class Machine {
  readonly #onPerson: (person: number) => void;
  #state: MachineState | undefined;
  #person = 0;

  constructor(onPerson: (person: number) => void) {
    this.#onPerson = onPerson;
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#answers());
  }

  /** @param person index of the face in the machine */
  show(state: MachineState, person: number): void {
    this.#state = state;
    this.#person = Math.min(person, state.truth.images.length - 1);
    this.stale(false);
    this.#pictures();
    this.#answers();
    this.#score();
    this.#people();
    if (state.weights) showBits(state.weights);
  }

  /** Chooses the face in the machine. */
  choose(person: number): void {
    if (this.#state) this.show(this.#state, person);
  }

  /** Dims results of another setting until those of the present one are there. */
  stale(isStale: boolean): void {
    for (const id of ['machine', 'score', 'faces']) {
      byId(id).classList.toggle('stale', isStale);
      byId(id).setAttribute('aria-busy', String(isStale));
    }
  }

  #pictures(): void {
    const { names, truth, none, memory } = this.#state!;
    const name = personName(names[this.#person]);
    paint(byId('machine-photo'), truth.images[this.#person], truth, `photograph of ${name}`);
    paint(byId('machine-before'), none.pictures.images[this.#person], none.pictures, 'the same without errors');
    paint(
      byId('machine-attack'),
      memory.pictures.images[this.#person],
      memory.pictures,
      `attacker’s picture of ${name}`,
    );
  }

  /** One dot per photograph, in columns of ten. */
  #answers(): void {
    if (!this.#state) return;
    const { correct } = this.#state.memory.point;
    const canvas = byId<HTMLCanvasElement>('answers');
    const [rows, cell] = [10, 16];
    keepPainted(canvas, () => {
      canvas.width = Math.ceil(correct.length / rows) * cell;
      canvas.height = rows * cell;
      const context = canvas.getContext('2d')!;
      const style = getComputedStyle(canvas);
      context.fillStyle = style.getPropertyValue('--owner');
      context.strokeStyle = style.getPropertyValue('--soft');
      for (const [i, answer] of [...correct].entries()) {
        context.beginPath();
        context.arc((Math.floor(i / rows) + 0.5) * cell, ((i % rows) + 0.5) * cell, 5, 0, 2 * Math.PI);
        if (answer === '1') context.fill();
        else context.stroke();
      }
    });
    canvas.setAttribute('aria-label', `${countText(namedBy(this.#state.memory.point))} photographs named right`);
    byId('answers-count').textContent = String(correct.length);
  }

  #score(): void {
    const { none, memory } = this.#state!;
    const { owner, attacker, both, noise } = verdictOf(none.point, memory.point);
    for (const id of ['owner-count', 'owner-brief']) byId(id).textContent = countText(namedBy(memory.point));
    for (const id of ['attacker-count', 'attacker-brief']) byId(id).textContent = countText(recognisedBy(memory.point));
    byId('owner-before').textContent = String(namedBy(none.point).right);
    byId('attacker-before').textContent = String(recognisedBy(none.point).right);
    byId('owner-said').textContent = owner;
    byId('attacker-said').textContent = attacker;
    byId('both-said').textContent = both;
    byId('noise-said').textContent = noise;
  }

  /** The photograph, and the pictures without and with errors, of every person. Existing canvases are drawn again in place. */
  #people(): void {
    const { names, truth, none, memory } = this.#state!;
    const root = byId('faces');
    const count = truth.images.length;
    if (root.children.length !== count) {
      const person = (i: number) =>
        el(
          'button',
          { type: 'button', class: 'person', 'data-person': i, onclick: () => this.#onPerson(i) },
          ...['truth', 'none', 'memory'].map((row) => el('canvas', { 'data-row': row, role: 'img' })),
          el('span', { class: 'mark' }),
        );
      root.replaceChildren(...Array.from({ length: count }, (_, i) => person(i)));
    }
    for (const [i, button] of [...root.children].entries()) {
      const name = personName(names[i]);
      const rows = [
        [truth, `photograph of ${name}`],
        [none.pictures, 'attacker’s picture without errors'],
        [memory.pictures, 'attacker’s picture with errors'],
      ] as const;
      for (const [k, canvas] of [...button.querySelectorAll('canvas')].entries()) {
        const [pictures, label] = rows[k];
        paint(canvas, pictures.images[i], pictures, label);
      }
      button.setAttribute('aria-pressed', String(i === this.#person));
      button.querySelector('.mark')!.textContent = memory.point.recognised[i] === 1 ? 'recognised' : '';
    }
  }
}

/** The bits of weights: the highest first, flipped ones marked, and the value before and after. */
function showBits({ tensor, bits, weights }: NonNullable<MachineState['weights']>): void {
  const box = byId('bits');
  let flips = 0;
  const rows = weights.map(({ code, read, value, readValue }) => {
    const cells = Array.from({ length: bits }, (_, i) => {
      const at = bits - 1 - i;
      const flipped = ((code >>> at) & 1) !== ((read >>> at) & 1);
      flips += Number(flipped);
      return el('span', { class: flipped ? 'bit flipped' : 'bit' }, String((read >>> at) & 1));
    });
    const changed = code !== read;
    const text = [formatNumber(value, 3), changed ? ' → ' : '', changed && el('b', {}, formatNumber(readValue, 3))];
    const parts = text.map((part) => part || undefined);
    return el(
      'div',
      { class: 'weight' },
      el('span', { class: 'cells' }, ...cells),
      el('span', { class: 'value' }, ...parts),
    );
  });
  box.replaceChildren(...rows);
  box.setAttribute(
    'aria-label',
    `${flips} of the ${bits * weights.length} bits of eight weights of ${tensor} are flipped`,
  );
}

/** Draws the layers of a classifier. @param approximate those in approximate memory @param here the layer of a tensor */
export function showLayers(
  root: HTMLElement,
  layers: readonly string[],
  approximate: readonly string[],
  here?: string,
): void {
  const classOf = (layer: string) =>
    [approximate.includes(layer) && 'approximate', layer === here && 'here'].filter(Boolean).join(' ');
  root.replaceChildren(...layers.map((layer) => el('span', { class: classOf(layer) }, layer)));
}
