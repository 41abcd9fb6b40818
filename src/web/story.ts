/** The first chapter: what a setting does to the owner and to the attacker, from shipped results or from the engine. */
import { formatNumber, formatPercent, type Interval, type SummaryEntry } from '../results/results.ts';
import { byId, table } from './dom.ts';
import { Machine, showLayers } from './machine.ts';
import type { Pictures, Reply, ShownAttack, ShownOutput } from './protocol.ts';
import { DEFAULTS, describe, describeMemory, type Setting, strengthText, vendorOf } from './setting.ts';
import { rateIndex, SHIPPED, type ShippedFaces, weightsAt } from './shipped.ts';
import { pointOf } from './verdict.ts';

type Victim = Extract<Reply, { kind: 'victim' }>;
type Weights = Extract<Reply, { kind: 'weights' }>;

/** `0.84 (0.81 to 0.87)`; the mean alone if there is no interval. */
function interval({ mean, ci95 }: Interval, digits = 2): string {
  const text = (value: number | null) => formatNumber(value, digits);
  return ci95 === null ? text(mean) : `${text(mean)} (${text(ci95[0])} to ${text(ci95[1])})`;
}

/** Settings with the same key have the same pictures. */
function pictureKey(setting: Setting): string {
  const { memory, rate, volts, format, layers, granularity, seed, draw, victim, release } = setting;
  return JSON.stringify([memory, rate, volts, format, layers, granularity, seed, draw, victim, release]);
}

/** Index in RATES of a setting whose results come with the page; -1 for others. */
function shippedIndex(setting: Setting): number {
  const { rate, side, attacker } = setting;
  const like = { ...DEFAULTS, rate };
  const same = pictureKey(setting) === pictureKey(like) && side === DEFAULTS.side && attacker === DEFAULTS.attacker;
  return same ? rateIndex(rate) : -1;
}

/** True for a setting whose whole curve comes with the page. */
export function isShippedCurve(setting: Setting): boolean {
  return shippedIndex({ ...setting, rate: DEFAULTS.rate, draw: DEFAULTS.draw }) >= 0;
}

export class Story {
  readonly #machine: Machine;
  #faces: ShippedFaces | undefined;
  #victim: Victim | undefined;
  /** True once networks of the visitor have replaced the shipped ones. */
  #isForeign = false;
  #none: readonly ShownAttack[] | undefined;
  #memory: { readonly key: string; readonly text: string; readonly attacks: readonly ShownAttack[] } | undefined;
  #weights: Weights | undefined;

  constructor(onPerson: (person: number) => void) {
    this.#machine = new Machine(onPerson);
  }

  /** Takes the shipped pictures; they are shown while the engine has none. */
  take(faces: ShippedFaces): void {
    this.#faces = faces;
  }

  /** @param isForeign true if networks of the visitor are open */
  open(victim: Victim, isForeign: boolean): void {
    this.#victim = victim;
    this.#isForeign = isForeign;
    this.#none = undefined;
    this.#memory = undefined;
    this.#weights = undefined;
  }

  /** The output of the attack that a setting selects; undefined before a victim is open. */
  outputOf({ attacker, side }: Setting): ShownOutput | undefined {
    return this.#victim?.outputs.find((output) => output.attacker === attacker && output.split === side);
  }

  measured(what: 'none' | 'memory', attacks: readonly ShownAttack[], setting: Setting): void {
    if (what === 'none') this.#none = attacks;
    else this.#memory = { key: pictureKey(setting), text: describe(setting), attacks };
  }

  weights(weights: Weights): void {
    this.#weights = weights;
  }

  /** Shows a setting: what the engine measured, else what was shipped; else what is shown is dimmed. */
  show(setting: Setting): void {
    const strength = strengthText(setting);
    byId('said-strength').textContent = strength;
    byId('energy').hidden = true;
    showLayers(byId('machine-layers'), this.layers(), setting.layers.split('+'));
    const state = this.#measuredState(setting) ?? this.#shippedState(setting);
    if (state) this.#machine.show(state, setting.person);
    else {
      this.#machine.choose(setting.person);
      this.#machine.stale(true);
    }
  }

  /** The layers of the victim that have weights. */
  layers(): string[] {
    const tensors = this.#victim?.tensors ?? ['conv1.', 'conv2.', 'conv3.', 'conv4.', 'fc1.', 'fc2.'];
    return [...new Set(tensors.map((name) => name.split('.')[0]))];
  }

  #measuredState(setting: Setting) {
    const truth = this.#victim?.truth[setting.side];
    const [none, memory] = [this.#found('none', setting), this.#found('memory', setting)];
    if (!truth || !none || !memory || this.#memory?.key !== pictureKey(setting)) return undefined;
    const shown = ({ row, pictures }: ShownAttack) => ({ point: pointOf(row), pictures });
    const weights =
      this.#weights && pictureKey(this.#weights.setting) === pictureKey(setting) ? this.#weights : undefined;
    return { names: truth.names, truth, none: shown(none), memory: shown(memory), weights };
  }

  #shippedState(setting: Setting) {
    const index = shippedIndex(setting);
    if (index < 0 || !this.#faces || this.#isForeign) return undefined;
    const { truth, none, rates } = this.#faces;
    const { name: tensor, bits } = SHIPPED.tensor;
    return {
      names: SHIPPED.names,
      truth,
      none: { point: SHIPPED.none, pictures: none },
      memory: { point: SHIPPED.rates[index], pictures: rates[index] },
      weights: { tensor, bits, weights: weightsAt(index) },
    };
  }

  #found(what: 'none' | 'memory', setting: Setting): ShownAttack | undefined {
    const name = this.outputOf(setting)?.name;
    const attacks = what === 'none' ? this.#none : this.#memory?.attacks;
    return attacks?.find(({ output }) => output.name === name);
  }

  /** The true faces of a setting; undefined before a victim is open. */
  truthOf({ side }: Setting): Victim['truth'][Setting['side']] | undefined {
    return this.#victim?.truth[side];
  }

  /** The rows of pictures for the contact sheet; undefined before the engine has measured any. */
  rows(setting: Setting) {
    const truth = this.#victim?.truth[setting.side];
    const [none, memory] = [this.#found('none', setting), this.#found('memory', setting)];
    if (!truth || !none || !memory) return undefined;
    const detail = ({ row }: ShownAttack) => `accuracy ${row.accuracy.toFixed(2)}, PCC ${formatNumber(row.pcc, 2)}`;
    const side = setting.side === 'training' ? 'training' : 'held-out';
    const rows = [
      { label: 'true faces', detail: side, pictures: truth as Pictures },
      { label: 'no defence', detail: detail(none), pictures: none.pictures },
      { label: 'this memory', detail: `${this.#memory!.text}: ${detail(memory)}`, pictures: memory.pictures },
    ];
    return { title: 'Faces reconstructed from the predictions of a classifier', names: truth.names, rows };
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
    const hasVoltage = energy !== undefined && vendorOf(setting.memory) !== undefined;
    byId('energy').hidden = !hasVoltage;
    if (hasVoltage) {
      byId('energy').textContent =
        `At ${setting.volts.toFixed(3)} V reading the weights takes ${formatPercent(energy.relative)} of the energy at the nominal ` +
        `1.35 V, by V² (${(energy.bytes / 1e6).toFixed(1)} MB).`;
    }
    byId('numbers').replaceChildren(
      table('Means, and 95 % intervals over draws and people', [
        ['', 'no defence', `${describeMemory(setting)}, ${memory.draws} ${memory.draws === 1 ? 'draw' : 'draws'}`],
        row('accuracy of the classifier', 'accuracy'),
        row('similarity to the right person (PCC)', 'pcc'),
        row('lift over wrong people, without the mean face', 'liftMeanFree'),
        row('most similar to the right person', 'rank1'),
        row('recognised by a linear evaluator', 'identity'),
      ]),
    );
  }
}
