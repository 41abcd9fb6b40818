import { beforeAll, describe, expect, it } from 'vitest';
import { createDataset, seededSplit } from '../../src/data/dataset.ts';
import { ConfigError } from '../../src/errors.ts';
import { runExperiment } from '../../src/experiments/experiment.ts';
import { type ExperimentData, experimentData } from '../../src/experiments/faces.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import { Random } from '../../src/random.ts';
import { membershipEntries } from '../../src/results/membership.ts';
import { parseRows, type Results, type Row, rowToLine, summarise, toCsv } from '../../src/results/results.ts';
import { configuration } from '../support/experiment.ts';
import { useGpu } from '../support/gpu.ts';

// Photographs of noise have nothing in common: a network can only learn them by heart, and knows nothing of others.
const device = useGpu();
const PEOPLE = 5;
const EACH = 40;
const SIZE = 18;
let data: ExperimentData;
beforeAll(async () => {
  const random = new Random(9);
  const labels = Uint32Array.from({ length: PEOPLE * EACH }, (_, i) => Math.floor(i / EACH));
  const dataset = await createDataset({
    name: 'noise',
    width: SIZE,
    height: SIZE,
    classNames: Array.from({ length: PEOPLE }, (_, i) => `person ${i}`),
    images: Uint8Array.from({ length: labels.length * SIZE * SIZE }, () => random.uniformInt(256)),
    labels,
    ids: Array.from(labels, (label, i) => `${label}/${i}`),
  });
  data = experimentData(dataset, seededSplit(dataset, EACH / 2, 4), undefined);
});

const ATTACK = { kind: 'membership', shadows: 4 };

async function outcomeOf(changes: Record<string, unknown>, given = data) {
  const learningRate = 0.05;
  const optimizer = { kind: 'sgd', learningRate, momentum: 0.9, weightDecay: 0 };
  const victim = { kind: 'softmax', hidden: [], training: { epochs: 40, batchSize: 25, optimizer } };
  const config = configuration('softmax', { victim, attacks: [ATTACK], sweeps: [], draws: 1, ...changes });
  const store = new InMemoryRunStore();
  const context = { store, progress: SILENT, signal: new AbortController().signal };
  return { ...(await runExperiment(device.gpu, given, config, context)), store };
}

const entriesOf = (rows: readonly Row[]) =>
  membershipEntries({ rows, manifest: {} } as unknown as Results).filter(
    ({ condition }) => condition.kind !== 'quantised',
  );

describe('membership inference as an attack', () => {
  it('membership is plain in a network that has learned noise by heart, less so under bit errors', async () => {
    const { rows, presentation, store } = await outcomeOf({ sweeps: [{ layers: 'all', rates: [0.05] }], draws: 2 });
    for (const { membership, n, queries, pcc } of rows) {
      expect([membership!.members.length, membership!.nonMembers.length]).toEqual([100, 100]);
      expect({ n, queries, pcc }).toEqual({ n: 0, queries: 1, pcc: null });
    }
    const found = entriesOf(rows);
    for (const attack of ['membership loss', 'membership LiRA']) {
      const [exact, noisy] = ['none', 'bit-error'].map(
        (kind) => found.find((entry) => entry.attack === attack && entry.condition.kind === kind)!,
      );
      expect(exact.auc.mean, attack).toBeGreaterThan(0.99);
      expect(exact.tprAtOnePercent.mean, attack).toBeGreaterThan(0.8);
      expect(noisy.draws).toBe(2);
      expect(noisy.auc.mean, attack).toBeLessThan(exact.auc.mean!);
    }
    const drawn = rows
      .filter(({ condition }) => condition.kind === 'bit-error')
      .map(({ membership }) => membership!.auc);
    expect(new Set(drawn).size).toBe(4);
    // The rows hold, and are summarised apart from those of reconstructions.
    expect(parseRows(rows.map(rowToLine).join(''), 'rows')).toEqual(rows);
    expect(toCsv(rows).split('\r\n')[0]).toContain('queries,membershipAuc,membershipTprAtOnePercent,');
    expect(summarise(rows)).toEqual([]);
    expect(presentation.baselines?.meanFacePcc).toBeTypeOf('number');
    expect(presentation.attacks.map(({ shown, truth }) => ({ shown, truth }))).toEqual(
      Array(2).fill({ shown: [], truth: undefined }),
    );
    expect([...store.files.keys()].filter((file) => file.startsWith('shadow'))).toHaveLength(4);
  });

  it('a network that was hardly trained tells nothing: the interval of the AUC includes guessing', async () => {
    const optimizer = { kind: 'sgd', learningRate: 1e-9, momentum: 0, weightDecay: 0 };
    const victim = { kind: 'softmax', hidden: [], training: { epochs: 1, batchSize: 20, optimizer } };
    const { rows } = await outcomeOf({ victim, attacks: [{ kind: 'membership' }] });
    const [{ auc, attack }] = entriesOf(rows);
    expect(attack).toBe('membership loss');
    expect(auc.ci95![0]).toBeLessThan(0.5);
    expect(auc.ci95![1]).toBeGreaterThan(0.5);
    expect(auc.ci95![1] - auc.ci95![0]).toBeLessThan(0.2);
  });

  it('only people who are attacked are judged, and the same seed gives the same bits', async () => {
    const [first, again] = [await outcomeOf({ people: [1, 3] }), await outcomeOf({ people: [1, 3] })];
    expect(again.rows).toEqual(first.rows);
    for (const { membership } of first.rows) {
      expect(membership!.members).toHaveLength(40);
      // 40 non-members are too few for 1 %.
      expect(membership!.tprAtOnePercent).toBeNull();
      expect(membership!.auc).toBeTypeOf('number');
    }
  });

  it('a victim whose training photographs are not known is refused', async () => {
    const { store } = await outcomeOf({ attacks: [{ kind: 'membership' }] });
    const bytes = (await store.read('victim.safetensors'))!;
    const other = { ...data.dataset, sha256: 'another' };
    const given = { ...data, dataset: other, pretrained: new Map([['victim.safetensors', bytes]]) };
    await expect(outcomeOf({}, given)).rejects.toThrow(ConfigError);
  });
});
