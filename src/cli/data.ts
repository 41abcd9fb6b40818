/** `midas data import`, `midas data info` and `midas data synth`: commands that write and describe packs of images. */

import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ImageDataset } from '../data/dataset.ts';
import { type Population, requireInteger } from '../data/faces.ts';
import { BadFilesError } from '../data/node/bad_files.ts';
import { writeFileAtomic } from '../data/node/files.ts';
import { importFaces, readClassNames } from '../data/node/import_faces.ts';
import { loadPack, savePack } from '../data/node/packs.ts';
import { type BadFile, type FaceLayout, PACK_FORMAT, type Pack } from '../data/pack.ts';
import { renderFaces } from '../data/render_faces.ts';
import { InterruptedError } from '../errors.ts';
import { type Channels, type Colours, channelsOf, imageValues } from '../image_size.ts';
import { listed, printable, printableEnd } from '../printable.ts';
import { openCommandGpu } from './open_gpu.ts';
import { makeFolder, outputFile } from './output_file.ts';
import type { Session } from './session.ts';

const PACK_ENDING = '.safetensors';

export interface ImportArguments {
  readonly layout?: FaceLayout;
  readonly size?: { readonly width: number; readonly height: number };
  readonly channels?: Colours;
  readonly classNames?: string;
  readonly limit?: number;
  readonly exclude?: string;
  readonly skipBad?: boolean;
}

export interface SynthArguments {
  readonly people: number;
  readonly photos: number;
  /** Width and height of an image in pixels. */
  readonly width: number;
  readonly height: number;
  readonly population: Population;
  /** A folder into which the images are also written as PNG. */
  readonly png?: string;
}

/** The content of a pack, as --json prints it. */
export interface PackSummary {
  readonly file: string;
  readonly format: string;
  readonly name: string;
  readonly images: number;
  readonly people: number;
  /** Fewest and most images of one person. */
  readonly imagesPerPerson: { readonly min: number; readonly max: number };
  readonly width: number;
  readonly height: number;
  /** Values per pixel: 1 for gray, 3 for RGB. */
  readonly channels: Channels;
  readonly layout: string;
  readonly preparation: Readonly<Record<string, string>>;
  readonly sha256: string;
  readonly classNames: readonly string[];
  /** Files that the import left out. */
  readonly skipped: readonly BadFile[];
}

/** End of the name of the file that keeps the images of an import that is not finished. */
const PARTIAL_ENDING = '.partial';

/**
 * Imports a folder into the pack `--out`. With --json, an import that bad files stop prints all of them.
 *
 * @throws DataError, ConfigError, InterruptedError; a file that `--out` named before is then unchanged
 */
export async function dataImport(session: Session, dir: string, args: ImportArguments): Promise<void> {
  const { progress, options, signal } = session;
  const file = outputFile(options.out);
  const partial = `${file}${PARTIAL_ENDING}`;
  let counted = 0;
  const {
    dataset,
    origin,
    excluded,
    listed: count,
    unmatched,
    notes,
  } = await importFaces(dir, {
    ...args,
    classNames: args.classNames === undefined ? undefined : await readClassNames(args.classNames),
    channels: args.channels && channelsOf(args.channels),
    partial,
    signal,
    onProgress(finished, total, id) {
      if (finished === 0) progress.start(`import ${printableEnd(dir, 60)}`, total);
      progress.advance(finished - counted, id);
      counted = finished;
    },
  }).catch((error: unknown) => {
    if (error instanceof BadFilesError && options.json) {
      session.answer({ error: error.message, badFiles: error.files }, []);
    }
    throw error;
  });
  progress.done(`${dataset.labels.length} images`);
  for (const note of notes) progress.warn(note);
  await savePack(file, { dataset, origin });
  await rm(partial, { force: true });
  const summary = summarise(file, { dataset, origin });
  session.answer({ ...summary, excluded, unmatched, notes }, [
    ...describe(summary),
    ...(args.exclude === undefined
      ? []
      : [`left out: ${excluded.length} people; ${printable(args.exclude, 80)} lists ${count} names`]),
    ...(unmatched.length === 0 ? [] : [`listed, but nobody has the name: ${enumerate(unmatched)}`]),
  ]);
}

/** Prints the content of a pack. @throws DataError if the file is not a pack or is damaged */
export async function dataInfo(session: Session, file: string): Promise<void> {
  const summary = summarise(file, await loadPack(file));
  session.answer(summary, describe(summary));
}

/**
 * Renders procedural faces into the pack `--out`, or into a pack in the folder `--out`, and with `args.png` also as PNG.
 *
 * @throws ConfigError, DataError, AdapterError, DeviceLostError, InterruptedError
 */
export async function dataSynth(session: Session, args: SynthArguments): Promise<void> {
  const { progress, options, signal } = session;
  const { people, photos, width, height, population } = args;
  // Wrong arguments are refused before the slow opening of a device.
  requireInteger('--people', people, 1, 2 ** 20);
  requireInteger('--photos', photos, 1, 2 ** 20);
  requireInteger('--size', width, 8, 4096);
  requireInteger('--size', height, 8, 4096);
  const file = outputFile(
    options.out.toLowerCase().endsWith(PACK_ENDING)
      ? options.out
      : join(options.out, `faces-${population}${PACK_ENDING}`),
  );
  const gpu = await openCommandGpu(session);
  try {
    progress.start(`faces of ${people} people`, people * photos);
    let counted = 0;
    const dataset = await renderFaces(gpu, {
      population,
      identities: people,
      photographs: photos,
      width,
      height,
      seed: options.seed,
      onProgress(finished) {
        if (signal.aborted) throw new InterruptedError('interrupted: nothing was written');
        progress.advance(finished - counted);
        counted = finished;
      },
    });
    progress.done();
    const preparation = {
      population,
      seed: String(options.seed),
      size: `${width}x${height}`,
      adapter: gpu.adapter.name,
    };
    const pack: Pack = { dataset, origin: { layout: 'procedural', preparation } };
    await savePack(file, pack);
    if (args.png !== undefined) await writePngs(dataset, args.png);
    const summary = summarise(file, pack);
    session.answer(summary, [...describe(summary), ...(args.png === undefined ? [] : [`PNG: ${args.png}`])]);
  } finally {
    await gpu.close();
  }
}

/** Writes `private-7/3.png` and so on: one folder per person, as `data import --layout folders` reads them. */
async function writePngs(dataset: ImageDataset, dir: string): Promise<void> {
  const { encodePng } = await import('./render.ts');
  const { width, height, channels, images, ids } = dataset;
  const pixels = imageValues(dataset);
  for (const [index, id] of ids.entries()) {
    const path = join(dir, `${id}.png`);
    makeFolder(dirname(path));
    const image = images.subarray(index * pixels, (index + 1) * pixels);
    await writeFileAtomic(path, encodePng(image, width, height, channels));
  }
}

function summarise(file: string, { dataset, origin }: Pack): PackSummary {
  const counts = new Uint32Array(dataset.classNames.length);
  for (const label of dataset.labels) counts[label]++;
  return {
    file,
    format: PACK_FORMAT,
    name: dataset.name,
    images: dataset.labels.length,
    people: dataset.classNames.length,
    imagesPerPerson: {
      min: counts.reduce((least, count) => Math.min(least, count), Number.POSITIVE_INFINITY),
      max: counts.reduce((most, count) => Math.max(most, count), 0),
    },
    width: dataset.width,
    height: dataset.height,
    channels: dataset.channels,
    layout: origin.layout,
    preparation: origin.preparation,
    sha256: dataset.sha256,
    classNames: dataset.classNames,
    skipped: origin.skipped ?? [],
  };
}

function describe(summary: PackSummary): string[] {
  const { images, people, imagesPerPerson, width, height, channels, preparation, sha256, classNames, skipped } =
    summary;
  const { min, max } = imagesPerPerson;
  const names =
    classNames.length > 6 ? [...classNames.slice(0, 5), '...', classNames[classNames.length - 1]] : classNames;
  const shown = (text: string) => printable(text, 60);
  return [
    `${printable(summary.file, 200)}: ${shown(summary.name)}, ${images} images of ${people === 1 ? '1 person' : `${people} people`} ` +
      `(${min === max ? min : `${min} to ${max}`} each), ${width}x${height}${channels === 3 ? ' RGB' : ''}`,
    `people: ${names.map(shown).join(', ')}`,
    `from: ${shown(summary.layout)}; ${Object.entries(preparation)
      .map(([what, value]) => `${shown(what)} ${shown(value)}`)
      .join('; ')}`,
    `sha256: ${sha256}`,
    ...(skipped.length === 0
      ? []
      : [`skipped: ${skipped.length} files that cannot be used: ${enumerate(skipped.map(({ file }) => file))}`]),
  ];
}

/** As many names as fit into a line, and the number of the others. */
function enumerate(names: readonly string[]): string {
  return listed(
    names.map((name) => printable(name, 60)),
    220,
  );
}
