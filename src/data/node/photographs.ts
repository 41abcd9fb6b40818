/** The photographs of a data set, before any is decoded. */
import type { DecodedImage } from '../../formats/image.ts';
import type { BadFile } from '../pack.ts';

/** What a folder holds. */
export interface Found {
  /** The folder, or the file, that holds them: the given one or one inside it. */
  readonly dir: string;
  /** All names, in the order of the labels. */
  readonly people: readonly string[];
  /** The number that stands for each of them in the files; absent where the files have names. */
  readonly numbers?: readonly number[];
  readonly photographs: readonly Photograph[];
  /** False if `people` names only the data set, because nothing tells the people apart. */
  readonly areIdentified: boolean;
  /** Entries that are no photographs by what they are, such as links that lead nowhere. */
  readonly bad: readonly BadFile[];
  /** Lines about what was found otherwise than expected, for a warning. */
  readonly notes: readonly string[];
  /** Name of the data set; by default that of the folder. */
  readonly name?: string;
  /** The part of each image that `read` returns, in words; absent if the centre of the whole image is imported. */
  readonly crop?: string;
  /** The size that is imported where none is given: width and height in pixels. */
  readonly size?: number;
}

export interface Photograph {
  /** Path inside the folder, with slashes. */
  readonly id: string;
  readonly person: string;
  /** The file; absent if it holds other photographs too. */
  readonly path?: string;
  /** Decodes, crops; gray or RGB, as the file is. @throws DataError if it cannot be used */
  read(): Promise<DecodedImage> | DecodedImage;
}
