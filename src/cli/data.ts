/** `midas data import`, `midas data info` and `midas data synth`: commands that write and describe packs of images. */
import { dirname, join } from 'node:path';
import type { ImageDataset } from '../data/dataset.ts';
import { type Population, requireInteger } from '../data/faces.ts';
import { writeFileAtomic } from '../data/node/files.ts';
import { importFaces } from '../data/node/import_faces.ts';
import { loadPack, savePack } from '../data/node/packs.ts';
import { type FaceLayout, PACK_FORMAT, type Pack } from '../data/pack.ts';
import { renderFaces } from '../data/render_faces.ts';
import { InterruptedError } from '../errors.ts';
import { openNodeGpu } from '../gpu/node.ts';
import { makeFolder, outputFile } from './output_file.ts';
import type { Session } from './session.ts';

const PACK_ENDING = '.safetensors';

export interface ImportArguments {
  readonly layout: FaceLayout;
  readonly size: number;
  readonly limit?: number;
  readonly exclude?: string;
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
  readonly layout: string;
  readonly preparation: Readonly<Record<string, string>>;
  readonly sha256: string;
  readonly classNames: readonly string[];
}

/**
 * Imports a folder into the pack `--out`.
 *
 * @throws DataError, ConfigError, InterruptedError; a file that `--out` named before is then unchanged
 */
export async function dataImport(session: Session, dir: string, args: ImportArguments): Promise<void> {
  const { progress, options, signal } = session;
  const file = outputFile(options.out);
  let counted = 0;
  const { dataset, origin, excluded, listed } = await importFaces(dir, {
    ...args,
    signal,
    onProgress(finished, total, id) {
      if (finished === 0) progress.start(`import ${dir}`, total);
      progress.advance(finished - counted, id);
      counted = finished;
    },
  });
  progress.done(`${dataset.labels.length} images`);
  await savePack(file, { dataset, origin });
  const summary = summarise(file, { dataset, origin });
  const leftOut =
    args.exclude === undefined ? [] : [`left out: ${excluded.length} people; ${args.exclude} lists ${listed} names`];
  session.answer({ ...summary, excluded }, [...describe(summary), ...leftOut]);
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
  const gpu = await openNodeGpu({ adapter: options.adapter });
  session.opened(gpu);
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
  const { encodeGrayPng } = await import('./render.ts');
  const { width, height, images, ids } = dataset;
  const pixels = width * height;
  for (const [index, id] of ids.entries()) {
    const path = join(dir, `${id}.png`);
    makeFolder(dirname(path));
    const image = images.subarray(index * pixels, (index + 1) * pixels);
    await writeFileAtomic(path, encodeGrayPng(image, width, height));
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
    layout: origin.layout,
    preparation: origin.preparation,
    sha256: dataset.sha256,
    classNames: dataset.classNames,
  };
}

function describe(summary: PackSummary): string[] {
  const { file, name, images, people, imagesPerPerson, width, height, layout, preparation, sha256, classNames } =
    summary;
  const { min, max } = imagesPerPerson;
  const names = classNames.length > 6 ? [...classNames.slice(0, 5), '...', classNames.at(-1)] : classNames;
  return [
    `${file}: ${name}, ${images} images of ${people === 1 ? '1 person' : `${people} people`} (${min === max ? min : `${min} to ${max}`} each), ` +
      `${width}x${height}`,
    `people: ${names.join(', ')}`,
    `from: ${layout}; ${Object.entries(preparation)
      .map(([what, value]) => `${what} ${value}`)
      .join('; ')}`,
    `sha256: ${sha256}`,
  ];
}
