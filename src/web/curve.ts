/** The curve of a memory, redrawn as draws are measured, with its buttons, table and downloads. */
import {
  conditionKey,
  conditionLabel,
  formatNumber,
  formatPercent,
  type Interval,
  isErrorFree,
  isNoise,
  pictureFile,
  type Results,
  type SummaryEntry,
  toCsv,
} from '../results/results.ts';
import { el, table } from './dom.ts';
import { download, type Sheet, sheetSvg, svgToPng } from './downloads.ts';
import { Plot, type PlotContent, type PlotPoint } from './plot.ts';
import type { Pictures, ShownOutput } from './protocol.ts';
import { type Setting, vendorOf } from './setting.ts';

const EXPORTS = ['results.json', 'results.csv', 'curve.svg', 'curve.png', 'recon.svg', 'recon.png'] as const;
type Export = (typeof EXPORTS)[number];

/** What a curve is about, and what its buttons do. */
export interface CurveOptions {
  /** Begins the ids of its elements. */
  readonly id: string;
  /** The measure of the attacker, and its name on the axis. */
  readonly metric: 'identity' | 'liftMeanFree';
  readonly axis: string;
  /** The true faces of a setting, and their names; undefined where there are none. */
  truthOf(setting: Setting): (Pictures & { readonly names: readonly string[] }) | undefined;
  /** The output of an attack that the figure shows; undefined before there is one. */
  outputOf(setting: Setting, results: Results): Pick<ShownOutput, 'name' | 'title'> | undefined;
  /** The pictures that are shown now; undefined before there are any. */
  sheet(setting: Setting): Sheet | undefined;
  onRun(): void;
  /** @param draws fault maps per condition; not checked */
  onDraws(draws: number): void;
  /** Called with the error if a figure or a file fails. */
  onFailed(error: Error): void;
}

interface Shown {
  readonly setting: Setting;
  readonly results: Results;
}

export class Curve {
  readonly #options: CurveOptions;
  readonly #run: HTMLButtonElement;
  readonly #draws: HTMLInputElement;
  readonly #why: HTMLElement;
  readonly #verdict: HTMLElement;
  readonly #plot: Plot;
  readonly #tableBox: HTMLElement;
  readonly #exports: ReadonlyMap<Export, HTMLButtonElement>;
  #shown: Shown | undefined;
  /** Reconstructions by the names that `pictureFile` gives them. */
  readonly #pictures = new Map<string, Pictures>();
  #preview: { readonly content: PlotContent; readonly chosen: string } | undefined;
  /** True from the first press of the button until another curve is chosen. */
  #wasRun = false;

  /** @param plot gets the plot @param root gets the other elements of the curve as its first children */
  constructor(plot: HTMLElement, root: HTMLElement, options: CurveOptions) {
    this.#options = options;
    const { id, onDraws, onFailed } = options;
    const onclick = () => {
      this.#wasRun = true;
      options.onRun();
    };
    const whyId = `${id}-why`;
    this.#run = el(
      'button',
      { type: 'button', id: `${id}-run`, disabled: true, onclick, 'aria-describedby': whyId },
      'Measure it on this machine',
    );
    const drawsId = `${id}-draws`;
    const onchange = () => onDraws(this.#draws.valueAsNumber);
    this.#draws = el('input', { id: drawsId, type: 'number', min: 1, max: 100, step: 1, onchange });
    this.#why = el('p', { id: whyId, class: 'note' });
    this.#verdict = el('div', { id: `${id}-verdict`, 'aria-live': 'polite' });
    this.#plot = new Plot(plot);
    this.#tableBox = el('div', { id: `${id}-table`, class: 'table-box' });
    this.#exports = new Map(
      EXPORTS.map((name) => {
        const onclick = () => void this.#export(name).catch(onFailed);
        return [name, el('button', { type: 'button', 'data-export': name, disabled: true, onclick }, name)];
      }),
    );
    root.prepend(
      el('p', { class: 'buttons' }, this.#run, el('label', {}, 'samples per point ', this.#draws)),
      this.#why,
      this.#verdict,
      el(
        'details',
        { class: 'more' },
        el('summary', {}, 'What was measured here, as a table and as files'),
        this.#tableBox,
        el('p', { class: 'buttons' }, el('span', { class: 'note' }, 'save'), ...this.#exports.values()),
      ),
    );
  }

  /** @param why in a whole sentence why the curve cannot be measured; empty if it can */
  enable(opened: boolean, why = ''): void {
    this.#run.disabled = !opened || why !== '';
    this.#why.textContent = why;
    this.#why.hidden = why === '';
  }

  setDraws(draws: number): void {
    this.#draws.value = String(draws);
  }

  /**
   * Sets the points that are shown until the curve is measured; none for a curve whose results did not come with the page.
   * @param chosen key of the point whose faces are shown
   */
  preview(content: PlotContent | undefined, chosen = ''): void {
    if (!content) this.#wasRun = false;
    this.#preview = content && { content, chosen };
    this.#draw();
  }

  /** Keeps the reconstructions of a point. @param file from `pictureFile` */
  picture(file: string, pictures: Pictures): void {
    this.#pictures.set(file, pictures);
  }

  show(setting: Setting, results: Results): void {
    this.#shown = { setting, results };
    this.#verdict.replaceChildren();
    this.#table();
    this.#buttons();
    this.#draw();
  }

  /** Says what the curve shows, once all of it is measured. */
  async judge(): Promise<void> {
    const shown = this.#shown;
    const { verdictElements } = await import('./measured_verdict.ts');
    if (shown && this.#shown === shown) this.#verdict.replaceChildren(...verdictElements(shown.results));
  }

  clear(): void {
    this.#shown = undefined;
    this.#verdict.replaceChildren();
    this.#plot.clear();
    this.#tableBox.replaceChildren();
    this.#buttons();
  }

  /** Enables the downloads that have something to save. */
  #buttons(): void {
    const pictures = this.#shown && this.#options.sheet(this.#shown.setting);
    for (const [name, button] of this.#exports)
      button.disabled = !this.#shown || (name.startsWith('recon') && !pictures);
  }

  #draw(): void {
    const measured = this.#shown && this.#content(this.#shown);
    if (this.#preview && !this.#wasRun) this.#plot.show(this.#preview.content, this.#preview.chosen);
    else if (measured && measured.points.length > 0) this.#plot.show(measured, measured.points[0].key);
    else this.#plot.clear();
  }

  #content({ setting, results }: Shown): PlotContent | undefined {
    const { metric, axis, outputOf, truthOf } = this.#options;
    const output = outputOf(setting, results);
    if (!output) return undefined;
    const truth = truthOf(setting);
    const points = results.summary
      .filter(({ attack }) => attack === output.name)
      .flatMap((entry) => this.#point(entry, results, output.name) ?? []);
    const order = { none: 0, errors: 1, noise: 2 };
    points.sort((a, b) => order[a.kind] - order[b.kind] || (a.kind === 'errors' ? b.x - a.x : 0));
    const names = truth?.names ?? [];
    return { x: 'accuracy of the classifier', y: axis, yIsShare: metric === 'identity', points, truth, names };
  }

  #point(entry: SummaryEntry, { rows }: Results, attack: string): PlotPoint | undefined {
    const { condition, accuracy, draws } = entry;
    const measured = entry[this.#options.metric];
    if (measured.mean === null) return undefined;
    const key = conditionKey(condition);
    const row = rows.find((each) => conditionKey(each.condition) === key);
    const hasVoltage = condition.kind === 'memory' && condition.volts !== undefined;
    const energy =
      hasVoltage && row?.energy ? ` Reads take ${formatPercent(row.energy.relative)} of the nominal energy.` : '';
    return {
      key,
      kind: isErrorFree(condition) ? 'none' : isNoise(condition) ? 'noise' : 'errors',
      x: accuracy.mean,
      y: measured.mean,
      xInterval: accuracy.ci95,
      yInterval: measured.ci95,
      title: conditionLabel(condition),
      said:
        `Accuracy ${withInterval(accuracy)}, ${this.#options.axis} ${withInterval(measured)}, ` +
        `${draws} ${draws === 1 ? 'sample' : 'samples'}.${energy}`,
      pictures: this.#pictures.get(pictureFile(condition, attack)),
    };
  }

  #table(): void {
    const { setting, results } = this.#shown!;
    const output = this.#options.outputOf(setting, results);
    const rows = results.summary.filter((entry) => entry.attack === output?.name);
    this.#tableBox.replaceChildren(
      table(`${output?.title}: means and 95 % intervals`, [
        ['condition', 'draws', 'accuracy', 'PCC', 'lift without the mean face', 'rank 1', 'recognised'],
        ...rows.map(({ condition, draws, accuracy, pcc, liftMeanFree, rank1, identity }) => [
          conditionLabel(condition),
          String(draws),
          withInterval(accuracy),
          withInterval(pcc),
          withInterval(liftMeanFree),
          withInterval(rank1),
          withInterval(identity),
        ]),
      ]),
    );
  }

  async #export(name: Export): Promise<void> {
    const { setting, results } = this.#shown!;
    const figure = async () => {
      const { curveFigure } = await import('./figures.ts');
      const output = this.#options.outputOf(setting, results);
      const drawn = output && curveFigure(results, output.name, vendorOf(setting.memory));
      if (drawn === undefined) throw new Error('nothing with errors was measured yet; measure the curve first');
      return drawn;
    };
    const sheet = () =>
      sheetSvg(this.#options.sheet(setting)!, `${results.manifest.dataset.name}. Draw ${setting.draw}.`);
    const svg = (text: string) => new Blob([text], { type: 'image/svg+xml' });
    const files: Record<Export, () => Blob | Promise<Blob>> = {
      'results.json': () => new Blob([`${JSON.stringify(results, null, 1)}\n`], { type: 'application/json' }),
      'results.csv': () => new Blob([toCsv(results.rows)], { type: 'text/csv' }),
      'curve.svg': async () => svg(await figure()),
      'curve.png': async () => svgToPng(await figure()),
      'recon.svg': () => svg(sheet()),
      'recon.png': () => svgToPng(sheet()),
    };
    download(name, await files[name]());
  }
}

/** `0.84 (0.81 to 0.87)`; the mean alone if there is no interval. */
function withInterval({ mean, ci95 }: Interval): string {
  return `${formatNumber(mean)}${ci95 ? ` (${ci95.map((each) => formatNumber(each)).join(' to ')})` : ''}`;
}
