/** Register tiles of products: their sizes and the invocations that compute one. Tile `x` is shaders/gemm/tile_x.wgsl. */

import type { Gpu } from '../gpu/device.ts';
import type { Dispatch, DispatchVariant } from '../gpu/dispatch.ts';
import type { Recorder } from '../gpu/recorder.ts';

/** Size of the block of the result that one invocation or one quad computes in registers. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
  /** 1, or 4 for a quad: four invocations adjacent in x, which need Gpu.quads. */
  readonly invocations: number;
}

export const TILES = {
  quad_16x32: { rows: 16, columns: 32, invocations: 4 },
  quad_32x16: { rows: 32, columns: 16, invocations: 4 },
  quad_32x32: { rows: 32, columns: 32, invocations: 4 },
  quad_16x16: { rows: 16, columns: 16, invocations: 4 },
  '16x16': { rows: 16, columns: 16, invocations: 1 },
  '16x8': { rows: 16, columns: 8, invocations: 1 },
  '16x4': { rows: 16, columns: 4, invocations: 1 },
  '8x8': { rows: 8, columns: 8, invocations: 1 },
} as const satisfies Record<string, Tile>;
export type TileName = keyof typeof TILES;

/** True if `name` is a quad tile; false for other tiles and other kernel families. */
export function isQuad(name: string): boolean {
  return (TILES as Record<string, Tile>)[name]?.invocations === 4;
}

type QuadTile = 'quad_16x32' | 'quad_32x16' | 'quad_32x32' | 'quad_16x16';

/**
 * Speed of a quad tile relative to 16 x 16 where a result fills it: SwiftShader, GEMM 512^3, on a processor with an instruction cache of
 * 32 KB, as most have. With 64 KB 16 x 32 has 1.14, and 32 x 32 is the slowest (bench/NOTES.md): the tuner decides.
 */
const QUAD_GAIN: Readonly<Record<QuadTile, number>> = {
  quad_16x16: 1,
  quad_32x32: 0.9,
  quad_16x32: 0.75,
  quad_32x16: 0.74,
};

/**
 * The quad tiles worth trying for a result of this size, the one expected to be fastest first. 16 x 32 and 32 x 16 are as fast as each
 * other: the one that fits the result better is among them.
 */
export function quadTiles(rows: number, columns: number): QuadTile[] {
  const fill = (size: number, side: number) => Math.ceil(size / side) * side;
  const expected = (name: QuadTile) =>
    (fill(rows, TILES[name].rows) * fill(columns, TILES[name].columns)) / QUAD_GAIN[name];
  const faster = (a: QuadTile, b: QuadTile) => (expected(b) < expected(a) ? b : a);
  const names: QuadTile[] = ['quad_16x16', 'quad_32x32', faster('quad_16x32', 'quad_32x16')];
  return names.sort((a, b) => expected(a) - expected(b));
}

/** The key under which the tuner remembers a variant: an operation and its sizes, each rounded up to a power of two. */
export function shapeKey(operation: string, ...sizes: readonly number[]): string {
  return `${operation} ${sizes.map((size) => 2 ** Math.ceil(Math.log2(size))).join('x')}`;
}

/** Records the first variant, and the others for the tuner to choose from. */
export function recordVariants(
  recorder: Recorder,
  key: string,
  variants: readonly DispatchVariant[],
  dispatch: Pick<Dispatch, 'label' | 'bindings' | 'flops'>,
): void {
  const [{ shader, workgroups }] = variants;
  recorder.record({ ...dispatch, shader, workgroups, tuning: { key, variants } });
}

/**
 * Number of 16 x 16 tiles that is taken to keep an adapter busy: a GPU of some 30 cores (an H200 with 132 is not: bench/NOTES.md), or a
 * software adapter on the CPU.
 */
export const BUSY_TILES = { hardware: 512, software: 64 } as const;

/**
 * Number of tiles that keeps an adapter busy; products with fewer tiles are split into slices of k. More tiles only cost
 * time on a software adapter: it computes one per core at a time, and starting and ending one takes as long as ten turns of
 * its loop.
 */
export function busyTiles(gpu: Gpu): number {
  return BUSY_TILES[gpu.adapter.software ? 'software' : 'hardware'];
}

/**
 * Workgroups of up to `size` invocations, no larger than the grid needs, that cover an m x n result with tiles.
 * @returns workgroups in x and y, and the constants of a kernel with a tile
 */
export function tileGrid(
  { rows, columns, invocations }: Tile,
  m: number,
  n: number,
  size: number,
): { workgroups: [x: number, y: number]; constants: { WORKGROUP_X: number; WORKGROUP_Y: number } } {
  const [across, down] = [Math.ceil(n / columns) * invocations, Math.ceil(m / rows)];
  const power = (tiles: number, most: number) => Math.min(most, 2 ** Math.ceil(Math.log2(tiles)));
  const x = power(across, 8);
  const y = power(down, size / x);
  return { workgroups: [Math.ceil(across / x), Math.ceil(down / y)], constants: { WORKGROUP_X: x, WORKGROUP_Y: y } };
}
