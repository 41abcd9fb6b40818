/** Launchers of the kernels with which chosen bits of a memory image are found and inverted. */
import { ShapeError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { requireBytes, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';
import type { StoredTensor } from './stored.ts';

/**
 * Records the inversion of chosen bits of a memory image.
 * @param args.flips pairs of u32: first their number and 0, then the index of a word of `codes` and the mask of its bits; no
 *   word may occur twice
 */
export function recordFlipCodes(recorder: Recorder, args: { flips: BufferView; codes: BufferView }): void {
  const { flips, codes } = args;
  const capacity = flips.size / 8;
  const { workgroups, constants } = flatGrid(capacity);
  recorder.record({
    label: 'flip codes',
    shader: { path: 'memory/flip_codes.wgsl', constants: { ...constants, CAPACITY: capacity } },
    bindings: [
      ['read', flips],
      ['write', codes],
    ],
    workgroups,
  });
}

/** Most results of {@link recordRankFlips}: enough to keep an adapter busy, few enough to be read back. */
const MOST_CHUNKS = 4096;

/** Into how many runs of how many blocks of 16 codes {@link recordRankFlips} divides a tensor. */
export function rankChunks({ rows, stride }: Pick<StoredTensor, 'rows' | 'stride'>): {
  chunks: number;
  blocks: number;
} {
  const all = (rows * stride) / 16;
  const blocks = Math.ceil(all / MOST_CHUNKS);
  return { chunks: Math.ceil(all / blocks), blocks };
}

/**
 * Records the search for the flip of one stored bit that, to first order, raises a cost most.
 * @param args.bits number of the lowest bits of a code that can flip
 * @param args.codes the memory image in which the tensor lies
 * @param args.gradient gradient of the cost with respect to the decoded values, in the tensor's padded layout
 * @param args.excluded an image like `codes` with a 1 for every bit that cannot be chosen
 * @param args.best for each of {@link rankChunks} chunks 16 bytes: score as f32, position in the padded tensor, bit, and 1, or 0
 *   if no flip of the chunk raises the cost
 * @throws ShapeError
 */
export function recordRankFlips(
  recorder: Recorder,
  args: {
    tensor: StoredTensor;
    bits: number;
    codes: BufferView;
    gradient: BufferView;
    excluded: BufferView;
    faultTable: BufferView;
    best: BufferView;
  },
): void {
  const { tensor, bits, codes, gradient, excluded, faultTable, best } = args;
  const { rows, columns, stride, map, origin, fetch } = tensor;
  const { chunks, blocks } = rankChunks(tensor);
  requireBytes('rank_flips', 'gradient', gradient, rows * stride * 4);
  requireBytes('rank_flips', 'best', best, chunks * 16);
  if (excluded.size < codes.size) {
    throw new ShapeError(`rank_flips: excluded has ${excluded.size} bytes, codes ${codes.size}; they must agree`);
  }
  const { workgroups, constants } = flatGrid(chunks);
  const { words, format } = fetch.includes;
  recorder.record({
    label: 'rank flips',
    shader: {
      path: 'memory/rank_flips.wgsl',
      constants: {
        ...constants,
        ROWS: rows,
        COLUMNS: columns,
        STRIDE: stride,
        MAP: map,
        ORIGIN: origin,
        BITS: bits,
        CHUNKS: chunks,
        CHUNK_BLOCKS: blocks,
        ...fetch.constants,
      },
      includes: { words, format },
    },
    bindings: [
      ['read', codes],
      ['read', gradient],
      ['read', excluded],
      ['read', faultTable],
      ['write', best],
    ],
    workgroups,
  });
}

/**
 * Records gradient[r] = weights[r] gradient[r] for every row.
 * @param args.weights one f32 per row
 * @throws ShapeError
 */
export function recordWeighRows(recorder: Recorder, args: { weights: BufferView; gradient: Matrix }): void {
  const { weights, gradient } = args;
  const shape = shapeConstants('weigh_rows', 'gradient', gradient);
  requireBytes('weigh_rows', 'weights', weights, gradient.rows * 4);
  const { workgroups, constants } = flatGrid(gradient.rows);
  recorder.record({
    label: 'weigh rows',
    shader: { path: 'loss/weigh_rows.wgsl', constants: { ...shape, ...constants } },
    bindings: [
      ['read', weights],
      ['write', gradient],
    ],
    workgroups,
  });
}
