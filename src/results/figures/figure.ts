/** The interface of every figure of a run, through which the index offers them. */
import type { Results } from '../schema.ts';
import type { ThemeName } from './style.ts';

export interface DrawOptions {
  readonly document: Document;
  /** `light` unless given. */
  readonly theme?: ThemeName;
  /** Title of the run; default: made from its manifest. */
  readonly title?: string;
  /** Number of people that the classifier distinguishes, used if the manifest does not contain it. */
  readonly classes?: number;
}

/** A figure that a run may have. */
export interface RunFigure {
  /** Display name: 'Similarity against accuracy'. */
  readonly name: string;
  /** Name of its file, without the extension. */
  readonly file: string;
  /** True if the run has data for the figure. */
  applies(results: Results): boolean;
  /** The text below the figure in the report. */
  caption(results: Results): string;
  /** @returns an SVG. @throws ConfigError if the figure does not apply */
  draw(results: Results, options: DrawOptions): string;
}
