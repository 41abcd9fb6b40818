import { describe, expect, test } from 'vitest';
import { quadTiles, TILES } from '../../src/kernels/tiles.ts';

describe('the quad tiles that are worth trying', () => {
  test('of the two narrow tiles the one is tried that a result fills', () => {
    expect(quadTiles(512, 16)).toContain('quad_32x16');
    expect(quadTiles(512, 48)).toContain('quad_32x16');
    expect(quadTiles(16, 512)).toContain('quad_16x32');
    expect(quadTiles(512, 512)).toContain('quad_16x32');
  });

  test('every size of a result has at most three tiles, all of them of quads', () => {
    for (const rows of [1, 16, 40, 1000]) {
      for (const columns of [1, 8, 33, 10304]) {
        const tiles = quadTiles(rows, columns);
        expect(new Set(tiles).size).toBe(tiles.length);
        expect(tiles.length).toBeLessThanOrEqual(3);
        for (const name of tiles) expect(TILES[name].invocations).toBe(4);
      }
    }
  });

  test('a tile that a result fills by half is not the first', () => {
    expect(quadTiles(16, 16)[0]).toBe('quad_16x16');
    expect(quadTiles(1000, 8)[0]).toBe('quad_16x16');
  });
});
