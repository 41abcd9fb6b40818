import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MiFace } from '../../src/attacks/mi_face.ts';
import { miFaceOptions } from '../../src/attacks/mi_face_config.ts';
import { type ImageDataset, labelsOf, meanImage, type Split, seededSplit, toFloat } from '../../src/data/dataset.ts';
import { loadAttFaces } from '../../src/data/node/attfaces.ts';
import { renderFaces } from '../../src/data/render_faces.ts';
import { DataError, ShapeError } from '../../src/errors.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { plainWeights } from '../../src/layers/weights.ts';
import { trainIdentityClassifier } from '../../src/metrics/identity.ts';
import { resemblanceThreshold, scoreReconstructions, type Truth } from '../../src/metrics/scoring.ts';
import { indexPhotographs, liftsOfPhotographs } from '../../src/metrics/similarity.ts';
import { uploadDataset } from '../../src/models/device_dataset.ts';
import { FaceEvaluator, faceTraining, trainFaceNetwork } from '../../src/models/face_evaluator.ts';
import { modelSpec } from '../../src/models/specs.ts';
import { Trainer } from '../../src/models/trainer.ts';
import { stackVictim } from '../../src/models/victims.ts';
import { attFaces } from '../data/real-faces.ts';
import { randomValues, useGpu } from '../support/gpu.ts';

const device = useGpu();
const PEOPLE = 8;
const [WIDTH, HEIGHT] = [24, 28];
let arena: Arena;
let faces: ImageDataset;
let split: Split;

beforeAll(async () => {
  arena = new Arena(device.gpu);
  const size = { width: WIDTH, height: HEIGHT };
  faces = await renderFaces(device.gpu, {
    ...size,
    population: 'private',
    identities: PEOPLE,
    photographs: 20,
    seed: 2,
  });
  split = seededSplit(faces, 10, 2);
});
afterAll(() => arena.destroy());

const photographs = (dataset: ImageDataset, indices: Uint32Array) =>
  Array.from(indices, (image) => toFloat(dataset, [image]));

async function trained(dataset: ImageDataset, indices: Uint32Array, seed = 1): Promise<FaceEvaluator> {
  const examples = { dataset, indices, classes: dataset.classNames.length, seed };
  return FaceEvaluator.build(arena, await trainFaceNetwork(arena, examples, () => {}), examples);
}

describe('the face evaluator of colour images', () => {
  it('an evaluator judges colour images by their luma', async () => {
    const training = { ...faceTraining(PEOPLE), epochs: 1, steps: 3, batchSize: 16, readOut: 2 * PEOPLE };
    const indices = split.train.subarray(0, 2 * PEOPLE);
    const images = Uint8Array.from({ length: 3 * faces.images.length }, (_, i) => faces.images[Math.floor(i / 3)]);
    const colour: ImageDataset = { ...faces, channels: 3, images };
    const own = new Arena(device.gpu);
    const examples = { dataset: faces, indices, classes: PEOPLE, seed: 1 };
    const parameters = await trainFaceNetwork(own, examples, () => {}, training);
    const ofGray = await FaceEvaluator.build(own, parameters, examples, training);
    const ofColour = await FaceEvaluator.build(own, parameters, { ...examples, dataset: colour }, training);
    const [gray, repeated] = [faces, colour].map((dataset) => toFloat(dataset, [split.test[0]]));
    // Every other pixel has a colour cast whose luma is 0: 0.299 * 0.587 = 0.587 * 0.299.
    const cast = repeated.map((value, i) => value + (Math.floor(i / 3) % 2) * [0.587, -0.299, 0][i % 3]);
    const [[expected], answers] = [await ofGray.recognise([gray]), await ofColour.recognise([repeated, cast])];
    for (const answer of answers) {
      expect(answer!.ranking).toEqual(expected!.ranking);
      const largest = Math.max(...expected!.features.map(Math.abs));
      answer!.features.forEach((value, i) => {
        expect(Math.abs(value - expected!.features[i])).toBeLessThan(0.02 * largest);
      });
    }
    await expect(ofColour.recognise([gray])).rejects.toThrow(`${WIDTH * HEIGHT} pixels are not an image of 24x28 RGB`);
    own.destroy();
  });
});

describe('the face evaluator', () => {
  it('the evaluator recognises photographs that it has not seen, whatever their contrast and brightness', async () => {
    const evaluator = await trained(faces, split.train);
    const images = photographs(faces, split.test);
    const labels = labelsOf(faces, split.test);
    expect(await evaluator.accuracy(images, labels)).toBeGreaterThanOrEqual(0.95);
    const faded = images.map((image) => image.map((value) => 0.4 + 0.1 * value));
    expect(await evaluator.accuracy(faded, labels)).toBeGreaterThanOrEqual(0.95);
    const [first, blank, broken] = await evaluator.recognise([
      images[0],
      new Float32Array(WIDTH * HEIGHT).fill(0.3),
      images[0].map((value, i) => (i === 5 ? Number.NaN : value)),
    ]);
    expect([...first!.ranking].sort((a, b) => a - b)).toEqual(Array.from({ length: PEOPLE }, (_, i) => i));
    expect([blank, broken]).toEqual([undefined, undefined]);
    await expect(evaluator.recognise([new Float32Array(7)])).rejects.toThrow(ShapeError);
  });

  it('the same seed trains the same network, and another seed another one', async () => {
    const short = { ...faceTraining(PEOPLE), epochs: 2, steps: 2 };
    const bits = async (seed: number) => {
      const examples = { dataset: faces, indices: split.train, classes: PEOPLE, seed };
      const epochs: number[] = [];
      const parameters = await trainFaceNetwork(arena, examples, (epoch) => epochs.push(epoch), short);
      expect(epochs).toEqual([1, 2]);
      return device.gpu.readWords(parameters.view);
    };
    const first = await bits(3);
    expect(await bits(3)).toEqual(first);
    expect(await bits(4)).not.toEqual(first);
  });

  it('photographs without any contrast teach nothing and are refused', async () => {
    const flat = { ...faces, images: new Uint8Array(faces.images.length).fill(90) };
    const examples = { dataset: flat, indices: split.train, classes: PEOPLE, seed: 1 };
    await expect(trainFaceNetwork(arena, examples, () => {})).rejects.toThrow(DataError);
  });

  it.skipIf(attFaces === undefined)('the evaluator knows at least 95 % of the held-out AT&T photographs', async () => {
    const { dataset, split: published } = await loadAttFaces(attFaces!);
    const evaluator = await trained(dataset, published.train);
    const accuracy = await evaluator.accuracy(photographs(dataset, published.test), labelsOf(dataset, published.test));
    expect(accuracy).toBeGreaterThanOrEqual(0.95);
  });
});

describe('the audit of false positives', () => {
  /** Photographs of the training side, with the evaluators of the other side. */
  const truthOf = (): Truth => {
    const index = indexPhotographs(
      toFloat(faces, split.train),
      labelsOf(faces, split.train),
      WIDTH,
      HEIGHT,
      meanImage(faces, split.train),
    );
    const evaluator = trainIdentityClassifier(toFloat(faces, split.test), labelsOf(faces, split.test), PEOPLE);
    return { photographs: index, evaluator, threshold: resemblanceThreshold(index) };
  };

  it('images that were optimised for confidence only are flagged', async () => {
    const spec = modelSpec('mlp', WIDTH * HEIGHT, PEOPLE, [40]);
    const optimizer = { kind: 'adam', learningRate: 3e-3, betas: [0.9, 0.999], epsilon: 1e-8, amsgrad: false } as const;
    const data = uploadDataset(arena, faces);
    const trainer = await Trainer.create(arena, spec, data, split.train, {
      epochs: 60,
      batchSize: 8,
      optimizer,
      seed: 1,
    });
    while (trainer.epoch < trainer.epochs) await trainer.trainEpoch();
    trainer.finish();
    const victim = stackVictim(spec.layers, plainWeights(trainer.parameters));
    // Noise less the person's own features, moved just until the victim is sure: nothing of the person is left to be seen.
    const targets = Array.from({ length: 10 * PEOPLE }, (_, i) => i % PEOPLE);
    const mean = meanImage(faces, split.train);
    const starts = targets.map((person, i) => {
      const own = meanImage(
        faces,
        split.train.filter((image) => faces.labels[image] === person),
      );
      return randomValues(WIDTH * HEIGHT, i, 0.4).map((value, k) => value + 0.5 - 1.2 * (own[k] - mean[k]));
    });
    const config = miFaceOptions({ iterations: 100, step: 0.05, schedule: 'constant', keep: 'last', gamma: 0.01 });
    const space = { width: WIDTH, height: HEIGHT };
    const attack = await MiFace.build(device.gpu, victim, space, targets, config);
    const results = await attack.run(starts);
    attack.destroy();
    const truth = truthOf();
    const planted = [];
    for (const { image, target: person, confidence } of results) {
      const scores = await scoreReconstructions([{ image, person }], truth);
      if (confidence >= 0.99 && scores.liftMeanFree[0]! < 0.02) planted.push(scores.flagged[0]);
    }
    expect(planted.length).toBeGreaterThanOrEqual(20);
    expect(planted.filter((flagged) => flagged === 1).length / planted.length).toBeGreaterThanOrEqual(0.95);
  });

  it('at most 5 % of real photographs are flagged, those that set the threshold and others', async () => {
    const truth = truthOf();
    const own = liftsOfPhotographs(truth.photographs);
    expect(own.filter((lift) => lift < truth.threshold!).length / own.length).toBeLessThanOrEqual(0.05);
    const held = photographs(faces, split.test);
    const images = held.map((image, i) => ({ image, person: faces.labels[split.test[i]] }));
    const flags: (number | null)[] = [];
    for (const image of images) flags.push((await scoreReconstructions([image], truth)).flagged[0]);
    expect(flags.filter((flagged) => flagged === 1).length / flags.length).toBeLessThanOrEqual(0.05);
  });
});
