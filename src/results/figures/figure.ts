/** What every figure of a run has in common, so that an index can offer them all. */
import type { Results } from '../schema.ts';
import type { ThemeName } from './style.ts';

export interface DrawOptions {
  readonly document: Document;
  /** `light` unless given. */
  readonly theme?: ThemeName;
  /** Title of the run, in place of the one that its manifest makes. */
  readonly title?: string;
  /** How many people the classifier tells apart, where the manifest does not say it. */
  readonly classes?: number;
}

/** A figure that a run may have. */
export interface RunFigure {
  /** For people: 'Similarity against accuracy'. */
  readonly name: string;
  /** Its file, without the extension. */
  readonly file: string;
  /** Whether the run has what the figure shows. */
  applies(results: Results): boolean;
  /** Below the figure, in the report. */
  caption(results: Results): string;
  /** @returns an SVG. @throws ConfigError where the figure does not apply */
  draw(results: Results, options: DrawOptions): string;
}

/** The attacks of a run in the order of its summary, those on held-out images first named. */
export function attacksOf({ summary }: Pick<Results, 'summary'>): string[] {
  return [...new Set(summary.map(({ attack }) => attack))];
}

/** The attack that a figure shows which has room for one: the first that is not on the victim's own training images. */
export function mainAttack(results: Pick<Results, 'summary' | 'manifest'>): string {
  const all = attacksOf(results);
  return all.find((name) => !onTrainingImages(results, name)) ?? all[0];
}

/** Whether an attack reconstructs images that the victim was trained on, where the manifest says so. */
export function onTrainingImages({ manifest }: Pick<Results, 'manifest'>, name: string): boolean {
  return manifest.attacks?.find((attack) => attack.name === name)?.split === 'training';
}
