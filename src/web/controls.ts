/** The form that chooses a memory. It shows the setting, and reports every change to one listener. */

import type { VictimKind } from '../experiments/config.ts';
import { VENDORS } from '../memory/undervolting.ts';
import { formatPercent } from '../results/results.ts';
import { NAMED_MEMORIES, RELEASES, VICTIM_KINDS } from './choices.ts';
import { byId, el } from './dom.ts';
import {
  ALL_LAYERS,
  type DrawnDimm,
  dimmOf,
  FORMAT_NAMES,
  layerSetsOf,
  RATES,
  releaseText,
  type Setting,
  vendorOf,
  voltageText,
  voltsOf,
} from './setting.ts';

type Change = (change: Partial<Setting>) => void;

/** Display names of the victims; the convolutional one comes with the page, the others are trained in it. */
export const VICTIM_NAMES: Readonly<Record<VictimKind, string>> = {
  yang: 'convolutional network',
  softmax: 'softmax regression',
  mlp: 'MLP',
  'mlp-sigmoid': 'MLP with a sigmoid layer',
  dae: 'denoising autoencoder',
};

function options(entries: readonly (readonly [string, string])[], chosen: string): HTMLOptionElement[] {
  return entries.map(([value, text]) => el('option', { value, selected: value === chosen }, text));
}

interface Scale {
  readonly values: readonly number[];
  readonly at: number;
  readonly text: string;
  readonly label: string;
  readonly dimm?: DrawnDimm;
}

/** The position of the slider and its number of steps; undefined for a memory without a slider. */
function scaleOf(setting: Setting): Scale | undefined {
  const { memory, rate, volts } = setting;
  const vendor = vendorOf(memory);
  const nearest = (values: readonly number[], value: number) =>
    values.reduce((best, each, i) => (Math.abs(each - value) < Math.abs(values[best] - value) ? i : best), 0);
  if (vendor) {
    const values = voltsOf(vendor, setting);
    const dimm = dimmOf(setting)!;
    const text = voltageText(volts, dimm);
    return { values, at: nearest(values, volts), text, label: 'supply voltage', dimm };
  }
  if (memory !== 'uniform') return undefined;
  return { values: RATES, at: nearest(RATES, rate), text: formatPercent(rate), label: 'bits that flip' };
}

function dimmLines({ measured, assumed }: DrawnDimm): HTMLElement[] {
  return [measured, assumed].map((line) => el('span', {}, line));
}

/** The ends of a slider, the gentlest first. */
const ENDS: Record<string, readonly [string, string]> = {
  'supply voltage': ['nominal', 'low: saves energy, makes errors'],
  'bits that flip': [formatPercent(RATES[0]), formatPercent(RATES[RATES.length - 1])],
};

/** What a choice means, in about six words. */
const HINTS: Partial<Record<keyof Setting, string>> = {
  victim: 'others are trained here, for minutes',
  memory: 'which bits are more likely to flip',
  layers: 'the other layers are read without errors',
  format: 'how a weight is written in bits',
  granularity: 'how often other bits flip',
  side: 'trained on, or new to the classifier',
  attacker: 'clipping repairs answers made too extreme',
  release: 'rounding stops nobody who reads weights',
  draw: 'selects another sample of the errors',
  seed: 'selects another series of samples',
};

/** A form, and the parts of a setting that it shows. */
export interface ControlsOptions {
  /** Id of the form. */
  readonly root: string;
  /** Id of the element for the slider. */
  readonly slider: string;
  /** Begins the ids of all fields; they end with the names of the parts. */
  readonly prefix: string;
  /** Id of the slider itself. */
  readonly strength: string;
  readonly fields: readonly (keyof Setting)[];
}

/** Builds the form again if the memory or the victim changes; otherwise only updates its values, so that the focus stays. */
export class Controls {
  readonly #options: ControlsOptions;
  readonly #root: HTMLElement;
  readonly #change: Change;
  #drawn = '';
  /** Values at the slider's positions. */
  #values: readonly number[] = [];

  constructor(options: ControlsOptions, change: Change) {
    this.#options = options;
    this.#root = byId(options.root);
    this.#change = change;
    this.#root.addEventListener('submit', (event) => event.preventDefault());
  }

  show(setting: Setting): void {
    const scale = scaleOf(setting);
    const drawn = `${setting.memory} ${setting.victim}`;
    if (this.#drawn === drawn) {
      if (scale) this.#move(scale);
      for (const field of this.#root.querySelectorAll<HTMLSelectElement | HTMLInputElement>('[name]')) {
        field.value = String(setting[field.name as keyof Setting]);
      }
      return;
    }
    this.#drawn = drawn;
    const focused = document.activeElement?.id;
    byId(this.#options.slider).replaceChildren(this.#slider(setting, scale));
    this.#root.replaceChildren(...this.#fields(setting));
    if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus();
  }

  #move({ values, at, text, dimm }: Scale): void {
    const { strength } = this.#options;
    const slider = byId<HTMLInputElement>(strength);
    // Other draws are other DIMMs, which were measured down to other voltages.
    slider.max = String(values.length - 1);
    this.#values = values;
    slider.value = String(at);
    slider.setAttribute('aria-valuetext', text);
    byId(`${strength}-value`).textContent = text;
    if (dimm) byId(`${strength}-dimm`).replaceChildren(...dimmLines(dimm));
  }

  #slider(setting: Setting, scale: Scale | undefined): HTMLElement {
    if (!scale) {
      const preset = NAMED_MEMORIES.find(({ name }) => name === setting.memory);
      return el('p', { class: 'note' }, preset?.description);
    }
    const { values, at, text, label, dimm } = scale;
    this.#values = values;
    const name = vendorOf(setting.memory) ? 'volts' : 'rate';
    const { strength } = this.#options;
    const oninput = (event: Event) =>
      this.#change({ [name]: this.#values[(event.target as HTMLInputElement).valueAsNumber] });
    const range = { id: strength, type: 'range', min: 0, max: values.length - 1, step: 1, value: at };
    return el(
      'div',
      { class: 'field slider' },
      el('label', { for: strength }, `${label} `, el('output', { id: `${strength}-value`, for: strength }, text)),
      el('input', { ...range, 'aria-valuetext': text, oninput }),
      el('span', { class: 'ends', 'aria-hidden': 'true' }, ...ENDS[label].map((end) => el('span', {}, end))),
      dimm && el('p', { id: `${strength}-dimm`, class: 'note lines' }, ...dimmLines(dimm)),
    );
  }

  #fields(setting: Setting): HTMLElement[] {
    const vendor = vendorOf(setting.memory);
    const named = !vendor && setting.memory !== 'uniform';
    const memories = [
      ['uniform', 'same error rate for every bit'],
      ...VENDORS.map((vendor) => [`dram-${vendor}`, `DRAM of vendor ${vendor}, undervolted`] as const),
      ...NAMED_MEMORIES.map(({ name }) => [name, name] as const),
    ] as const;
    const layers = layerSetsOf(setting.victim).map(
      (set) => [set, set === ALL_LAYERS ? 'all with weights' : set.replaceAll('+', ' and ')] as const,
    );
    const granularities = [
      ['load', 'per load'],
      ['pass', 'per pass'],
      ['inference', 'per image'],
      ['chip', 'once per chip'],
    ] as const;
    const sides = [
      ['held-out', 'held-out'],
      ['training', 'training'],
    ] as const;
    const attackers = [
      ['direct', 'plain'],
      ['clipped', 'clipping'],
    ] as const;
    const victims = VICTIM_KINDS.map((kind) => [kind, VICTIM_NAMES[kind]] as const);
    const formats = FORMAT_NAMES.map((name) => [name, name] as const);
    const releases = RELEASES.map(({ name }) => [name, releaseText(name) ?? 'exact'] as const);
    const select = (name: keyof Setting, label: string, entries: readonly (readonly [string, string])[], off = false) =>
      [name, () => this.#select(name, label, entries, setting, off)] as const;
    const fields = new Map<keyof Setting, () => HTMLElement>([
      select('victim', 'classifier', victims),
      select('memory', 'memory', memories),
      select('layers', 'layers in this memory', layers),
      select('format', 'number format', formats, named),
      select('granularity', 'errors are drawn', granularities, named || vendor !== undefined),
      select('side', 'photographs', sides),
      select('attacker', 'attacker', attackers),
      select('release', 'answers released', releases),
      ['draw', () => this.#number('draw', setting)],
      ['seed', () => this.#number('seed', setting)],
    ]);
    return this.#options.fields.map((name) => fields.get(name)!());
  }

  /** A labelled select. */
  #select(
    name: keyof Setting,
    label: string,
    entries: readonly (readonly [string, string])[],
    setting: Setting,
    disabled: boolean,
  ): HTMLElement {
    const onchange = (event: Event) => this.#change({ [name]: (event.target as HTMLSelectElement).value });
    const id = `${this.#options.prefix}-${name}`;
    const input = el('select', { name, id, disabled, onchange }, ...options(entries, String(setting[name])));
    return this.#field(name, label, input);
  }

  #number(name: 'seed' | 'draw', setting: Setting): HTMLElement {
    const onchange = (event: Event) => this.#change({ [name]: (event.target as HTMLInputElement).valueAsNumber });
    const id = `${this.#options.prefix}-${name}`;
    return this.#field(
      name,
      name,
      el('input', { name, id, type: 'number', min: 0, step: 1, value: setting[name], onchange }),
    );
  }

  #field(name: keyof Setting, label: string, input: HTMLElement): HTMLElement {
    const hint = `${input.id}-hint`;
    input.setAttribute('aria-describedby', hint);
    return el(
      'div',
      { class: 'field' },
      el('label', { for: input.id }, label),
      input,
      el('span', { id: hint, class: 'hint' }, HINTS[name]),
    );
  }
}
