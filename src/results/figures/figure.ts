/** The interface of every figure of a run, through which the index offers them. */
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
  /** True if the run has what the figure shows. */
  applies(results: Results): boolean;
  /** Below the figure, in the report. */
  caption(results: Results): string;
  /** @returns an SVG. @throws ConfigError where the figure does not apply */
  draw(results: Results, options: DrawOptions): string;
}
