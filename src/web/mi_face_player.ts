/** Plays the shipped reconstructions of people, iteration by iteration, until the visitor runs an attack here. */
import { formatPercent } from '../results/format.ts';
import type { AttackPanel } from './attack_panel.ts';
import { byId, whenNear } from './dom.ts';
import { SHIPPED, shippedPeople } from './shipped.ts';
import { type Point, verdictOf } from './verdict.ts';

/** Time that an iteration is shown, in ms. */
const PACE = 450;

/** What an attack cost the owner and yielded the attacker, in a sentence each. */
export function sayAttack(none: Point, memory: Point): void {
  const { owner, attacker } = verdictOf(none, memory);
  byId('inversion-said').textContent = `${owner} ${attacker}`;
}

export class MiFacePlayer {
  readonly #panel: AttackPanel;
  #frames: Awaited<ReturnType<typeof shippedPeople>> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  constructor(panel: AttackPanel) {
    this.#panel = panel;
    byId('play').addEventListener('click', () => this.#play(0));
  }

  /** Loads the pictures when they are near, shows the last ones, and plays them when the chapter is reached, unless motion should be reduced. */
  async start(): Promise<void> {
    const { none, memory, iterations } = SHIPPED.people;
    sayAttack(none, memory);
    await whenNear(byId('inversion-faces'));
    this.#frames = await shippedPeople();
    if (this.#stopped) return;
    this.#show(iterations.length - 1);
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) {
      byId('play').textContent = 'Play';
      return;
    }
    const observer = new IntersectionObserver(
      ([{ isIntersecting }]) => {
        if (!isIntersecting) return;
        observer.disconnect();
        this.#play(0);
      },
      { threshold: 0.6 },
    );
    observer.observe(byId('inversion-faces'));
  }

  /** Makes room for an attack that runs here. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    byId('play').hidden = true;
    byId('play-iteration').textContent = '';
  }

  #play(index: number): void {
    if (this.#stopped || !this.#frames) return;
    clearTimeout(this.#timer);
    this.#show(index);
    if (index + 1 < SHIPPED.people.iterations.length) this.#timer = setTimeout(() => this.#play(index + 1), PACE);
  }

  #show(index: number): void {
    const { names, iterations, rate } = SHIPPED.people;
    const { truth, none, memory } = this.#frames!;
    const people = names.map((_, i) => `person ${i + 1}`);
    const detail = `iteration ${iterations[index]}`;
    const rows = [
      { id: 'truth', label: 'photographs', detail: 'never shown to the attacker', pictures: truth },
      { id: 'none', label: 'no errors', detail, pictures: none[index] },
      { id: 'memory', label: `${formatPercent(rate)} flipped`, detail, pictures: memory[index] },
    ];
    for (const row of rows) this.#panel.preview(row, people);
    byId('play-iteration').textContent = `iteration ${iterations[index]} of ${iterations.at(-1)}`;
  }
}
