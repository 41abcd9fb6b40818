/** The faces, what an attacker gets of them, and the numbers beside it. */
import { deepAttackName } from '../experiments/deep.ts';
import { formatPercent, type Interval, type SummaryEntry } from '../results/results.ts';
import { byId, Gallery, table } from './dom.ts';
import type { Reply, Seen } from './protocol.ts';
import { describe, type Setting, vendorOf } from './setting.ts';

type Opened = Extract<Reply, { kind: 'opened' }>;

/** The page's attackers, by whose names attacks are told apart. */
const ATTACKERS = ['direct', 'clipped'].map((name) => ({ name, floor: 'direct' as const }));

export function attackOf({ attacker, side }: Setting): string {
  return deepAttackName(ATTACKERS, attacker, side);
}

/** `0.84 (0.81 to 0.87)`; the mean alone where nothing was drawn twice. */
function interval({ mean, ci95: [low, high] }: Interval, digits = 2): string {
  const text = (value: number) => value.toFixed(digits).replace('-', '−');
  return low === high ? text(mean) : `${text(mean)} (${text(low)} to ${text(high)})`;
}

export class Story {
  readonly #gallery = new Gallery(byId('faces'));
  #truth: Opened['truth'] | undefined;
  /** Which memory the pictures are of. */
  #memory = '';
  readonly #seen: { none?: readonly Seen[]; memory?: readonly Seen[] } = {};

  open({ truth }: Opened): void {
    this.#truth = truth;
    this.#gallery.clear();
    this.#seen.none = undefined;
    this.#seen.memory = undefined;
  }

  look(what: 'none' | 'memory', seen: readonly Seen[], setting: Setting): void {
    this.#seen[what] = seen;
    if (what === 'memory') this.#memory = describe(setting);
  }

  /** The rows of pictures as they are shown now, for the contact sheet too. */
  rows(setting: Setting) {
    const truth = this.#truth?.[setting.side];
    if (!truth) return undefined;
    const attack = attackOf(setting);
    const found = (what: 'none' | 'memory') => this.#seen[what]?.find(({ row }) => row.attack === attack);
    const detail = ({ row }: Seen) => `accuracy ${row.accuracy.toFixed(2)}, PCC ${row.pcc.toFixed(2)}`;
    const rows = [
      {
        id: 'truth',
        label: 'true faces',
        detail: setting.side === 'training' ? 'training' : 'held-out',
        pictures: truth as Seen['pictures'],
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
    return { names: truth.names, rows };
  }

  show(setting: Setting): void {
    const shown = this.rows(setting);
    for (const row of shown?.rows ?? []) this.#gallery.show(row, shown!.names);
  }

  /** @param chosen all attacks of the undefended model and of the memory that is looked at */
  numbers(
    setting: Setting,
    chosen: readonly SummaryEntry[],
    energy: { bytes: number; relative: number } | undefined,
  ): void {
    const attack = attackOf(setting);
    const mine = chosen.filter((entry) => entry.attack === attack);
    const none = mine.find(({ condition }) => condition.kind === 'none');
    const memory = mine.find(({ condition }) => condition.kind !== 'none') ?? none;
    if (!none || !memory) return;
    const row = (label: string, metric: 'accuracy' | 'pcc' | 'pccLift' | 'identity') => [
      label,
      interval(none[metric]),
      interval(memory[metric]),
    ];
    const joules =
      energy && vendorOf(setting.memory)
        ? `${formatPercent(energy.relative)} of nominal, ${(energy.bytes / 1e6).toFixed(1)} MB`
        : '';
    byId('numbers').replaceChildren(
      table('Means, and 95 % bootstrap intervals over draws and people', [
        [
          '',
          'no defence',
          `${describe(setting).split(',').slice(0, -1).join(',')}, ${memory.draws} ${memory.draws === 1 ? 'draw' : 'draws'}`,
        ],
        row('accuracy of the classifier', 'accuracy'),
        row('similarity to the right person (PCC)', 'pcc'),
        row('lift over wrong people', 'pccLift'),
        row('identified by a judge', 'identity'),
        ...(joules ? [['energy of weight reads, by V²', '100 % of nominal', joules]] : []),
      ]),
    );
  }
}
