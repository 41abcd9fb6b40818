/** The figure of similarity against accuracy, redrawn as draws are measured, with its buttons, table and downloads. */
import { conditionLabel, formatNumber, type Interval, type Results, toCsv } from '../results/results.ts';
import { el, scrollable, table } from './dom.ts';
import { download, type Sheet, sheetSvg, svgToPng } from './downloads.ts';
import type { ShownOutput } from './protocol.ts';
import { type Setting, vendorOf } from './setting.ts';

const NARROW = 760;

const EXPORTS = ['results.json', 'results.csv', 'curve.svg', 'curve.png', 'recon.svg', 'recon.png'] as const;
type Export = (typeof EXPORTS)[number];

/** What a curve is about, and what its buttons do. */
export interface CurveOptions {
  /** Begins the ids of its elements. */
  readonly id: string;
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

export class Curve {
  readonly #options: CurveOptions;
  readonly #run: HTMLButtonElement;
  readonly #draws: HTMLInputElement;
  readonly #why: HTMLElement;
  readonly #figureBox: HTMLElement;
  readonly #tableBox: HTMLElement;
  readonly #exports: ReadonlyMap<Export, HTMLButtonElement>;
  #shown: { setting: Setting; results: Results } | undefined;
  #figure = '';
  #drawing: Promise<void> = Promise.resolve();
  #pending = false;

  /** @param root gets the elements of the curve as its last children */
  constructor(root: HTMLElement, options: CurveOptions) {
    this.#options = options;
    const { id, onRun, onDraws, onFailed } = options;
    const whyId = `${id}-why`;
    this.#run = el(
      'button',
      { type: 'button', id: `${id}-run`, disabled: true, onclick: onRun, 'aria-describedby': whyId },
      'Measure the whole curve',
    );
    const drawsId = `${id}-draws`;
    const onchange = () => onDraws(this.#draws.valueAsNumber);
    this.#draws = el('input', { id: drawsId, type: 'number', min: 1, max: 100, step: 1, onchange });
    this.#why = el('p', { id: whyId, class: 'note' });
    this.#figureBox = el('figure', { id: `${id}-figure`, class: 'figure', 'aria-label': 'Figure' });
    this.#tableBox = el('div', { id: `${id}-table`, class: 'table-box' });
    this.#exports = new Map(
      EXPORTS.map((name) => {
        const onclick = () => void this.#export(name).catch(onFailed);
        return [name, el('button', { type: 'button', 'data-export': name, disabled: true, onclick }, name)];
      }),
    );
    root.append(
      el('p', { class: 'buttons' }, this.#run, el('label', {}, 'draws per condition ', this.#draws)),
      this.#why,
      this.#figureBox,
      el('details', {}, el('summary', {}, 'The same as a table'), this.#tableBox),
      el('p', { class: 'buttons' }, el('span', { class: 'note' }, 'save'), ...this.#exports.values()),
    );
    scrollable(this.#figureBox);
    matchMedia(`(max-width: ${NARROW}px)`).addEventListener('change', () => this.#redraw());
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

  show(setting: Setting, results: Results): void {
    this.#shown = { setting, results };
    this.#table();
    this.#buttons();
    this.#redraw();
  }

  clear(): void {
    this.#shown = undefined;
    this.#figure = '';
    this.#figureBox.replaceChildren();
    this.#tableBox.replaceChildren();
    this.#buttons();
  }

  /** Enables the downloads that have something to save. */
  #buttons(): void {
    const pictures = this.#shown && this.#options.sheet(this.#shown.setting);
    for (const [name, button] of this.#exports) {
      const has = name.startsWith('curve') ? this.#figure !== '' : name.startsWith('recon') ? pictures : true;
      button.disabled = !this.#shown || !has;
    }
  }

  /** Draws one figure at a time; the last one shows the newest rows. */
  #redraw(): void {
    if (this.#pending) return;
    this.#pending = true;
    this.#drawing = this.#drawing.then(() => {
      this.#pending = false;
      return this.#draw().catch(this.#options.onFailed);
    });
  }

  async #draw(): Promise<void> {
    if (!this.#shown) return;
    const { setting, results } = this.#shown;
    const narrow = matchMedia(`(max-width: ${NARROW}px)`).matches;
    const { curveFigure } = await import('./figures.ts');
    const output = this.#options.outputOf(setting, results);
    const svg = output && curveFigure(results, output.name, vendorOf(setting.memory), narrow);
    // The curve was cleared while the figure was drawn.
    if (svg === undefined || !this.#shown) return;
    this.#figure = svg;
    const figure = this.#figureBox;
    figure.innerHTML = svg;
    // Plot labels its marks 'rule' and 'dot'. To a screen reader the figure is one picture with its own label and a table.
    for (const mark of figure.querySelectorAll('svg [aria-label]')) mark.removeAttribute('aria-label');
    this.#buttons();
  }

  #table(): void {
    const { setting, results } = this.#shown!;
    const output = this.#options.outputOf(setting, results);
    const text = ({ mean, ci95 }: Interval) =>
      `${formatNumber(mean)}${ci95 ? ` (${ci95.map((each) => formatNumber(each)).join(' to ')})` : ''}`;
    const rows = results.summary.filter((entry) => entry.attack === output?.name);
    this.#tableBox.replaceChildren(
      table(`${output?.title}: means and 95 % intervals`, [
        ['condition', 'draws', 'accuracy', 'PCC', 'lift without the mean face', 'rank 1', 'recognised'],
        ...rows.map(({ condition, draws, accuracy, pcc, liftMeanFree, rank1, identity }) => [
          conditionLabel(condition),
          String(draws),
          text(accuracy),
          text(pcc),
          text(liftMeanFree),
          text(rank1),
          text(identity),
        ]),
      ]),
    );
  }

  async #export(name: Export): Promise<void> {
    const { setting, results } = this.#shown!;
    const sheet = () =>
      sheetSvg(this.#options.sheet(setting)!, `${results.manifest.dataset.name}. Draw ${setting.draw}.`);
    const svg = (text: string) => new Blob([text], { type: 'image/svg+xml' });
    const files: Record<Export, () => Blob | Promise<Blob>> = {
      'results.json': () => new Blob([`${JSON.stringify(results, null, 1)}\n`], { type: 'application/json' }),
      'results.csv': () => new Blob([toCsv(results.rows)], { type: 'text/csv' }),
      'curve.svg': () => svg(this.#figure),
      'curve.png': () => svgToPng(this.#figure),
      'recon.svg': () => svg(sheet()),
      'recon.png': () => svgToPng(sheet()),
    };
    download(name, await files[name]());
  }
}
