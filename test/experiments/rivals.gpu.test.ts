import { beforeAll, describe, expect, it } from 'vitest';
import { seededSplit } from '../../src/data/dataset.ts';
import { renderFaces } from '../../src/data/render_faces.ts';
import { type ExperimentOutcome, runExperiment } from '../../src/experiments/experiment.ts';
import { experimentData } from '../../src/experiments/faces.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import type { Row } from '../../src/results/results.ts';
import { configuration } from '../support/experiment.ts';
import { useGpu } from '../support/gpu.ts';

// The direction of every rival defence against the undefended victim, on tiny procedural faces: ten people, a perceptron of 16
// hidden units, several seeds. Differences are asked of every seed, without any tuning per seed.
//
// What its source reports and is not found at this scale, so that no test asks for it: label smoothing above 0 does not ease
// MI-Face here (liftMeanFree .53 -> .51 and lower), smoothing by -0.05 changes nothing, and in a softmax regression, whose
// weights are all that an attack can show, smoothing below 0 raises the lift a little (.63 -> .65). Struppek et al. attack deep
// networks through a generative prior.

const device = useGpu();
const SEEDS = [1, 2, 3] as const;
const SIZE = { width: 14, height: 16 };

const MI_FACE = { kind: 'mi-face', start: 'zero', iterations: 60, step: 0.1 };
const INVERSION = {
  kind: 'inversion',
  network: { kind: 'dense', hidden: [20] },
  training: { epochs: 40, batchSize: 16, learningRate: 1e-2 },
  attackers: [{ name: 'direct' }],
};
const RELEASES = [
  { kind: 'top-k', k: 1 },
  { kind: 'output-noise', deviation: 0.3 },
];

async function outcomeOf(seed: number, changes: Record<string, unknown>): Promise<ExperimentOutcome> {
  const { gpu } = device;
  const faces = { ...SIZE, photographs: 8, seed };
  const dataset = await renderFaces(gpu, { ...faces, identities: 10, population: 'private' });
  const publicFaces = await renderFaces(gpu, { ...faces, identities: 20, population: 'public' });
  const data = experimentData(dataset, seededSplit(dataset, 5, seed), publicFaces);
  const optimizer = { kind: 'sgd', learningRate: 0.05, momentum: 0.9, weightDecay: 5e-4 };
  const victim = { kind: 'mlp', hidden: [16], training: { epochs: 60, batchSize: 10, optimizer } };
  const config = configuration('mlp', { victim, sweeps: [], draws: 2, attacks: [MI_FACE], seed, ...changes });
  const context = { store: new InMemoryRunStore(), progress: SILENT, signal: new AbortController().signal };
  return runExperiment(gpu, data, config, context);
}

/** The undefended runs, by seed, under both attacks and all releases. */
const undefended = new Map<number, ExperimentOutcome>();

beforeAll(async () => {
  for (const seed of SEEDS) {
    undefended.set(seed, await outcomeOf(seed, { attacks: [MI_FACE, INVERSION], releases: RELEASES }));
  }
});

const rowsOf = ({ rows }: ExperimentOutcome, attack: string, release?: string): readonly Row[] =>
  rows.filter((row) => row.attack === attack && row.condition.release?.kind === release);

/** Mean similarity to the right person beyond that to others, without the mean face. */
const liftOf = (rows: readonly Row[]) => rows.reduce((sum, row) => sum + row.liftMeanFree!, 0) / rows.length;

describe.each(SEEDS)('against the undefended victim, seed %i,', (seed) => {
  it.each<[string, Record<string, unknown>, number]>([
    ['strong negative label smoothing', { labelSmoothing: -0.3 }, 0.8],
    ['erasing half of every training image', { randomErasing: { probability: 1, least: 0.2, most: 0.6 } }, 0.97],
    ['DP-SGD', { dpSgd: { noise: 1 } }, 0.5],
  ])('%s lowers what MI-Face finds', async (_, defences, share) => {
    const defended = await outcomeOf(seed, { defences });
    const [before, after] = [undefended.get(seed)!, defended].map((run) => liftOf(rowsOf(run, 'mi-face zero')));
    expect(before).toBeGreaterThan(0.3);
    expect(after).toBeLessThan(share * before);
    // It has learned something: ten people, one in ten by guessing.
    expect(defended.rows[0].accuracy).toBeGreaterThan(0.3);
    expect(defended.presentation.privacy === undefined).toBe(!('dpSgd' in defences));
  });

  it.each([
    ['top-k', 0.8],
    ['output-noise', 0.5],
  ])('%s lowers what an inversion network finds that learns from released confidences', (release, share) => {
    const run = undefended.get(seed)!;
    for (const split of ['held-out', 'training']) {
      const name = `inversion, ${split}`;
      expect(liftOf(rowsOf(run, name, release))).toBeLessThan(share * liftOf(rowsOf(run, name)));
    }
  });

  it('noise on confidences is measured in all draws and costs accuracy, releasing fewer confidences does neither', () => {
    const run = undefended.get(seed)!;
    const [exact, top, noisy] = [undefined, 'top-k', 'output-noise'].map((release) =>
      rowsOf(run, 'inversion, held-out', release),
    );
    expect([exact, top, noisy].map(({ length }) => length)).toEqual([1, 1, 2]);
    expect(top[0].correct).toBe(exact[0].correct);
    expect(noisy[0].correct).not.toBe(noisy[1].correct);
    const accuracy = (rows: readonly Row[]) => rows.reduce((sum, row) => sum + row.accuracy, 0) / rows.length;
    expect(accuracy(noisy)).toBeLessThan(accuracy(exact));
  });

  it('neither reaches an attacker who reads the weights', () => {
    const [exact, ...others] = [undefined, 'top-k', 'output-noise'].map((release) =>
      rowsOf(undefended.get(seed)!, 'mi-face zero', release),
    );
    for (const rows of others) expect(liftOf(rows)).toBeCloseTo(liftOf(exact), 12);
  });
});
