/** The fault maps of the named memories as hashes, which must be the same on every adapter. */
import { sha256 } from '../../src/data/sha256.ts';
import { Arena } from '../../src/gpu/arena.ts';
import type { Gpu } from '../../src/gpu/device.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import { layerParameters } from '../../src/layers/kinds.ts';
import { FlatParameters, ParameterLayout } from '../../src/layers/parameters.ts';
import { parseMemoryConfig } from '../../src/memory/config.ts';
import { PRESETS } from '../../src/memory/presets.ts';
import { randomValues, writeMatrix } from './gpu.ts';

/** 200 x 300 weights: few tensors, because every tensor of every preset has its own pipelines. */
const LAYERS = [{ kind: 'dense', name: 'fc1', inputs: 300, outputs: 200, activation: 'none', bias: false }] as const;

/**
 * For every preset the SHA-256 of the codes that one read returns, as little-endian words. Weights are
 * multiples of 1/2048 in -1..1, which every adapter stores as the same codes.
 */
export async function faultMapHashes(gpu: Gpu): Promise<Record<string, string>> {
  const arena = new Arena(gpu);
  const parameters = new FlatParameters(arena, 'parameters', new ParameterLayout(layerParameters(LAYERS)));
  for (const [i, { name, rows, columns }] of parameters.layout.slices.entries()) {
    const values = randomValues(rows * columns, i + 1).map((value) => Math.round(2048 * value) / 2048);
    writeMatrix(gpu, parameters.matrix(name), values);
  }
  const memory = await ApproximateMemory.store(arena, parameters);
  const hashes: Record<string, string> = {};
  for (const { name: preset, memory: config } of PRESETS) {
    await memory.configure(parseMemoryConfig({ ...config, seed: 7 }, ['fc1']));
    await memory.load(1);
    const codes: number[] = [];
    for (const { name } of parameters.layout.slices) codes.push(...(await memory.fetchCodes(name)));
    hashes[preset] = await sha256(new Uint8Array(Uint32Array.from(codes).buffer));
  }
  arena.destroy();
  return hashes;
}
