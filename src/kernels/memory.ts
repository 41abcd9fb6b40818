import type { BufferView } from '../gpu/device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import type { StoredTensor } from './gemm.ts';
import { flatGrid } from './grid.ts';

/**
 * Encodes one tensor into its place in a memory image.
 * @param weights the tensor, rows x stride f32
 * @param maps the table of maps; this tensor's row must hold bits and inverse scale
 */
export function recordEncode(
  recorder: Recorder,
  args: { tensor: StoredTensor; weights: BufferView; maps: BufferView; codes: BufferView; faithful: boolean },
): void {
  const { tensor } = args;
  const { workgroups, constants } = flatGrid((tensor.rows * tensor.stride) / 16);
  recorder.record({
    label: 'encode',
    shader: {
      path: 'memory/encode_fixed.wgsl',
      constants: {
        ...constants,
        ROWS: tensor.rows,
        STRIDE: tensor.stride,
        MAP: tensor.map,
        ORIGIN: tensor.origin,
        FAITHFUL: args.faithful,
      },
    },
    bindings: [
      ['read', args.weights],
      ['read', args.maps],
      ['write', args.codes],
    ],
    workgroups,
  });
}

/** Blocks of 16 weights that an invocation fetches, so that it looks the map up once for all of them. */
const BLOCKS_EACH = 16;

/**
 * Reads one tensor once through approximate memory and leaves it decoded, with its flipped bits or its noise, in
 * `fetched` (rows x stride f32, zero pads): the materialised path.
 * @param source codes for `uniform`, f32 weights for noise
 * @param passOffset added to the step's pass index at granularity `pass`
 */
export function recordMaterialise(
  recorder: Recorder,
  args: {
    tensor: StoredTensor;
    kind: 'uniform' | 'gaussian' | 'laplacian';
    source: BufferView;
    maps: BufferView;
    fetched: BufferView;
    passOffset: number;
  },
): void {
  const { tensor, kind } = args;
  const weights = tensor.rows * tensor.stride;
  const grid = flatGrid(kind === 'uniform' ? Math.ceil(weights / 16 / BLOCKS_EACH) : weights / 4);
  const constants = {
    ...grid.constants,
    ROWS: tensor.rows,
    COLUMNS: tensor.columns,
    STRIDE: tensor.stride,
    MAP: tensor.map,
    PASS_OFFSET: args.passOffset,
  };
  recorder.record({
    label: `materialise ${kind}`,
    shader:
      kind === 'uniform'
        ? { path: 'memory/materialise_fixed.wgsl', constants: { ...constants, ORIGIN: tensor.origin, BLOCKS_EACH } }
        : { path: 'memory/materialise_noise.wgsl', constants: { ...constants, GAUSSIAN: kind === 'gaussian' } },
    bindings: [
      ['read', args.source],
      ['read', args.maps],
      ['write', args.fetched],
      ['uniform', recorder.step],
    ],
    workgroups: grid.workgroups,
  });
}
