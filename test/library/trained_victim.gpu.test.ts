import { beforeAll, describe, expect, it } from 'vitest';
import { createDataset, type ImageDataset, seededSplit, toFloat } from '../../src/data/dataset.ts';
import { ConfigError, DataError } from '../../src/errors.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { experimentData } from '../../src/library/data.ts';
import { type RunInput, run } from '../../src/library/experiments.ts';
import {
  Evaluator,
  importNetwork,
  loadParameters,
  plainWeights,
  stackVictim,
  uploadDataset,
  writeCheckpoint,
} from '../../src/library/models.ts';
import { modelLayout } from '../../src/models/model_parameters.ts';
import { yangInversion } from '../../src/models/yang.ts';
import { useGpu } from '../support/gpu.ts';
import { floats, node, onnxFile } from '../support/onnx.ts';
import { TOY, toyDataset } from '../support/toy.ts';

const device = useGpu();

/** Scale of the logits: the network is confident of its answers. */
const SCALE = 4;

let dataset: ImageDataset;
let onnx: Uint8Array;
beforeAll(async () => {
  dataset = await toyDataset(6, 100);
  // The class whose mean image is nearest, |x - w|^2 without the part that all classes share. Classes are named in reverse.
  const means = dataset.classNames.map((_, label) => {
    const members = [...dataset.labels.keys()].filter((image) => dataset.labels[image] === label);
    const images = members.map((image) => toFloat(dataset, [image]));
    return Array.from({ length: TOY.pixels }, (_, i) => images.reduce((sum, x) => sum + x[i], 0) / images.length);
  });
  means.reverse();
  const weight = means.flatMap((mean) => mean.map((value) => SCALE * value));
  const bias = means.map((mean) => (-SCALE / 2) * mean.reduce((sum, value) => sum + value ** 2, 0));
  onnx = onnxFile({
    nodes: [node('Flatten', ['image'], 'flat'), node('Gemm', ['flat', 'fc.weight', 'fc.bias'], 'y', { transB: 1 })],
    initializers: { 'fc.weight': floats([TOY.classes, TOY.pixels], weight), 'fc.bias': floats([TOY.classes], bias) },
    inputs: { image: ['batch', 1, TOY.height, TOY.width] },
    metadata: { classNames: JSON.stringify([...dataset.classNames].reverse()) },
  });
});

describe('a trained network as the victim of a program', () => {
  const input: RunInput = {
    attacks: [{ kind: 'mi-face', iterations: 5 }],
    sweeps: [{ layers: 'all', rates: [1 / 4] }],
    draws: 1,
    noise: { kinds: [] },
    evaluator: 'linear',
  };
  const measured = async (victim: RunInput['victim'], of = dataset) => {
    const faces = experimentData(of, seededSplit(of, 4, 1));
    return run(device.gpu, { ...input, victim }, { faces });
  };

  it('is measured and attacked with its own weights, and its names order the classes', async () => {
    const network = importNetwork(onnx, 'nearest.onnx');
    const { rows, config } = await measured(network);
    expect(config.victim).toMatchObject({ kind: 'network', network: { name: 'nearest' } });
    const accuracies = new Map(rows.map(({ condition, accuracy }) => [condition.kind, accuracy]));
    expect(accuracies.get('none')).toBe(1);
    expect(accuracies.get('bit-error')!).toBeLessThan(1);
    expect(rows[0].pcc).toBeGreaterThan(0.5);
    const checkpoint = writeCheckpoint({ ...network, state: { ...network, epoch: 0, optimizer: [] }, metadata: {} });
    const again = await measured(importNetwork(checkpoint, 'nearest.safetensors'));
    expect(again.rows.map(({ pcc }) => pcc)).toEqual(rows.map(({ pcc }) => pcc));
  });

  it('answers without an experiment', async () => {
    const network = importNetwork(onnx, 'nearest.onnx');
    const arena = new Arena(device.gpu);
    const victim = stackVictim(network.spec.layers, plainWeights(loadParameters(arena, network)));
    const reversed = await createDataset({
      ...dataset,
      classNames: [...dataset.classNames].reverse(),
      labels: dataset.labels.map((label) => TOY.classes - 1 - label),
    });
    const all = Uint32Array.from(dataset.labels.keys());
    const evaluator = await Evaluator.build(device.gpu, victim, uploadDataset(arena, reversed), all);
    const [{ accuracy }] = await evaluator.run();
    expect(accuracy).toBe(1);
    evaluator.destroy();
    arena.destroy();
  });

  it('is refused for classes of other names, and if it is no classifier', async () => {
    const other = await createDataset({ ...dataset, classNames: [...dataset.classNames.slice(1), 'nobody'] });
    await expect(measured(importNetwork(onnx, 'n.onnx'), other)).rejects.toThrow(DataError);
    await expect(measured(importNetwork(onnx, 'n.onnx'), other)).rejects.toThrow(
      'victim: nobody of toy is not among the 5 class names',
    );
    const spec = yangInversion({ kind: 'yang-inversion', size: 32, ngf: 1, classes: TOY.classes });
    const parameters = new Uint32Array(modelLayout(spec).length);
    await expect(measured({ spec, parameters })).rejects.toThrow(ConfigError);
  });
});
