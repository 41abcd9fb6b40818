/**
 * Writes the final files of a run: results, tables, pictures, report. They need only the run's folder, so that merge can
 * write them too.
 */

import { DataError } from '../errors.ts';
import { MEAN_FACE_FILE } from '../experiments/experiment.ts';
import { drawFigures } from '../results/figures/index.ts';
import { inOrder } from '../results/order.ts';
import { decodePictures } from '../results/pictures.ts';
import { caveatsOf, PRESENTATION_FILE, type Presentation, parsePresentation } from '../results/presentation.ts';
import { reportHtml } from '../results/report.ts';
import { reportFaces } from '../results/report_parts.ts';
import {
  type Baselines,
  type Manifest,
  pictureFile,
  RESULTS_SCHEMA,
  type Results,
  type Row,
  summarise,
  summaryCsv,
  toCsv,
} from '../results/results.ts';
import { contactSheets, decidingFaces, type SheetPictures } from '../results/sheets.ts';
import { verdictOf } from '../results/verdict.ts';
import type { RunFolder } from './run_folder.ts';

/** The files in the folder of a finished run. */
export interface FinishedRun {
  readonly results: Results;
  readonly presentation: Presentation;
}

/** Reads the presentation file of a run. @throws DataError if the run was not finished */
export async function readPresentation(folder: RunFolder): Promise<Presentation> {
  const bytes = await folder.read(PRESENTATION_FILE);
  const name = folder.describe(PRESENTATION_FILE);
  if (!bytes) throw new DataError(`${name}: missing; continue the run with --resume`);
  return parsePresentation(bytes, name);
}

/** Makes the results from a run's rows. @throws DataError if the undefended model was not measured */
export function resultsOf(manifest: Manifest, rows: readonly Row[], presentation: Presentation): Results {
  const { baselines, attacks, order, evaluators, privacy } = presentation;
  if (!baselines) throw new DataError('no shard has measured the undefended model; give all shards to midas merge');
  const described = attacks.map(({ photographs: _p, shown: _s, truth: _t, ...attack }) => attack);
  const own = inOrder(rows, order);
  return {
    schema: RESULTS_SCHEMA,
    manifest: { ...manifest, evaluators, ...(privacy && { privacy }), attacks: described },
    rows: own,
    summary: summarise(own),
    baselines: baselines as Baselines,
  };
}

/** Writes every file of a finished run; results.json last, so that its presence means that the run is finished. */
export async function writeRunFiles(folder: RunFolder, { results, presentation }: FinishedRun): Promise<void> {
  // jsdom and resvg take a second to load: they are imported only here.
  const { createDocument, encodePng, figureFonts, svgFile, svgToPng } = await import('./render.ts');
  const document = createDocument();
  const pictures = await readPictures(folder, results, presentation);
  const verdict = verdictOf(results);
  const { noise } = results.manifest.config as { noise?: { matched?: string } };
  const input = { results, verdict, presentation, pictures };
  for (const { name, svg } of contactSheets(input, { layers: noise?.matched, encodePng })) {
    await folder.write(`${name}.png`, svgToPng(svg, 1400));
  }
  const figures = drawFigures(results, { document });
  for (const { name, svg } of figures) {
    await folder.write(`${name}.svg`, svgFile(svg));
    await folder.write(`${name}.png`, svgToPng(svg, 1400));
  }
  const deciding = decidingFaces(verdict, presentation, pictures);
  const faces = deciding && reportFaces(deciding, presentation, encodePng);
  const caveats = caveatsOf(presentation);
  await folder.write('report.html', reportHtml({ results, figures, faces, caveats, fonts: figureFonts() }));
  await folder.write('results.csv', toCsv(results.rows));
  await folder.write('summary.csv', summaryCsv(results.summary));
  await folder.write('results.json', `${JSON.stringify(results, null, 1)}\n`);
}

/** Reads every picture of a run. @throws DataError if one is missing */
export async function readPictures(
  folder: Pick<RunFolder, 'read' | 'describe'>,
  results: Results,
  presentation: Presentation,
): Promise<SheetPictures> {
  const read = async (file: string) => {
    const bytes = await folder.read(file);
    if (!bytes) throw new DataError(`${folder.describe(file)}: missing; delete the folder and run again`);
    return decodePictures(bytes, folder.describe(file)).images;
  };
  const files = new Map<string, readonly Float32Array[]>();
  for (const { condition, attack, draw, membership } of results.rows) {
    const file = pictureFile(condition, attack);
    if (draw === 0 && !membership) files.set(file, await read(file));
  }
  for (const { truth } of presentation.attacks) if (truth) files.set(truth, await read(truth));
  const [meanFace] = await read(MEAN_FACE_FILE);
  return {
    meanFace,
    truth: (file) => files.get(file)!,
    reconstructions: (condition, attack) => files.get(pictureFile(condition, attack)),
  };
}
