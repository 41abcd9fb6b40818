import { LimitError } from '../errors.ts';
import type { ShaderConstant } from '../gpu/composer.ts';

/** Workgroups that a dispatch may have in one dimension: WebGPU's default limit, which all adapters so far have. */
export const MAX_WORKGROUPS = 65535;

/** Invocations per workgroup of the kernels that need no particular workgroup shape. */
const WORKGROUP_SIZE = 64;

/**
 * Returns the workgroups in x, y and z that hold `groups` workgroups (rounded up), folded into y where WebGPU's limit
 * requires it; x * y may slightly exceed `groups`.
 */
export function foldGrid(groups: number): [number, number, number] {
  const needed = Math.max(1, Math.ceil(groups));
  const y = Math.ceil(needed / MAX_WORKGROUPS);
  return [Math.ceil(needed / y), y, 1];
}

/** A one-dimensional dispatch, folded into y where it exceeds the limit of a dimension. */
export interface FlatGrid {
  readonly workgroups: readonly [number, number, number];
  /**
   * Prelude constants WORKGROUP_SIZE and GRID_WIDTH (invocations in x); in the shader the flat index is
   * `id.x + id.y * GRID_WIDTH`, and an invocation whose index is not below the number of invocations must return.
   */
  readonly constants: Readonly<Record<'WORKGROUP_SIZE' | 'GRID_WIDTH', ShaderConstant>>;
}

/**
 * A grid of at least `invocations` invocations.
 *
 * @example
 * const { workgroups, constants } = flatGrid(rows * (stride / 4));
 * @throws LimitError beyond 2^32 - 1 invocations, because the index is a u32
 */
export function flatGrid(invocations: number, workgroupSize = WORKGROUP_SIZE): FlatGrid {
  const workgroups = foldGrid(invocations / workgroupSize);
  const width = workgroups[0] * workgroupSize;
  if (width * workgroups[1] > 0xffffffff) {
    throw new LimitError(`a dispatch of ${invocations} invocations has more than 2^32 - 1; split the tensor`);
  }
  return { workgroups, constants: { WORKGROUP_SIZE: workgroupSize, GRID_WIDTH: width } };
}
