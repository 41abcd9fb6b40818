/** Shows an attack that reconstructs people, iteration by iteration. */
import { formatNumber } from '../results/format.ts';
import type { Row } from '../results/results.ts';
import { byId, Gallery, table } from './dom.ts';
import type { Reply } from './protocol.ts';
import { describe } from './setting.ts';

const LABELS = { truth: 'true faces', none: 'no defence', memory: 'this memory' } as const;

export class AttackPanel {
  readonly #gallery = new Gallery(byId('inversion-faces'));
  #rows: { none?: Row; memory?: Row } = {};

  begin(): void {
    this.#gallery.clear();
    this.#rows = {};
    byId('inversion-numbers').replaceChildren();
  }

  show({
    setting,
    what,
    iteration,
    iterations,
    names,
    pictures,
    row,
    baselines,
  }: Extract<Reply, { kind: 'inversion' }>): void {
    const memory = what === 'memory' ? `${describe(setting)}: ` : '';
    const detail = what === 'truth' ? 'a training photograph' : `${memory}iteration ${iteration} of ${iterations}`;
    this.#gallery.show({ id: what, label: LABELS[what], detail, pictures }, names);
    if (what === 'truth' || !row) return;
    this.#rows[what] = row;
    const { none, memory: defended } = this.#rows;
    const text = (value: number | null | undefined) => (value === undefined ? '' : formatNumber(value, 2));
    const line = (label: string, metric: 'accuracy' | 'pcc' | 'liftMeanFree' | 'rank1' | 'identity') => [
      label,
      text(none?.[metric]),
      text(defended?.[metric]),
    ];
    byId('inversion-numbers').replaceChildren(
      table(`One draw, ${row.n} people; a mean face alone has a PCC of ${text(baselines?.meanFacePcc)}`, [
        ['', 'no defence', 'this memory'],
        line('accuracy of the classifier', 'accuracy'),
        line('similarity to the right person (PCC)', 'pcc'),
        line('lift over wrong people, without the mean face', 'liftMeanFree'),
        line('most similar to the right person', 'rank1'),
        line('recognised by a linear evaluator', 'identity'),
      ]),
    );
  }
}
