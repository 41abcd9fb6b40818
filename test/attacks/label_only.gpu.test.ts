import { beforeAll, describe, expect, it } from 'vitest';
import { BoundarySearch, type LabelOnlyConfig } from '../../src/attacks/label_only.ts';
import { seededSplit } from '../../src/data/dataset.ts';
import { renderFaces } from '../../src/data/render_faces.ts';
import { runExperiment } from '../../src/experiments/experiment.ts';
import { experimentData } from '../../src/experiments/faces.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { FlatParameters } from '../../src/layers/parameters.ts';
import { plainWeights } from '../../src/layers/weights.ts';
import { modelLayout } from '../../src/models/model_parameters.ts';
import { modelSpec } from '../../src/models/specs.ts';
import type { Victim } from '../../src/models/victim.ts';
import { stackVictim } from '../../src/models/victims.ts';
import { configuration } from '../support/experiment.ts';
import { useGpu, writeMatrix } from '../support/gpu.ts';

const device = useGpu();
const SIZE = { width: 6, height: 4, channels: 1 } as const;
const VALUES = 24;
const CONFIG: LabelOnlyConfig = { kind: 'label-only', iterations: 40, pairs: 8, radius: 0.05, growth: 1.3, cell: 1 };

describe('boundary repulsion against a linear victim', () => {
  /** The normal of the boundary between two classes, which goes through the gray image. */
  const normal = Float32Array.from({ length: VALUES }, (_, i) => (i % 2 === 0 ? 1 : -1) / Math.sqrt(VALUES));
  /** Distance of an image from the boundary, positive inside class 1. */
  const distance = (image: Float32Array) => image.reduce((sum, value, i) => sum + normal[i] * (value - 0.5), 0);
  const start = (inside: number) => normal.map((value) => 0.5 + inside * value);
  let victim: Victim;
  beforeAll(() => {
    const spec = modelSpec('softmax', VALUES, 2, []);
    const arena = new Arena(device.gpu);
    const parameters = new FlatParameters(arena, 'linear', modelLayout(spec));
    const flat = new Uint32Array(parameters.layout.length);
    const bias = -normal.reduce((sum, value) => sum + 0.5 * value, 0);
    for (const slice of parameters.layout.slices) {
      const values = slice.rows * slice.columns > 2 ? [...normal.map(() => 0), ...normal] : [0, bias];
      parameters.layout.pack(slice, new Uint32Array(Float32Array.from(values).buffer), flat);
    }
    device.gpu.write(parameters.view, flat);
    victim = stackVictim(spec.layers, plainWeights(parameters));
  });

  async function search(config: LabelOnlyConfig, active = [true, true, false], key = 5) {
    const built = await BoundarySearch.build(device.gpu, victim, SIZE, [1, 0, 1], config);
    writeMatrix(device.gpu, built.x, Float32Array.from([0.02, -0.03, 0.1].flatMap((inside) => [...start(inside)])));
    const result = await built.run(active, key, 0);
    built.destroy();
    return result;
  }

  it('images move away from the boundary, further with more queries, and stay inside', async () => {
    const short = await search({ ...CONFIG, iterations: 10 });
    const { images } = await search({ ...CONFIG, iterations: 80 });
    for (const image of images) expect(image.every((value) => value >= 0 && value <= 1)).toBe(true);
    expect(distance(short.images[0])).toBeGreaterThan(0.02);
    expect(distance(images[0])).toBeGreaterThan(2 * distance(short.images[0]));
    expect(distance(images[0])).toBeGreaterThan(0.2);
    expect(distance(images[1])).toBeLessThan(2 * distance(short.images[1]));
    // A walk without a direction would end as far to the side as along the normal.
    const moved = images[0].map((value, i) => value - start(0.02)[i]);
    const length = Math.sqrt(moved.reduce((sum, value) => sum + value * value, 0));
    expect((distance(images[0]) - 0.02) / length).toBeGreaterThan(0.6);
  });

  it('every iteration costs two queries per pair of points and one for the move; an image without a start costs none', async () => {
    const { images, queries } = await search(CONFIG);
    expect(queries).toEqual([40 * 17, 40 * 17, 0]);
    expect(images[2]).toEqual(start(0.1));
  });

  it('the same key gives the same bits, another key other images', async () => {
    const [first, again, other] = [await search(CONFIG), await search(CONFIG), await search(CONFIG, undefined, 6)];
    expect(again).toEqual(first);
    expect(other.images[0]).not.toEqual(first.images[0]);
  });

  it('a sphere that lies outside the class altogether shrinks until points are inside', async () => {
    const wide = await search({ ...CONFIG, radius: 10, iterations: 60 });
    expect(distance(wide.images[0])).toBeGreaterThan(0.02);
  });
});

it('people for whom no public face is a start are not measured, and every public face counts as one query', async () => {
  const faces = { identities: 4, photographs: 5, width: 14, height: 16, seed: 3 };
  const dataset = await renderFaces(device.gpu, { ...faces, population: 'private' });
  const few = await renderFaces(device.gpu, { ...faces, identities: 1, photographs: 3, population: 'public' });
  const data = experimentData(dataset, seededSplit(dataset, 3, 3), few);
  const attack = { kind: 'label-only', iterations: 3, pairs: 2, cell: 2 };
  const context = { store: new InMemoryRunStore(), progress: SILENT, signal: new AbortController().signal };
  const releases = [{ kind: 'rounding', decimals: 1 }];
  const config = configuration('mlp', { attacks: [attack], sweeps: [], draws: 1, releases });
  const { rows } = await runExperiment(device.gpu, data, config, context);
  for (const row of rows) {
    // Three public faces start at most three people.
    expect(row.unmeasured).toBeGreaterThanOrEqual(1);
    const started = (row.queries! * 4 - 3) / (3 * 5);
    expect(Number.isInteger(started) && started >= 1 && started <= 3).toBe(true);
    expect(row.unmeasured).toBeGreaterThanOrEqual(4 - started);
  }
  // Labels do not change where confidences are rounded.
  const [exact, rounded] = [
    rows.find(({ condition }) => !condition.release),
    rows.find(({ condition }) => condition.release),
  ];
  expect({ ...rounded, condition: exact!.condition }).toEqual(exact);
});
