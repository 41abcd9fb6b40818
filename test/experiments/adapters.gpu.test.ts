import { beforeAll, describe, expect, it } from 'vitest';
import { seededSplit } from '../../src/data/dataset.ts';
import { renderFaces } from '../../src/data/render_faces.ts';
import { runExperiment } from '../../src/experiments/experiment.ts';
import { experimentData } from '../../src/experiments/faces.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import type { Gpu } from '../../src/gpu/device.ts';
import type { Row } from '../../src/results/results.ts';
import { checkedKernels, selfCheck } from '../../src/verify/kernels.ts';
import { openOpenGlGpu, openPoorGpu } from '../support/adapters.ts';
import { configuration } from '../support/experiment.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();

/** A small experiment, from the rendering of faces to the rows. */
async function measured(gpu: Gpu): Promise<readonly Row[]> {
  const faces = { identities: 4, photographs: 5, width: 14, height: 16, seed: 3 };
  const dataset = await renderFaces(gpu, { ...faces, population: 'private' });
  const everybody = await renderFaces(gpu, { ...faces, population: 'public' });
  const data = experimentData(dataset, seededSplit(dataset, 3, 3), everybody);
  const signal = new AbortController().signal;
  const store = new InMemoryRunStore();
  return (await runExperiment(gpu, data, configuration('mlp'), { store, progress: SILENT, signal })).rows;
}

/** Expects the same conditions, draws and answers, and similarities that differ by at most `tolerance`. */
function expectAgreement(rows: readonly Row[], expected: readonly Row[], tolerance: number): void {
  const facts = ({ condition, draw, attack, correct }: Row) => ({ condition, draw, attack, correct });
  expect(rows.map(facts)).toEqual(expected.map(facts));
  for (const [i, { pcc, liftMeanFree }] of rows.entries()) {
    expect(Math.abs(pcc! - expected[i].pcc!)).toBeLessThanOrEqual(tolerance);
    expect(Math.abs(liftMeanFree! - expected[i].liftMeanFree!)).toBeLessThanOrEqual(tolerance);
  }
}

describe('the engine on an adapter with the minimum limits and no feature', () => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await openPoorGpu();
    return () => gpu.close();
  });

  it('every kernel of the minimum adapter agrees with its reference', async () => {
    expect(gpu.quads).toBe(false);
    expect(checkedKernels(gpu).length).toBeGreaterThan(100);
    expect((await selfCheck(gpu)).filter(({ ok }) => !ok)).toEqual([]);
  });

  it('a small experiment on the minimum adapter has the same bits', async () => {
    expectAgreement(await measured(gpu), await measured(device.gpu), 0);
  });
});

// `midas doctor --adapter opengles` checks the kernels there, which takes LLVM a minute.
it('a small experiment on OpenGL ES agrees within 1e-5', async ({ skip }) => {
  const gpu = await openOpenGlGpu();
  if (!gpu) return skip();
  expect(gpu.adapter).toMatchObject({ software: true, name: expect.stringContaining('OpenGL ES') });
  expectAgreement(await measured(gpu), await measured(device.gpu), 1e-5);
  await gpu.close();
});
