import { describe, expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import {
  distanceChunks,
  recordDependenceGradient,
  recordDependenceTarget,
  recordDependenceWeights,
  recordPairDistances,
} from '../../src/kernels/dependence.ts';
import {
  dependenceGradient,
  dependenceWeights,
  gaussianKernel,
  hsic,
  labelKernel,
  pairDistances,
} from '../../src/reference/dependence.ts';
import { sumTolerance, TOLERANCES } from '../../src/reference/tolerances.ts';
import { Bench, checkKernel, type Output, randomValues, useGpu, writeMatrix } from '../support/gpu.ts';

const device = useGpu();

/** Factors at which the gradients have a magnitude of about 1. */
const FACTORS = { input: 5e4, labels: 3e2 };

interface Batch {
  readonly name: string;
  readonly images: number;
  /** Values of an image. */
  readonly pixels: number;
  /** Pixels and channels of the hidden values. */
  readonly hidden: readonly [pixels: number, channels: number];
}

const BATCHES: readonly Batch[] = [
  { name: 'two images', images: 2, pixels: 1, hidden: [1, 1] },
  { name: 'vectors', images: 5, pixels: 30, hidden: [1, 37] },
  { name: 'images of few channels', images: 8, pixels: 12, hidden: [6, 3] },
  { name: 'more images than a workgroup has', images: 70, pixels: 7, hidden: [4, 5] },
  { name: 'long images', images: 3, pixels: 17_000, hidden: [1100, 17] },
];

const pixelsOf = ({ images, pixels }: Batch) => randomValues(images * pixels, 1).map((value) => (value + 1) / 2);
const hiddenOf = ({ images, hidden: [pixels, channels] }: Batch) => randomValues(images * pixels * channels, 2, 4);
const labelsOf = ({ images }: Batch) => Uint32Array.from({ length: images }, (_, i) => (i * i) % 4);

function targetOf(batch: Batch): Float64Array {
  const equal = labelKernel(labelsOf(batch));
  return gaussianKernel(pixelsOf(batch), batch.pixels).map(
    (value, i) => FACTORS.input * (value - 1) - FACTORS.labels * equal[i],
  );
}

/** Records all kernels, one after the other, and returns what they write. */
function record(bench: Bench, batch: Batch) {
  const { recorder, arena, gpu } = bench;
  const { images, pixels, hidden } = batch;
  const x = bench.matrix(images, pixels, pixelsOf(batch));
  const z = hidden[0] === 1 ? arena.matrix('z', images, hidden[1]) : arena.image('z', images, hidden[0], 1, hidden[1]);
  writeMatrix(gpu, z, hiddenOf(batch));
  const distancesOf = (values: typeof x) => {
    const distances = bench.output(distanceChunks(values, images) * images, images);
    recordPairDistances(recorder, { values, images, distances });
    return distances;
  };
  const [target, weights] = [bench.output(images, images), bench.output(images, images)];
  const means = bench.buffer(new Float32Array(images).fill(99));
  const classes = bench.buffer(labelsOf(batch));
  recordDependenceTarget(recorder, { images: x, distances: distancesOf(x), classes, ...FACTORS, target, means });
  const distances = distancesOf(z);
  recordDependenceWeights(recorder, { values: z, distances, target, means, weights });
  const gradient = arena.image('gradient', images, hidden[0], 1, hidden[1]);
  const own = { ...gradient, stride: z.stride, ...(hidden[0] === 1 && arena.matrix('gradient', images, hidden[1])) };
  writeMatrix(gpu, own, randomValues(own.rows * own.columns, 3));
  recordDependenceGradient(recorder, { values: z, weights, gradient: own });
  return { distances, target, weights, gradient: own };
}

describe('the dependence of hidden values on images and labels', () => {
  it('distances, weights and gradients agree with their float64 reference, also for images of several pixels', async () => {
    await checkKernel(device.gpu, (bench) =>
      BATCHES.flatMap((batch): Output[] => {
        const { distances, weights, gradient } = record(bench, batch);
        const size = batch.hidden[0] * batch.hidden[1];
        const hidden = hiddenOf(batch);
        const expected = dependenceWeights(targetOf(batch), hidden, size);
        const added = dependenceGradient(expected, hidden, size);
        const before = randomValues(hidden.length, 3);
        // Centring subtracts numbers of the size of the factors.
        const absolute = (TOLERANCES.dependence.absolute * FACTORS.input) / (batch.images - 1) ** 2;
        const outputs: Output[] = [
          { name: `${batch.name}: weights`, view: weights, expected, tolerance: { relative: 1e-5, absolute } },
          {
            name: `${batch.name}: gradient`,
            view: gradient,
            expected: added.map((value, i) => value + before[i]),
            tolerance: { relative: 1e-5, absolute: (absolute * batch.images * 8) / (25 * size) + 1e-6 },
          },
        ];
        if (distanceChunks({ ...gradient }, batch.images) > 1) return outputs;
        const squares = pairDistances(hidden, size);
        const tolerance = sumTolerance(64 * size);
        return [...outputs, { name: `${batch.name}: distances`, view: distances, expected: squares, tolerance }];
      }),
    );
  });

  it('the sum of the weights is the difference of HSIC with images and with labels', () => {
    for (const batch of BATCHES) {
      const size = batch.hidden[0] * batch.hidden[1];
      const kernel = gaussianKernel(hiddenOf(batch), size);
      const images = hsic(gaussianKernel(pixelsOf(batch), batch.pixels), kernel);
      const labels = hsic(kernel, labelKernel(labelsOf(batch)));
      const sum = dependenceWeights(targetOf(batch), hiddenOf(batch), size).reduce((a, b) => a + b, 0);
      expect(sum).toBeCloseTo(FACTORS.input * images - FACTORS.labels * labels, 8);
    }
  });

  it('the reference of the gradient is the derivative of the penalty', () => {
    const batch = BATCHES[2];
    const size = batch.hidden[0] * batch.hidden[1];
    const target = targetOf(batch);
    const z = Float64Array.from(hiddenOf(batch));
    const gradient = dependenceGradient(dependenceWeights(target, z, size), z, size);
    const penalty = () => dependenceWeights(target, z, size).reduce((a, b) => a + b, 0);
    for (let i = 0; i < z.length; i += 5) {
      const [before, step] = [z[i], 1e-4];
      z[i] = before + step;
      const above = penalty();
      z[i] = before - step;
      expect((above - penalty()) / (2 * step)).toBeCloseTo(gradient[i], 5);
      z[i] = before;
    }
  });

  it('HSIC is 0 for values that are all equal, and largest for a kernel with itself', () => {
    const labels = labelKernel(Uint32Array.of(0, 1, 2, 0, 1, 2));
    expect(hsic(new Float64Array(36).fill(1), labels)).toBeCloseTo(0, 12);
    expect(hsic(labels, labels)).toBeGreaterThan(hsic(labelKernel(Uint32Array.of(0, 0, 1, 1, 2, 2)), labels));
    // By hand: the centred kernel of three classes of two has 2/3 for equal and -1/3 for other labels.
    expect(hsic(labels, labels)).toBeCloseTo((12 * (2 / 3)) / 25, 12);
  });

  it('a single image, and values of another number of images, are refused', () => {
    const bench = new Bench(device.gpu);
    const one = bench.output(1, 1);
    const means = bench.buffer(new Float32Array(1));
    const args = { values: one, distances: one, target: one, means, weights: one };
    expect(() => recordDependenceWeights(bench.recorder, args)).toThrow(ShapeError);
    const values = bench.output(3, 5);
    const record = (images: number, rows: number) => () =>
      recordPairDistances(bench.recorder, { values, images, distances: bench.output(rows, images) });
    expect(record(3, 3)).not.toThrow();
    expect(record(2, 2)).toThrow(/3 rows for 2 images/);
    expect(record(3, 2)).toThrow(ShapeError);
    bench.arena.destroy();
  });
});
