/** Images and outputs of attacks as the page shows them. */
import { SPLITS, type SplitName } from '../../attacks/attack.ts';
import type { ImageDataset } from '../../data/dataset.ts';
import type { VictimKind } from '../../experiments/config.ts';
import type { DrawResult } from '../../experiments/sweep.ts';
import { type ImageSize, imageValues } from '../../image_size.ts';
import { productLayers } from '../../layers/kinds.ts';
import { modelLayout } from '../../models/model_parameters.ts';
import type { Pictures, Reply, ShownAttack, ShownOutput } from '../protocol.ts';
import type { Ready } from './victim.ts';

/** An image rounded to bytes, as a run folder stores it: baselines are computed from stored images. */
export function asStored(image: Float32Array): Float32Array {
  return image.map((x) => Math.round(255 * x) / 255);
}

/** Images in 0..1 as bytes. */
export function picturesOf(images: readonly Float32Array[], { width, height, channels }: ImageSize): Pictures {
  const bytes = (image: Float32Array) => Uint8Array.from(image, (x) => Math.round(255 * Math.min(Math.max(x, 0), 1)));
  return { width, height, channels, images: images.map(bytes) };
}

/** Images of a victim's data set. */
export function photographsOf({ data: { dataset } }: Ready, indices: readonly number[]): Pictures {
  return photographsIn(dataset, indices);
}

/** Images of a data set. */
export function photographsIn(dataset: ImageDataset, indices: readonly number[]): Pictures {
  const { width, height, channels, images } = dataset;
  const values = imageValues(dataset);
  return { width, height, channels, images: indices.map((i) => images.slice(i * values, (i + 1) * values)) };
}

function outputsOf({ testbed }: Ready): ShownOutput[] {
  return testbed.outputs.flatMap(({ name, title, split, attacker }) =>
    split ? [{ name, title, split, attacker }] : [],
  );
}

export function shownAttacks(ready: Ready, results: readonly DrawResult[]): ShownAttack[] {
  const outputs = outputsOf(ready);
  return results.map(({ row, images }) => ({
    row,
    output: outputs.find(({ name }) => name === row.attack)!,
    pictures: picturesOf(images, ready.testbed),
  }));
}

/** A victim whose predictions are inverted, with the true faces of both splits. */
export function victimReply(victim: VictimKind, ready: Ready): Reply {
  const { testbed, data } = ready;
  const { width, channels, labels, classNames } = data.dataset;
  const truth = (split: SplitName) => {
    const output = testbed.outputs.find((each) => each.split === split)!;
    const shown = testbed.shown(output, true).map(({ photograph }) => photograph!);
    return { ...photographsOf(ready, shown), names: shown.map((image) => classNames[labels[image]]) };
  };
  const layers = productLayers(testbed.spec.layers);
  const tensors = modelLayout(testbed.spec).slices.filter(({ layer }) => layers.includes(layer));
  const [heldOut, training] = SPLITS;
  return {
    kind: 'victim',
    victim,
    tensors: tensors.map(({ name }) => name),
    size: width,
    channels,
    outputs: outputsOf(ready),
    truth: { [heldOut]: truth(heldOut), [training]: truth(training) } as Record<SplitName, ReturnType<typeof truth>>,
    trainAccuracy: testbed.trainAccuracy,
    evaluatorAccuracy: testbed.evaluatorAccuracies().linear,
  };
}
