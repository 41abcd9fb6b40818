/**
 * A scatter of what the attacker keeps against what the owner keeps. Points are buttons: pointing at one, the keyboard and a tap
 * show the faces behind it.
 */
import { el, paint } from './dom.ts';
import type { Pictures } from './protocol.ts';

export interface PlotPoint {
  /** Unique among the points. */
  readonly key: string;
  readonly kind: 'none' | 'errors' | 'noise';
  /** Position on the axes, and its 95 % intervals where they are known. */
  readonly x: number;
  readonly y: number;
  readonly xInterval?: readonly [number, number] | null;
  readonly yInterval?: readonly [number, number] | null;
  /** Names the point. */
  readonly title: string;
  /** What was measured there, in a sentence. */
  readonly said: string;
  readonly pictures?: Pictures;
}

export interface PlotContent {
  readonly x: string;
  readonly y: string;
  /** True if y is a share, which begins at 0. */
  readonly yIsShare: boolean;
  readonly points: readonly PlotPoint[];
  /** Title of the true faces, and these. */
  readonly truth?: Pictures;
  readonly names: readonly string[];
}

/** Faces that are shown of a point. */
const FACES = 5;

const SVG = 'http://www.w3.org/2000/svg';

function svg(tag: string, attributes: Record<string, string | number>): SVGElement {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

export class Plot {
  readonly #frame = el('div', { class: 'plot-frame', role: 'group', 'aria-label': 'Points of the curve' });
  readonly #title = el('h3', {});
  readonly #said = el('p', { class: 'plot-said' });
  readonly #faces = el('div', { class: 'plot-faces' });
  #content: PlotContent | undefined;
  #chosen = '';
  /** The point that was last suggested. */
  #suggested = '';

  constructor(root: HTMLElement) {
    const side = el('div', { class: 'plot-side' }, this.#title, this.#said, this.#faces);
    root.append(el('div', { class: 'plot' }, this.#frame, side));
    this.#frame.addEventListener('keydown', (event) => this.#key(event));
  }

  /** @param suggested key of a point; its faces are shown when it is suggested first, or if the chosen point is gone */
  show(content: PlotContent, suggested: string): void {
    const hadFocus = this.#frame.contains(document.activeElement);
    const has = (wanted: string) => content.points.some(({ key }) => key === wanted);
    this.#content = content;
    if ((suggested !== this.#suggested && !hadFocus) || !has(this.#chosen)) {
      this.#chosen = has(suggested) ? suggested : (content.points[0]?.key ?? '');
    }
    this.#suggested = suggested;
    this.#draw();
    this.#choose(this.#chosen);
    if (hadFocus) this.#frame.querySelector<HTMLElement>('[tabindex="0"]')?.focus();
  }

  clear(): void {
    this.#content = undefined;
    for (const part of [this.#frame, this.#title, this.#said, this.#faces]) part.replaceChildren();
  }

  #draw(): void {
    const { points, x, y, yIsShare } = this.#content!;
    const values = points.flatMap((point) => [point.y, ...(point.yInterval ?? [])]);
    const step = 0.1;
    const low = Math.min(0, Math.floor(Math.min(...values) / step) * step);
    const high = Math.max(low + step, Math.ceil(Math.max(...values) / step) * step);
    const left = (value: number) => 100 * value;
    const top = (value: number) => (100 * (high - value)) / (high - low);
    const picture = svg('svg', { viewBox: '0 0 100 100', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
    const parts: HTMLElement[] = [];
    const place = (element: HTMLElement, at: { left?: number; top?: number }) => {
      if (at.left !== undefined) element.style.left = `${at.left}%`;
      if (at.top !== undefined) element.style.top = `${at.top}%`;
      parts.push(element);
    };
    for (let value = 0; value <= 1.001; value += 0.25) {
      picture.append(svg('line', { x1: left(value), x2: left(value), y1: 0, y2: 100 }));
      place(el('span', { class: 'tick x' }, `${Math.round(100 * value)} %`), { left: left(value) });
    }
    const ticks = Math.round((high - low) / step);
    const every = Math.ceil(ticks / 5);
    for (let i = 0; i <= ticks; i += every) {
      const value = low + i * step;
      picture.append(svg('line', { x1: 0, x2: 100, y1: top(value), y2: top(value) }));
      const text = yIsShare ? `${Math.round(100 * value)} %` : value.toFixed(1).replace('-', '−');
      place(el('span', { class: 'tick y' }, text), { top: top(value) });
    }
    const line = points.filter(({ kind }) => kind !== 'noise').map((point) => `${left(point.x)},${top(point.y)}`);
    picture.append(svg('polyline', { points: line.join(' ') }));
    for (const { x, y, xInterval, yInterval } of points) {
      if (xInterval) {
        const ends = { x1: left(xInterval[0]), x2: left(xInterval[1]) };
        picture.append(svg('line', { class: 'bar', ...ends, y1: top(y), y2: top(y) }));
      }
      if (yInterval) {
        const ends = { y1: top(yInterval[0]), y2: top(yInterval[1]) };
        picture.append(svg('line', { class: 'bar', ...ends, x1: left(x), x2: left(x) }));
      }
    }
    for (const { key, kind, x, y, title, said } of points) {
      const choose = () => this.#choose(key);
      const listeners = { onpointerenter: choose, onfocus: choose, onclick: choose };
      const attributes = { type: 'button', class: `point ${kind}`, 'data-key': key, 'aria-label': `${title}: ${said}` };
      place(el('button', { ...attributes, ...listeners }), { left: left(x), top: top(y) });
    }
    parts.push(el('span', { class: 'axis x' }, `${x} →`), el('span', { class: 'axis y' }, `↑ ${y}`));
    this.#frame.replaceChildren(picture, ...parts);
  }

  #choose(key: string): void {
    if (!this.#content) return;
    const { points, truth, names } = this.#content;
    const point = points.find((each) => each.key === key);
    if (!point) return;
    this.#chosen = key;
    for (const button of this.#frame.querySelectorAll<HTMLElement>('.point')) {
      const isChosen = button.dataset.key === key;
      button.setAttribute('aria-pressed', String(isChosen));
      // The points are one stop of the Tab key; arrow keys move among them.
      button.tabIndex = isChosen ? 0 : -1;
    }
    this.#title.textContent = point.title;
    this.#said.textContent = point.said;
    const rows = point.pictures ? [truth, point.pictures] : [];
    this.#faces.replaceChildren(
      ...rows.flatMap((pictures, row) =>
        (pictures?.images.slice(0, FACES) ?? []).map((image, i) => {
          const canvas = el('canvas', { role: 'img', 'data-row': row === 0 ? 'truth' : 'attack' });
          paint(canvas, image, pictures!, `${row === 0 ? 'photograph' : 'attacker’s picture'} ${names[i] ?? i + 1}`);
          return canvas;
        }),
      ),
    );
  }

  #key(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (step === undefined || !this.#content) return;
    const { points } = this.#content;
    const at = points.findIndex(({ key }) => key === this.#chosen) + step;
    if (at < 0 || at >= points.length) return;
    event.preventDefault();
    this.#choose(points[at].key);
    this.#frame.querySelector<HTMLElement>('[tabindex="0"]')?.focus();
  }
}
