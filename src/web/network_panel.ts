/** A network that a visitor brought: what it is, what it answers, what attacks get out of it, its curve and its faults. */
import { formatNumber } from '../results/format.ts';
import { type AttackEnd, type AttackLine, AttackPanel, measured } from './attack_panel.ts';
import { Controls } from './controls.ts';
import { Curve } from './curve.ts';
import { byId, el, Gallery } from './dom.ts';
import { FaultMapView } from './fault_map.ts';
import type { BroughtReply, Job, Reply, ShownLayer } from './protocol.ts';
import { DEFAULTS, isSetting, normalised, type Setting } from './setting.ts';

const whole = new Intl.NumberFormat('en');
const some = (count: number, one: string, more: string) => `${whole.format(count)} ${count === 1 ? one : more}`;

/** Recognition by the network itself, which needs no images to compare with. */
const BELIEVED: AttackLine = [
  'recognised by the network without errors',
  ({ believed }) =>
    believed && `${believed.recognised} of ${believed.of}, mean confidence ${formatNumber(believed.confidence, 2)}`,
];

export class NetworkPanel {
  readonly #gallery = new Gallery(byId('network-images'));
  readonly #attack = new AttackPanel('network');
  readonly #controls: Controls;
  readonly #curve: Curve;
  readonly #map: FaultMapView;
  readonly #send: (job: Job) => void;
  /** Its memory is its own: the address of the page cannot hold the network that it belongs to. */
  #setting: Setting = DEFAULTS;
  #shown: BroughtReply | undefined;
  #opened = false;

  constructor(send: (job: Job) => void, onFailed: (error: Error) => void) {
    this.#send = send;
    const curve = byId('network-curve');
    const [plot, rest] = [el('div', {}), el('div', {})];
    curve.append(plot, rest);
    this.#curve = new Curve(plot, rest, {
      id: 'network-curve',
      metric: 'liftMeanFree',
      axis: 'lift of the attacker’s pictures',
      truthOf: () => undefined,
      onFailed,
      // An attack on a network of a visitor has one output.
      outputOf: (_setting, { manifest }) => manifest.attacks?.[0],
      sheet: () => this.#attack.sheet(`What ${this.#attackShown()?.title} gets out of ${this.#shown?.name}`),
      onRun: () => this.#measure('curve'),
      onDraws: (draws) => this.#choose({ draws }),
    });
    this.#map = new FaultMapView(byId('network-map'), {
      id: 'network-map',
      onRun: () => this.#measure('map'),
      onTensor() {},
    });
    const form = {
      root: 'network-controls',
      slider: 'network-slider',
      prefix: 'network',
      strength: 'network-strength',
    };
    const fields = ['memory', 'format', 'granularity', 'draw', 'seed'] as const;
    this.#controls = new Controls({ ...form, fields }, (change) => this.#choose(change));
    this.#choose({});
    byId('network-attack').addEventListener('change', () => this.#describeAttack());
    for (const [id, checked] of [
      ['network-all', true],
      ['network-none', false],
    ] as const) {
      byId(id).addEventListener('click', () => {
        for (const box of this.#boxes()) box.checked = checked;
        this.#layersChanged();
      });
    }
    byId('network-layers').addEventListener('change', () => this.#layersChanged());
    byId('network-run').addEventListener('click', () => this.#run());
  }

  /** @param opened true if a job can start */
  enable(opened: boolean): void {
    this.#opened = opened;
    const [shown, layers] = [this.#shown, this.#chosen()];
    const can = opened && shown !== undefined && layers.length > 0;
    byId<HTMLButtonElement>('network-run').disabled = !can;
    this.#map.enable(can);
    const why = layers.length === 0 ? NO_LAYERS : shown?.images ? '' : NO_CURVE;
    this.#curve.enable(can, shown ? why : '');
  }

  show(reply: BroughtReply): void {
    this.#shown = reply;
    const { name, input, classes, parameters, layers, notes, attacks, images } = reply;
    this.#attack.begin();
    this.#curve.clear();
    this.#map.clear();
    byId('network-panel').hidden = false;
    byId('network-name').textContent = name;
    byId('network-summary').textContent =
      `Takes ${input.channels === 3 ? 'RGB' : 'gray'} images of ${input.width} x ${input.height} pixels and tells ` +
      `${whole.format(classes)} classes apart; ${some(layers.length, 'layer', 'layers')} with weights, ` +
      `${some(parameters, 'parameter', 'parameters')}.`;
    byId('network-notes').replaceChildren(...notes.map((note) => el('li', {}, note)));
    byId('network-layers').replaceChildren(...layers.map(layerRow));
    byId('network-attack').replaceChildren(...attacks.map(({ kind, title }) => el('option', { value: kind }, title)));
    this.#describeAttack();
    this.#layersChanged();
    this.#gallery.clear();
    byId('network-accuracy').textContent = images ? answersText(images) : NO_IMAGES;
    if (images) {
      const { shown, pictures } = images;
      const row = { id: 'answers', label: 'your images', detail: 'what the network answers', pictures };
      this.#gallery.show(
        { ...row, notes: shown.map(({ answer }) => answer) },
        shown.map(({ name }) => name),
      );
    }
  }

  attacked(reply: Extract<Reply, { kind: 'inversion' }>): void {
    const images = this.#shown?.images;
    const onImages = this.#attackShown()?.onPhotographs === true;
    const lines: AttackLine[] = [
      ...(images
        ? [
            measured(
              images.areLabelled ? 'accuracy on your images' : 'answers to your images that stay the same',
              'accuracy',
            ),
          ]
        : []),
      BELIEVED,
      ...(images
        ? [
            measured('similarity to your images (PCC)', 'pcc'),
            measured('lift over images of other classes, without the mean image', 'liftMeanFree'),
          ]
        : []),
    ];
    const caption = ({ row, baselines }: AttackEnd) =>
      `One draw, ${row.n} ${onImages ? 'images' : 'classes'}` +
      (baselines ? `; the mean image alone has a PCC of ${formatNumber(baselines.meanFacePcc, 2)}` : '');
    this.#attack.show(reply, ['your images', onImages ? 'as attacked' : 'one of every class'], lines, caption);
  }

  #run(): void {
    const attack = this.#attackShown();
    if (!attack) return;
    this.#attack.begin();
    this.#send({ kind: 'attack', setting: this.#setting, network: { attack: attack.kind, layers: this.#chosen() } });
  }

  #measure(kind: 'curve' | 'map'): void {
    const attack = this.#attackShown();
    if (!attack) return;
    const setting = { ...this.#setting, tensor: this.#map.tensor };
    this.#send({ kind, setting, network: { attack: attack.kind, layers: this.#chosen() } });
  }

  /** An invalid value is reset to the previous one. */
  #choose(change: Partial<Setting>): void {
    const wanted = { ...this.#setting, ...change };
    if (isSetting(wanted)) this.#setting = normalised(wanted);
    this.#controls.show(this.#setting);
    this.#curve.setDraws(this.#setting.draws);
  }

  results({ setting, results }: Extract<Reply, { kind: 'results' }>): void {
    this.#curve.show(setting, results);
  }

  /** Says what a finished curve shows. */
  async judge(): Promise<void> {
    await this.#curve.judge();
  }

  picture({ file, pictures }: Extract<Reply, { kind: 'pictures' }>): void {
    this.#curve.picture(file, pictures);
  }

  mapped(reply: Extract<Reply, { kind: 'map' }>): void {
    this.#map.show(reply);
  }

  #attackShown() {
    return this.#shown?.attacks.find(({ kind }) => kind === byId<HTMLSelectElement>('network-attack').value);
  }

  #describeAttack(): void {
    byId('network-attack-description').textContent = this.#attackShown()?.description ?? '';
  }

  #boxes(): HTMLInputElement[] {
    return [...byId('network-layers').querySelectorAll('input')];
  }

  /** Names of the layers in approximate memory. */
  #chosen(): string[] {
    return this.#boxes().flatMap(({ checked, value }) => (checked ? [value] : []));
  }

  #layersChanged(): void {
    const [chosen, all] = [this.#chosen(), this.#boxes().length];
    byId('network-chosen').textContent = chosen.length === all ? `all ${all}` : `${chosen.length} of ${all}`;
    const tensors = this.#shown?.layers.filter(({ name }) => chosen.includes(name)).flatMap(({ tensors }) => tensors);
    this.#map.offer(tensors ?? [], this.#map.tensor);
    this.enable(this.#opened);
  }
}

const NO_LAYERS = 'Choose at least one layer that lies in this memory.';
const NO_CURVE =
  'The curve and the result files need images: drop some, in one folder per class. Without them the page knows neither the accuracy ' +
  'of your network nor what its classes look like.';

const NO_IMAGES =
  'Without images the attacks are judged by the network itself. Add images, in one folder per class, to see its accuracy and to ' +
  'compare them with what the attacker gets.';

function answersText({ count, areLabelled, right }: NonNullable<BroughtReply['images']>): string {
  if (!areLabelled) {
    return (
      `${some(count, 'image', 'images')} without labels: below, accuracy is the share of answers that stay as they are without ` +
      'errors. Put images into one folder per class to give them labels.'
    );
  }
  return `Accuracy without errors: ${right} of ${some(count, 'image', 'images')} (${((100 * right) / count).toFixed(1)} %).`;
}

function layerRow({ name, kind, output, parameters }: ShownLayer): HTMLElement {
  return el(
    'label',
    { class: 'layer' },
    el('input', { type: 'checkbox', value: name, checked: true }),
    el('span', {}, name),
    el('span', { class: 'note' }, `${kind}, result ${output}, ${some(parameters, 'parameter', 'parameters')}`),
  );
}
