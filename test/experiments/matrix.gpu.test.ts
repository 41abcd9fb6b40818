import { isDeepStrictEqual } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { ATTACKS, attackOfKind } from '../../src/attacks/registry.ts';
import { seededSplit } from '../../src/data/dataset.ts';
import { renderFaces } from '../../src/data/render_faces.ts';
import { RELEASE_DEFENCES, releaseDefence, TRAINING_DEFENCES } from '../../src/defences/registry.ts';
import { parseExperiment, VICTIM_KINDS, type VictimKind } from '../../src/experiments/config.ts';
import { runExperiment } from '../../src/experiments/experiment.ts';
import type { ExperimentData } from '../../src/experiments/faces.ts';
import { experimentData } from '../../src/experiments/faces.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import { NOISE_KINDS } from '../../src/memory/config.ts';
import { CONDITION_KINDS, type Row } from '../../src/results/results.ts';
import { useGpu } from '../support/gpu.ts';

// Runs every attack against every kind of victim under every defence, at the smallest size that all of them accept: the
// convolutional network takes 32 x 32 pixels. Nothing is learned well; everything must run and give finite numbers.

const device = useGpu();
const SIZE = 32;
let data: ExperimentData;

beforeAll(async () => {
  const faces = { identities: 3, photographs: 4, width: SIZE, height: SIZE, seed: 2 };
  const dataset = await renderFaces(device.gpu, { ...faces, population: 'private' });
  const publicFaces = await renderFaces(device.gpu, { ...faces, population: 'public' });
  data = experimentData(dataset, seededSplit(dataset, 2, 2), publicFaces);
});

const SGD = { kind: 'sgd', learningRate: 1e-3, momentum: 0, weightDecay: 0 };

function victimOf(kind: VictimKind): object {
  const training = { epochs: 1, batchSize: 4, optimizer: SGD };
  if (kind === 'yang') return { kind, ndf: 2, training };
  const hidden = { softmax: [], mlp: [6], 'mlp-sigmoid': [6], dae: [8, 6] }[kind];
  const reconstruction = { epochs: 1, deviation: 0.1, learningRate: 1e-3 };
  return { kind, hidden, training: { ...training, ...(kind === 'dae' && { reconstruction }) } };
}

const BLACK_BOX = { kind: 'mi-face', start: 'noise', iterations: 2, step: 1, keep: 'last' };
const SEARCH = { directions: 4, sigma: 1, cell: 4 };

/** Every kind of attack: MI-Face from every start, with weights, several reads or confidences only, a generative prior, labels only, membership, and inversion. */
const attacks = [
  { kind: 'mi-face', start: 'zero', iterations: 1, step: 1 },
  { kind: 'mi-face', start: 'zero', iterations: 1, step: 1, reads: 2 },
  { kind: 'mi-face', start: 'zero', iterations: 1, step: 1, reads: 3, combine: 'votes' },
  { kind: 'mi-face', start: 'mean', iterations: 1, step: 1, process: { every: 1, strength: 0.1, sharpen: 0.3 } },
  { ...BLACK_BOX, search: SEARCH },
  { ...BLACK_BOX, search: { ...SEARCH, distribution: 'gaussian' } },
  {
    kind: 'generative',
    filters: 2,
    code: 4,
    training: { steps: 1, batchSize: 4, learningRate: 1e-3 },
    candidates: 4,
    starts: 2,
    iterations: 1,
    views: 1,
  },
  { kind: 'label-only', iterations: 1, pairs: 2, cell: 4 },
  { kind: 'membership', shadows: 4 },
  {
    kind: 'inversion',
    network: { kind: 'dense', hidden: [4] },
    training: { epochs: 1, batchSize: 4, learningRate: 1e-3 },
    attackers: [{ name: 'direct' }, { name: 'top', truncation: 2 }, { name: 'again', reads: 2, temperature: 1.5 }],
  },
];

function configuration(kind: VictimKind, changes: object) {
  const stored = { kind: 'stored', faults: [{ kind: 'uniform', bitErrorRate: 0.01 }] };
  return parseExperiment(
    {
      data: {
        kind: 'procedural',
        width: SIZE,
        height: SIZE,
        people: 3,
        photographs: 4,
        trained: 2,
        public: { people: 3, photographs: 4 },
      },
      victim: victimOf(kind),
      sweeps: [{ layers: 'all', rates: [0.01] }],
      memories: [{ name: 'a memory', setting: 'a memory', memory: { layers: { '*': stored } } }],
      noise: { kinds: NOISE_KINDS, sets: [], levels: { layers: 'all', gaussian: [0.01], laplacian: [0.01] } },
      attacks,
      draws: 1,
      evaluator: 'linear',
      photographs: 1,
      evaluationBatch: 8,
      ...changes,
    },
    'matrix',
  );
}

async function rowsOf(kind: VictimKind, changes: object): Promise<readonly Row[]> {
  const context = {
    store: new InMemoryRunStore(),
    progress: SILENT,
    signal: new AbortController().signal,
  };
  const { rows } = await runExperiment(device.gpu, data, configuration(kind, changes), context);
  return rows;
}

/** The names of the results of the attacks. */
const NAMES = configuration('softmax', {}).attacks.flatMap((config) =>
  attackOfKind(config.kind)
    .outputs(config)
    .map(({ name }) => name),
);

const LABELS = new Set(['label-only']);

/** The attacks that read the weights or only labels, so that no change of the released confidences reaches them. */
const UNRELEASED = new Set(
  configuration('softmax', {}).attacks.flatMap((config) => {
    const attack = attackOfKind(config.kind);
    return attack.access(config) !== 'scores' ? attack.outputs(config).map(({ name }) => name) : [];
  }),
);

/** One setting per training defence. */
const DEFENCES: Readonly<Record<string, unknown>> = {
  weightClip: 0.02,
  errors: { bitErrorRate: 0.05 },
  labelSmoothing: -0.5,
  randomErasing: { probability: 1 },
  dpSgd: { noise: 1 },
  bido: { input: 1e5, labels: 1e3 },
  mid: 1,
};

/**
 * Victims that a training defence refuses, by its name: their training as a classifier changes no hidden values, or they have batch
 * normalisation.
 */
const REFUSED: Readonly<Record<string, readonly VictimKind[]>> = {
  bido: ['softmax', 'dae'],
  mid: ['softmax', 'dae'],
  dpSgd: ['yang'],
};

describe('every attack and every defence', () => {
  it('every attack and every defence is in this matrix', () => {
    const kinds = new Set(attacks.map(({ kind }) => kind));
    expect(kinds, 'add a small configuration to attacks').toEqual(new Set(ATTACKS.map(({ kind }) => kind)));
    const names = TRAINING_DEFENCES.map(({ name }) => name);
    expect(Object.keys(DEFENCES), 'add a setting to DEFENCES').toEqual(names);
  });

  it.each(VICTIM_KINDS)('every attack and every defence runs against a victim of kind %s', async (kind) => {
    // The strongest setting of each change of the released confidences; of all against one victim, and of one against the others.
    const strongest = RELEASE_DEFENCES.map(({ offered }) => offered[offered.length - 1]);
    const turn = VICTIM_KINDS.indexOf(kind);
    const releases = turn === 0 ? strongest : [strongest[(turn + 2) % strongest.length]];
    const rows = await rowsOf(kind, { releases });
    for (const release of [undefined, ...releases]) {
      const own = rows.filter(({ condition }) => isDeepStrictEqual(condition.release, release));
      expect(new Set(own.map(({ condition }) => condition.kind))).toEqual(new Set(CONDITION_KINDS));
      expect(own).toHaveLength(CONDITION_KINDS.length * NAMES.length);
    }
    for (const name of NAMES) {
      const own = rows.filter(({ attack }) => attack === name);
      for (const row of own) {
        if (row.membership) {
          expect(row.n).toBe(0);
          expect(Number.isFinite(row.membership.auc)).toBe(true);
          continue;
        }
        // The control of a generative prior draws four faces per person.
        expect(row.n).toBe(name.endsWith('no victim') ? 12 : 3);
        // An attack that starts from public faces may find none that such a victim takes for a person.
        const found = name !== 'label-only' || row.unmeasured < 3;
        expect(Number.isFinite(row.pcc) && Number.isFinite(row.mse), name).toBe(found);
      }
      const under = (release: object | undefined) =>
        own
          .filter(({ condition }) => isDeepStrictEqual(condition.release, release))
          .map(({ perIdentity, membership }) => membership?.members ?? perIdentity.pcc);
      for (const release of releases) {
        // A random change reaches attackers who see only labels, if it changes one.
        if (LABELS.has(name) && releaseDefence(release.kind).isRandom) continue;
        if (UNRELEASED.has(name)) expect(under(release), name).toEqual(under(undefined));
        else expect(under(release), name).not.toEqual(under(undefined));
      }
    }
  });

  it.each(VICTIM_KINDS)(
    'every attack runs against a victim of kind %s that was trained with a defence',
    async (kind) => {
      const plain = { sweeps: [], memories: [], noise: { kinds: [] } };
      const refuses = (name: string) => REFUSED[name]?.includes(kind) ?? false;
      // DP-SGD does not make the losses of BiDO and MID private, and refuses them.
      const together = Object.entries(DEFENCES).filter(([name]) => !refuses(name) && name !== 'dpSgd');
      const defences = Object.fromEntries(together);
      const rows = await rowsOf(kind, { ...plain, defences });
      expect(rows.map(({ attack }) => attack)).toEqual(NAMES);
      // Single defences train for a cheap attack. A victim that was trained differently gives different pictures.
      const cheap = { ...plain, attacks: [attacks[0]] };
      const without = await rowsOf(kind, cheap);
      for (const [name, setting] of Object.entries(DEFENCES)) {
        const found = rowsOf(kind, { ...cheap, defences: { [name]: setting } });
        if (refuses(name)) await expect(found).rejects.toThrow(new RegExp(`^defences\\.${name}: .*; (choose|train)`));
        else expect((await found).map(({ pcc }) => pcc)).not.toEqual(without.map(({ pcc }) => pcc));
      }
    },
  );
});
