/** Recognises the published networks by the names and shapes of a file's tensors. */

import { DataError } from '../errors.ts';
import { readPth, requireTensor, stateDict } from '../formats/pth.ts';
import { readSafetensors, type Tensor } from '../formats/safetensors.ts';
import { keyOf } from './checkpoint.ts';
import type { ModelDescription, ModelSpec } from './model_spec.ts';
import { describedModel } from './specs.ts';
import { modelLayout } from './trainer.ts';

type Tensors = ReadonlyMap<string, Tensor>;

/** A published network of any size. */
interface Family {
  /** Names of its tensors in files. */
  readonly keys: ReadonlySet<string>;
  describe(tensors: Tensors, file: string): ModelDescription;
}

function keysOf(description: ModelDescription): Set<string> {
  const spec = describedModel(description);
  return new Set(modelLayout(spec).slices.map((slice) => keyOf(spec, slice)));
}

const FAMILIES: readonly Family[] = [
  {
    keys: keysOf({ kind: 'yang-classifier', size: 64, ndf: 1, classes: 1 }),
    describe: describeClassifier,
  },
  {
    // The keys of the network for 32 x 32 pixels are a subset.
    keys: keysOf({ kind: 'yang-inversion', size: 64, ngf: 1, classes: 1 }),
    describe: describeInversion,
  },
];

/** The state dict of a .safetensors file or, under any other name, of a file of torch.save. @throws DataError */
export function readTensors(bytes: Uint8Array, file: string): Map<string, Tensor> {
  return file.endsWith('.safetensors')
    ? new Map(stateDict(readSafetensors(bytes, file).tensors, file))
    : readPth(bytes, file);
}

/**
 * The classifier or the inversion network of Yang et al. (src/models/yang.ts) that a file holds; undefined for another
 * model, that is if it has tensors of other names or fewer than a third of the network's tensors.
 *
 * @param tensors of a state dict, in PyTorch's shapes
 * @param file for messages
 * @throws DataError naming file and key, for an incomplete network, another shape or another type
 */
export function recogniseModel(tensors: Tensors, file: string): ModelSpec | undefined {
  const names = [...tensors.keys()];
  const family = FAMILIES.find(({ keys }) => names.every((key) => keys.has(key)) && 3 * names.length >= keys.size);
  if (!family) return undefined;
  const spec = describedModel(family.describe(tensors, file));
  for (const slice of modelLayout(spec).slices) requireTensor(tensors, keyOf(spec, slice), slice.shape, file);
  return spec;
}

/** Reads ndf from the first convolution and nz from the last layer; four poolings each quarter the pixel count. */
function describeClassifier(tensors: Tensors, file: string): ModelDescription {
  const [ndf] = shapeOf(tensors, 'encoder.0.weight', 4, file);
  const [classes] = shapeOf(tensors, 'fc.2.weight', 2, file);
  const hidden = shapeOf(tensors, 'fc.0.weight', 2, file);
  const size = ([32, 64] as const).find((pixels) => hidden[1] === 8 * ndf * (pixels / 16) ** 2);
  if (size === undefined) {
    throw new DataError(
      `${file}: key fc.0.weight is [${hidden}], after ${8 * ndf} channels the classifier needs ` +
        `[${5 * classes},${32 * ndf}] for 32x32 or [${5 * classes},${128 * ndf}] for 64x64 pixels; give another file`,
    );
  }
  return { kind: 'yang-classifier', size, ndf, classes };
}

/** Five transposed convolutions give 64 x 64 pixels, four give 32 x 32. */
function describeInversion(tensors: Tensors, file: string): ModelDescription {
  const size = [...tensors.keys()].some((key) => /^decoder\.1[0-2]\./.test(key)) ? 64 : 32;
  const shape = shapeOf(tensors, 'decoder.0.weight', 4, file);
  const [classes, channels] = shape;
  const factor = size / 8;
  if (channels % factor !== 0) {
    throw new DataError(
      `${file}: key decoder.0.weight is [${shape}], for ${size}x${size} pixels the inversion network needs ` +
        `[${classes},${factor} ngf,4,4]; give another file`,
    );
  }
  return { kind: 'yang-inversion', size, ngf: channels / factor, classes };
}

/** @throws DataError if the tensor is missing, has another rank or is empty */
function shapeOf(tensors: Tensors, key: string, rank: number, file: string): readonly number[] {
  const shape = tensors.get(key)?.shape;
  if (!shape) throw new DataError(`${file}: key ${key} is missing; give a file of the whole network`);
  if (shape.length !== rank || shape.includes(0)) {
    throw new DataError(`${file}: key ${key} is [${shape}], the model needs ${rank} sizes above 0; give another file`);
  }
  return shape;
}
