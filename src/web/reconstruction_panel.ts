/** Shows the faces, their reconstructions by an attacker, and the numbers of both. */
import { formatNumber, formatPercent, type Interval, type SummaryEntry } from '../results/results.ts';
import { byId, Gallery, table } from './dom.ts';
import type { Reply, ShownAttack, ShownOutput } from './protocol.ts';
import { describe, describeMemory, type Setting, vendorOf } from './setting.ts';

type Victim = Extract<Reply, { kind: 'victim' }>;

/** `0.84 (0.81 to 0.87)`; the mean alone if there is no interval. */
function interval({ mean, ci95 }: Interval, digits = 2): string {
  const text = (value: number | null) => formatNumber(value, digits);
  return ci95 === null ? text(mean) : `${text(mean)} (${text(ci95[0])} to ${text(ci95[1])})`;
}

export class ReconstructionPanel {
  readonly #gallery = new Gallery(byId('faces'));
  #victim: Victim | undefined;
  /** The memory under which the pictures were reconstructed. */
  #memory = '';
  readonly #measured: { none?: readonly ShownAttack[]; memory?: readonly ShownAttack[] } = {};

  open(victim: Victim): void {
    this.#victim = victim;
    this.#gallery.clear();
    this.#measured.none = undefined;
    this.#measured.memory = undefined;
  }

  /** The output of the attack that a setting selects; undefined before a victim is open. */
  outputOf({ attacker, side }: Setting): ShownOutput | undefined {
    return this.#victim?.outputs.find((output) => output.attacker === attacker && output.split === side);
  }

  measured(what: 'none' | 'memory', attacks: readonly ShownAttack[], setting: Setting): void {
    this.#measured[what] = attacks;
    if (what === 'memory') this.#memory = describe(setting);
  }

  /** The rows of pictures that are shown now, also for the contact sheet; undefined before a victim is open. */
  rows(setting: Setting) {
    const truth = this.#victim?.truth[setting.side];
    const chosen = this.outputOf(setting);
    if (!truth || !chosen) return undefined;
    const found = (what: 'none' | 'memory') => this.#measured[what]?.find(({ output }) => output.name === chosen.name);
    const detail = ({ row }: ShownAttack) => `accuracy ${row.accuracy.toFixed(2)}, PCC ${formatNumber(row.pcc, 2)}`;
    const rows = [
      {
        id: 'truth',
        label: 'true faces',
        detail: setting.side === 'training' ? 'training' : 'held-out',
        pictures: truth as ShownAttack['pictures'],
      },
    ];
    const [none, memory] = [found('none'), found('memory')];
    if (none) rows.push({ id: 'none', label: 'no defence', detail: detail(none), pictures: none.pictures });
    if (memory)
      rows.push({
        id: 'memory',
        label: 'this memory',
        detail: `${this.#memory}: ${detail(memory)}`,
        pictures: memory.pictures,
      });
    return { title: 'Faces reconstructed from the predictions of a classifier', names: truth.names, rows };
  }

  show(setting: Setting): void {
    const shown = this.rows(setting);
    for (const row of shown?.rows ?? []) this.#gallery.show(row, shown!.names);
  }

  /** @param chosen entries of the undefended model and of the shown memory, for all attacks */
  numbers(
    setting: Setting,
    chosen: readonly SummaryEntry[],
    energy: { bytes: number; relative: number } | undefined,
  ): void {
    const output = this.outputOf(setting);
    const mine = chosen.filter((entry) => entry.attack === output?.name);
    const none = mine.find(({ condition }) => condition.kind === 'none');
    const memory = mine.find(({ condition }) => condition.kind !== 'none') ?? none;
    if (!none || !memory) return;
    const row = (label: string, metric: 'accuracy' | 'pcc' | 'liftMeanFree' | 'rank1' | 'identity') => [
      label,
      interval(none[metric]),
      interval(memory[metric]),
    ];
    const joules =
      energy && vendorOf(setting.memory)
        ? `${formatPercent(energy.relative)} of nominal, ${(energy.bytes / 1e6).toFixed(1)} MB`
        : '';
    byId('numbers').replaceChildren(
      table('Means, and 95 % intervals over draws and people', [
        ['', 'no defence', `${describeMemory(setting)}, ${memory.draws} ${memory.draws === 1 ? 'draw' : 'draws'}`],
        row('accuracy of the classifier', 'accuracy'),
        row('similarity to the right person (PCC)', 'pcc'),
        row('lift over wrong people, without the mean face', 'liftMeanFree'),
        row('most similar to the right person', 'rank1'),
        row('recognised by a linear evaluator', 'identity'),
        ...(joules ? [['energy of weight reads, by V²', '100 % of nominal', joules]] : []),
      ]),
    );
  }
}
