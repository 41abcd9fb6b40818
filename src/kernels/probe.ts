/** Launchers of the probes, which measure how fast an adapter multiplies, draws and copies when it does nothing else. */
import { ShapeError } from '../errors.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { requireBytes } from './check.ts';
import { flatGrid, MAX_WORKGROUPS } from './grid.ts';

/** Invocations per workgroup of the two ceiling kernels. */
const GROUP = 64;

/** Operations per turn of the loop: 4 steps of 16 accumulators of 4 lanes, each a multiplication and an addition. */
const FLOPS_PER_LOOP = 4 * 16 * 4 * 2;

/** Draws per turn of the loop of the hash ceiling. */
const DRAWS_PER_LOOP = 4;

/**
 * Records multiply-adds on 16 independent vec4 accumulators, without loads or stores in between.
 *
 * @param args.invocations a multiple of 64; enough of them to fill the adapter
 * @param args.iterations turns of the loop per invocation, of 512 operations each
 * @param args.output invocations x vec4f; the sums have no meaning
 * @returns number of floating-point operations of one run, two per multiply-add
 * @throws ShapeError
 */
export function recordFmaCeiling(
  recorder: Recorder,
  args: { invocations: number; iterations: number; output: BufferView },
): number {
  const flops = FLOPS_PER_LOOP * args.invocations * args.iterations;
  recordCeiling(recorder, 'fma_ceiling', args, flops);
  return flops;
}

/**
 * Records independent draws in sequence. A draw is one call of pcg4d, which returns four u32.
 *
 * @param args.invocations a multiple of 64
 * @param args.iterations turns of the loop per invocation, of 4 draws each
 * @param args.output invocations x vec4u, the XOR of an invocation's draws
 * @returns number of draws of one run
 * @throws ShapeError
 */
export function recordHashCeiling(
  recorder: Recorder,
  args: { invocations: number; iterations: number; output: BufferView },
): number {
  recordCeiling(recorder, 'hash_ceiling', args);
  return DRAWS_PER_LOOP * args.invocations * args.iterations;
}

function recordCeiling(
  recorder: Recorder,
  kernel: 'fma_ceiling' | 'hash_ceiling',
  args: { invocations: number; iterations: number; output: BufferView },
  flops?: number,
): void {
  const { invocations, iterations, output } = args;
  if (!(Number.isInteger(invocations / GROUP) && invocations >= GROUP && invocations / GROUP <= MAX_WORKGROUPS)) {
    throw new ShapeError(`${kernel}: ${invocations} invocations are not 1..${MAX_WORKGROUPS} workgroups of ${GROUP}`);
  }
  requireBytes(kernel, 'output', output, invocations * 16);
  recorder.record({
    label: kernel,
    shader: { path: `probe/${kernel}.wgsl`, constants: { ITERATIONS: iterations } },
    bindings: [['write', output]],
    workgroups: [invocations / GROUP, 1, 1],
    flops,
  });
}

/**
 * output = input, copied by a shader instead of the copy engine.
 *
 * @param args.bytes a multiple of 16
 * @returns number of bytes read and written by one run
 * @throws ShapeError
 */
export function recordCopy(recorder: Recorder, args: { bytes: number; input: BufferView; output: BufferView }): number {
  const { bytes, input, output } = args;
  const kernel = 'copy';
  if (bytes % 16 !== 0) throw new ShapeError(`${kernel}: ${bytes} bytes are not a whole number of vec4`);
  requireBytes(kernel, 'input', input, bytes);
  requireBytes(kernel, 'output', output, bytes);
  const { workgroups, constants } = flatGrid(bytes / 16);
  recorder.record({
    label: kernel,
    shader: { path: 'probe/copy.wgsl', constants: { ...constants, VECTORS: bytes / 16 } },
    bindings: [
      ['read', input],
      ['write', output],
    ],
    workgroups,
  });
  return 2 * bytes;
}
