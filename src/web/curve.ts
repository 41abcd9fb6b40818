/** The figure of similarity against accuracy, redrawn as draws are measured, with its table and its downloads. */
import { conditionLabel, formatNumber, type Interval, type Results, toCsv } from '../results/results.ts';
import { byId, scrollable, table } from './dom.ts';
import { download, sheetSvg, svgToPng } from './downloads.ts';
import type { ReconstructionPanel } from './reconstruction_panel.ts';
import { type Setting, vendorOf } from './setting.ts';

const NARROW = 760;

export class Curve {
  readonly #panel: ReconstructionPanel;
  readonly #failed: (error: Error) => void;
  #shown: { setting: Setting; results: Results } | undefined;
  #figure = '';
  #drawing: Promise<void> = Promise.resolve();
  #pending = false;

  /** @param failed called with the error if a figure or a file fails */
  constructor(panel: ReconstructionPanel, failed: (error: Error) => void) {
    this.#panel = panel;
    this.#failed = failed;
    scrollable(byId('curve-figure'));
    for (const button of this.#exports()) {
      button.addEventListener('click', () => void this.#export(button.dataset.export!).catch(this.#failed));
    }
    matchMedia(`(max-width: ${NARROW}px)`).addEventListener('change', () => this.#redraw());
  }

  show(setting: Setting, results: Results): void {
    this.#shown = { setting, results };
    for (const button of this.#exports()) {
      if (!button.dataset.export!.startsWith('curve')) button.disabled = false;
    }
    this.#table();
    this.#redraw();
  }

  #exports(): HTMLButtonElement[] {
    return [...byId('exports').querySelectorAll('button')];
  }

  /** Draws one figure at a time; the last one shows the newest rows. */
  #redraw(): void {
    if (this.#pending) return;
    this.#pending = true;
    this.#drawing = this.#drawing.then(() => {
      this.#pending = false;
      return this.#draw().catch(this.#failed);
    });
  }

  async #draw(): Promise<void> {
    if (!this.#shown) return;
    const { setting, results } = this.#shown;
    const narrow = matchMedia(`(max-width: ${NARROW}px)`).matches;
    const { curveFigure } = await import('./figures.ts');
    const output = this.#panel.outputOf(setting);
    const svg = output && curveFigure(results, output.name, vendorOf(setting.memory), narrow);
    if (svg === undefined) return;
    this.#figure = svg;
    const figure = byId('curve-figure');
    figure.innerHTML = svg;
    // Plot labels its marks 'rule' and 'dot'. To a screen reader the figure is one picture with its own label and a table.
    for (const mark of figure.querySelectorAll('svg [aria-label]')) mark.removeAttribute('aria-label');
    for (const button of this.#exports()) button.disabled = false;
  }

  #table(): void {
    const { setting, results } = this.#shown!;
    const output = this.#panel.outputOf(setting);
    const text = ({ mean, ci95 }: Interval) =>
      `${formatNumber(mean)}${ci95 ? ` (${ci95.map((each) => formatNumber(each)).join(' to ')})` : ''}`;
    const rows = results.summary.filter((entry) => entry.attack === output?.name);
    byId('curve-table').replaceChildren(
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

  async #export(name: string): Promise<void> {
    const { setting, results } = this.#shown!;
    const sheet = () => sheetSvg(this.#panel.rows(setting)!, `${results.manifest.dataset.name}. Draw ${setting.draw}.`);
    const svg = (text: string) => new Blob([text], { type: 'image/svg+xml' });
    const files: Record<string, () => Blob | Promise<Blob>> = {
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
