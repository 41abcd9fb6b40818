/** Shows an attack that reconstructs people, or classes of a visitor's network, iteration by iteration. */
import { formatNumber } from '../results/format.ts';
import { byId, Gallery, type GalleryRow, table } from './dom.ts';
import type { Sheet } from './downloads.ts';
import type { Reply } from './protocol.ts';
import { describe } from './setting.ts';

const LABELS = { none: 'no defence', memory: 'this memory' } as const;

type AttackReply = Extract<Reply, { kind: 'inversion' }>;
/** The end of an attack under one memory. */
export type AttackEnd = AttackReply & Required<Pick<AttackReply, 'row'>>;

/** A line of the table: its label, and the number of an attack; undefined if the attack has none. */
export type AttackLine = readonly [label: string, value: (end: AttackEnd) => string | undefined];

type Metric = 'accuracy' | 'pcc' | 'liftMeanFree' | 'rank1' | 'identity';

export const measured = (label: string, metric: Metric): AttackLine => [
  label,
  ({ row }) => (row[metric] === undefined ? undefined : formatNumber(row[metric], 2)),
];

/** What an attack on people is measured by. */
export const PEOPLE_LINES: readonly AttackLine[] = [
  measured('accuracy of the classifier', 'accuracy'),
  measured('similarity to the right person (PCC)', 'pcc'),
  measured('lift over wrong people, without the mean face', 'liftMeanFree'),
  measured('most similar to the right person', 'rank1'),
  measured('recognised by a linear evaluator', 'identity'),
];

export class AttackPanel {
  readonly #gallery: Gallery;
  readonly #numbers: HTMLElement;
  /** The rows of pictures that are shown, by what they show. */
  readonly #rows = new Map<AttackReply['what'], GalleryRow & { readonly detail: string }>();
  #names: readonly string[] = [];
  #ends: { none?: AttackEnd; memory?: AttackEnd } = {};

  /** @param id begins the ids of its two elements, `-faces` and `-numbers` */
  constructor(id: string) {
    this.#gallery = new Gallery(byId(`${id}-faces`));
    this.#numbers = byId(`${id}-numbers`);
  }

  begin(): void {
    this.#gallery.clear();
    this.#ends = {};
    this.#rows.clear();
    this.#numbers.replaceChildren();
  }

  /** The pictures of an attack that is over; undefined before. */
  sheet(title: string): Sheet | undefined {
    return this.#ends.memory && { title, names: this.#names, rows: [...this.#rows.values()] };
  }

  /** Shows a row that was not computed here. */
  preview(row: GalleryRow, names: readonly string[]): void {
    this.#gallery.show(row, names);
  }

  /** The ends of an attack without and with errors; undefined while it runs. */
  get ends(): { readonly none: AttackEnd; readonly memory: AttackEnd } | undefined {
    const { none, memory } = this.#ends;
    return none && memory && { none, memory };
  }

  /** @param truth label and detail of the true images */
  show(
    reply: AttackReply,
    truth: readonly [label: string, detail: string],
    lines: readonly AttackLine[],
    caption: (end: AttackEnd) => string,
  ): void {
    const { setting, what, iteration, iterations, names, pictures } = reply;
    const memory = what === 'memory' ? `${describe(setting)}: ` : '';
    const [label, detail] =
      what === 'truth' ? truth : [LABELS[what], `${memory}iteration ${iteration} of ${iterations}`];
    const row = { id: what, label, detail, pictures };
    this.#rows.set(what, row);
    this.#names = names;
    this.#gallery.show(row, names);
    if (what === 'truth' || !reply.row) return;
    const end = reply as AttackEnd;
    this.#ends[what] = end;
    const { none, memory: defended } = this.#ends;
    const rows = lines.flatMap(([label, value]) => {
      const cells = [none, defended].map((each) => each && value(each));
      return cells.every((cell) => cell === undefined) ? [] : [[label, ...cells.map((cell) => cell ?? '')]];
    });
    this.#numbers.replaceChildren(table(caption(end), [['', 'no defence', 'this memory'], ...rows]));
  }
}

/** The caption of an attack on people. */
export function peopleCaption({ row, baselines }: AttackEnd): string {
  const meanFace = baselines ? formatNumber(baselines.meanFacePcc, 2) : '';
  return `One draw, ${row.n} people; a mean face alone has a PCC of ${meanFace}`;
}
