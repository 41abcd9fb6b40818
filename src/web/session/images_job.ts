/** Classifies and inverts images of a visitor with the victim that the page shows. */
import { createDataset, toFloat } from '../../data/dataset.ts';
import { imageValues } from '../../image_size.ts';
import { pcc } from '../../metrics/similarity.ts';
import type { ChosenImage, Reply } from '../protocol.ts';
import type { Setting } from '../setting.ts';
import type { JobContext } from './job.ts';
import { planSetting } from './measure_job.ts';
import { picturesOf } from './pictures.ts';

export async function invertImages(
  context: JobContext,
  setting: Setting,
  images: readonly ChosenImage[],
): Promise<void> {
  const { sweep, undefended, condition: defended, ready } = await planSetting(context, setting, 'one');
  const { width, height, channels } = ready.testbed;
  const size = { width, height, channels };
  const dataset = await createDataset({
    name: 'your images',
    ...size,
    classNames: ['you'],
    images: Uint8Array.from(images.flatMap(({ pixels }) => [...pixels])),
    labels: new Uint32Array(images.length),
    ids: images.map(({ name }) => name),
  });
  const floats = toFloat(dataset, [...dataset.labels.keys()]);
  const values = imageValues(size);
  const truth = images.map((_, i) => floats.subarray(i * values, (i + 1) * values));
  type OwnRow = Extract<Reply, { kind: 'own' }>['rows'][number];
  const shown: OwnRow[] = [{ label: 'your images', pictures: picturesOf(truth, size) }];
  for (const [label, condition] of [
    ['reconstructed, no defence', undefended],
    ['reconstructed, approximate memory', defended],
  ] as const) {
    await sweep.measure(condition, setting.draw);
    const found = (await ready.testbed.invert(dataset, condition.release)).get(setting.attacker)!;
    const similarity = found.map((image, i) => pcc(image, truth[i]));
    shown.push({ label, pictures: picturesOf(found, size), pcc: similarity });
  }
  context.post({ kind: 'own', setting, names: images.map(({ name }) => name), rows: shown });
}
