import type { Matrix } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import type { NoiseKind } from '../memory/config.ts';
import { flatGrid } from './grid.ts';
import type { StoredTensor } from './stored.ts';

/**
 * Records the encoding of one tensor into its place in a memory image.
 * @param weights the tensor, rows x stride f32
 * @param args.faultTable the fault table; the tensor's entry must hold its bits and scales
 */
export function recordEncode(
  recorder: Recorder,
  args: { tensor: StoredTensor; weights: BufferView; faultTable: BufferView; codes: BufferView },
): void {
  const { tensor } = args;
  const { workgroups, constants } = flatGrid((tensor.rows * tensor.stride) / 16);
  const { words, format } = tensor.fetch.includes;
  recorder.record({
    label: 'encode',
    shader: {
      path: 'memory/encode.wgsl',
      constants: { ...constants, ...placeOf(tensor), ...tensor.fetch.constants },
      includes: { words, format },
    },
    bindings: [
      ['read', args.weights],
      ['read', args.faultTable],
      ['write', args.codes],
    ],
    workgroups,
  });
}

/** Blocks of 16 weights per invocation, which reads the fault table once for all of them; at most the 32 bits of a u32. */
export const BLOCKS_EACH = 32;

/**
 * Records one read of a tensor through approximate memory into `fetched`, flipped bits included: the materialised path.
 * @param args.retained `f32`: decoded, rows x stride f32 with zero pads (default); `codes16`: rows x stride codes of 16
 *   bits, if the format allows it (retainsCodes16 in src/kernels/stored.ts)
 * @param args.passOffset added to the step's pass index at granularity `pass`
 */
export function recordMaterialise(
  recorder: Recorder,
  args: {
    tensor: StoredTensor;
    codes: BufferView;
    faultTable: BufferView;
    fetched: BufferView;
    retained?: 'f32' | 'codes16';
    passOffset: number;
  },
): void {
  const { tensor } = args;
  const { workgroups, constants } = flatGrid(Math.ceil((tensor.rows * tensor.stride) / 16 / BLOCKS_EACH));
  recorder.record({
    label: 'materialise',
    shader: {
      path: 'memory/materialise.wgsl',
      constants: {
        ...constants,
        ...placeOf(tensor),
        COLUMNS: tensor.columns,
        PASS_OFFSET: args.passOffset,
        BLOCKS_EACH,
        ...tensor.fetch.constants,
      },
      includes: {
        ...tensor.fetch.includes,
        fast: `memory/fast_${tensor.fetch.fastPath ? 'uniform' : 'whole'}.wgsl`,
        retained: `memory/write_${args.retained ?? 'f32'}.wgsl`,
      },
    },
    bindings: [
      ['read', args.codes],
      ['read', args.faultTable],
      ['write', args.fetched],
      ['uniform', recorder.step],
    ],
    workgroups,
  });
}

/** Records the same read without decoding: `returned` receives the codes that the memory returned, packed like the image. */
export function recordFetchCodes(
  recorder: Recorder,
  args: { tensor: StoredTensor; codes: BufferView; faultTable: BufferView; returned: BufferView; passOffset: number },
): void {
  const { tensor } = args;
  const { workgroups, constants } = flatGrid((tensor.rows * tensor.stride) / 16);
  recorder.record({
    label: 'fetch codes',
    shader: {
      path: 'memory/fetch_codes.wgsl',
      constants: { ...constants, ...placeOf(tensor), PASS_OFFSET: args.passOffset, ...tensor.fetch.constants },
      includes: tensor.fetch.includes,
    },
    bindings: [
      ['read', args.codes],
      ['read', args.faultTable],
      ['write', args.returned],
      ['uniform', recorder.step],
    ],
    workgroups,
  });
}

const placeOf = ({ rows, stride, map, origin }: StoredTensor) => ({
  ROWS: rows,
  STRIDE: stride,
  MAP: map,
  ORIGIN: origin,
});

/**
 * Records fetched = weights + noise, rows x stride f32 with zero pads: the baseline that memory faults are compared with.
 * @param args.tensor its entry in the fault table holds the scale of the noise
 */
export function recordNoise(
  recorder: Recorder,
  args: {
    tensor: { map: number; rows: number; columns: number; stride: number };
    kind: NoiseKind;
    weights: BufferView;
    faultTable: BufferView;
    fetched: BufferView;
    passOffset: number;
  },
): void {
  const { map, rows, columns, stride } = args.tensor;
  const { workgroups, constants } = flatGrid((rows * stride) / 4);
  recorder.record({
    label: `${args.kind} noise`,
    shader: {
      path: 'memory/materialise_noise.wgsl',
      constants: {
        ...constants,
        ROWS: rows,
        COLUMNS: columns,
        STRIDE: stride,
        MAP: map,
        PASS_OFFSET: args.passOffset,
        GAUSSIAN: args.kind === 'gaussian',
      },
    },
    bindings: [
      ['read', args.weights],
      ['read', args.faultTable],
      ['write', args.fetched],
      ['uniform', recorder.step],
    ],
    workgroups,
  });
}

/**
 * Records that activations are written to approximate memory and read back once, in place.
 * @param args.tensor row of the fault table, first block and fetch of the activations
 * @param args.x images of x.rows / images rows each
 */
export function recordStoreActivations(
  recorder: Recorder,
  args: { tensor: Pick<StoredTensor, 'map' | 'origin' | 'fetch'>; x: Matrix; images: number; faultTable: BufferView },
): void {
  const { tensor, x, images, faultTable } = args;
  const elements = (x.rows / images) * x.stride;
  const blocks = Math.ceil(elements / 16);
  const { workgroups, constants } = flatGrid(images * blocks);
  recorder.record({
    label: 'store activations',
    shader: {
      path: 'memory/store_activations.wgsl',
      constants: {
        ...constants,
        IMAGES: images,
        IMAGE_ELEMENTS: elements,
        BLOCKS: blocks,
        STRIDE: x.stride,
        COLUMNS: x.columns,
        MAP: tensor.map,
        ORIGIN: tensor.origin,
        PASS_OFFSET: 0,
        ...tensor.fetch.constants,
      },
      includes: tensor.fetch.includes,
    },
    bindings: [
      ['write', x],
      ['read', faultTable],
      ['uniform', recorder.step],
    ],
    workgroups,
  });
}
