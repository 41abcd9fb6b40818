/** Times the published shallow model, 10304-1000-40: attack iterations, training steps, and forward passes. */
import { MiFace } from '../src/attacks/mi_face.ts';
import type { MiFaceConfig } from '../src/attacks/mi_face_config.ts';
import { Arena, type Matrix } from '../src/gpu/arena.ts';
import type { Gpu } from '../src/gpu/device.ts';
import { type Program, Recorder } from '../src/gpu/recorder.ts';
import { ApproximateMemory } from '../src/injection/approximate_memory.ts';
import { recordCopy } from '../src/kernels/probe.ts';
import { FlatParameters } from '../src/layers/parameters.ts';
import { plainWeights, type WeightsOf } from '../src/layers/weights.ts';
import { BLOCK_CODES } from '../src/memory/codec.ts';
import { type MemoryConfig, type MemoryConfigInput, parseMemoryConfig } from '../src/memory/config.ts';
import { flipTable } from '../src/memory/fault_sampler.ts';
import { uploadDataset } from '../src/models/device_dataset.ts';
import { initializeParameters, modelLayout } from '../src/models/model_parameters.ts';
import type { ModelSpec } from '../src/models/model_spec.ts';
import { layerNames, modelSpec } from '../src/models/specs.ts';
import { Trainer } from '../src/models/trainer.ts';
import { PUBLISHED_TRAINING } from '../src/models/training_config.ts';
import { foldedVictim, stackVictim } from '../src/models/victims.ts';
import { deepNetworks } from './deep_networks.ts';
import { drawsOfBlock } from './draws.ts';
import { oneBatch } from './inputs.ts';
import { atMost, makeRow, type Row } from './rows.ts';
import { interleave, ratios, type Timing } from './timing.ts';

const WIDTH = 92;
const HEIGHT = 112;
const CLASSES = 40;
const BITS = 12;
const SPEC = modelSpec('mlp', WIDTH * HEIGHT, CLASSES);

async function initialized(gpu: Gpu, arena: Arena): Promise<FlatParameters> {
  const parameters = new FlatParameters(arena, 'parameters', modelLayout(SPEC));
  await initializeParameters(gpu, parameters, 1);
  return parameters;
}

/** The attack that the presets start from a black image, with fewer iterations. */
export const ATTACK: MiFaceConfig = {
  kind: 'mi-face',
  start: 'zero',
  cost: 'negativeLogConfidence',
  iterations: 15,
  beta: null,
  gamma: null,
  step: 8,
  schedule: 'linear',
  momentum: 0,
  keep: 'last',
  normalise: true,
  totalVariation: 5000,
  epsilon: 0.01,
};

/** Measures an iteration of MI-Face on all classes of a folded model (its two layers multiplied), as in the experiment. */
export async function benchAttack(gpu: Gpu, timing: Timing): Promise<Row[]> {
  const { iterations } = ATTACK;
  const arena = new Arena(gpu);
  const { victim, folds } = await foldedVictim(arena, SPEC.layers, plainWeights(await initialized(gpu, arena)));
  folds[0].run();
  const space = { height: HEIGHT, width: WIDTH };
  const attack = await MiFace.build(gpu, victim, space, [...Array(CLASSES).keys()], ATTACK);
  const start = new Float32Array(WIDTH * HEIGHT);
  const { run } = await interleave(gpu, { run: { run: () => attack.run(start) } }, timing);
  attack.destroy();
  arena.destroy();
  // A run evaluates the model once more, after the last step; start and result are copied once per run.
  return [
    makeRow(
      'folded attack iteration, 40 classes',
      run.map((ms) => ms / (iterations + 1)),
      'ms',
    ),
  ];
}

/** Measures a step of the published training (batch 128, SGD with momentum), and counts its submissions to the GPU. */
export async function benchTraining(gpu: Gpu, timing: Timing): Promise<Row[]> {
  const arena = new Arena(gpu);
  const trainer = await shallowTrainer(arena);
  await trainer.trainEpoch();
  const before = gpu.submissions;
  await trainer.trainEpoch();
  const submits = gpu.submissions - before - 1;
  const { step } = await interleave(gpu, { step: { run: () => trainer.trainEpoch() } }, timing);
  trainer.finish();
  arena.destroy();
  return [
    makeRow('training step, 10304-1000-40, batch 128', step, 'ms'),
    makeRow('submissions per training step', [submits], 'submissions', atMost(1)),
  ];
}

/** A trainer of the published model. The data set is one batch, so an epoch is one step and one read-back. */
export async function shallowTrainer(arena: Arena): Promise<Trainer> {
  const { batchSize } = PUBLISHED_TRAINING;
  const dataset = await oneBatch({ width: WIDTH, height: HEIGHT }, batchSize, CLASSES);
  const indices = Uint32Array.from(dataset.labels.keys());
  const config = { ...PUBLISHED_TRAINING, epochs: 10_000, seed: 1 };
  return Trainer.create(arena, SPEC, uploadDataset(arena, dataset), indices, config);
}

const RATES = [0.001, 0.01, 0.0625] as const;
/** Targets for the time of a materialised read per bit error rate, as multiples of a copy of the decoded weights. */
const COPIES = { 0.001: 2, 0.01: 3, 0.0625: 5 } as const;

const BATCH = 128;
const PEOPLE = 30;

/** Targets for the time of a defended forward pass at a BER of 0.01, as a multiple of the exact one, by granularity. */
const MOST = { load: atMost(1.03), pass: atMost(1.2) } as const;

/** All layers of a model stored in 12-bit codes that fail uniformly. */
function uniformly(spec: ModelSpec, bitErrorRate: number, rest: Partial<MemoryConfigInput>): MemoryConfig {
  const names = layerNames(spec);
  const layers = names.map((name) => [name, { kind: 'stored', faults: [{ kind: 'uniform', bitErrorRate }] }]);
  return parseMemoryConfig({ ...rest, layers: Object.fromEntries(layers) }, names);
}

/**
 * Measures forward passes with exact weights, and with weights read from approximate memory at the granularities `load`,
 * `pass` and `inference` and by both paths.
 */
export async function benchMemory(gpu: Gpu, timing: Timing): Promise<Row[]> {
  return [...(await benchShallowMemory(gpu, timing)), ...(await benchDeepMemory(gpu, timing))];
}

/** Measures the victim of the `tiny` preset, with weights materialised once per load and once per pass. */
async function benchDeepMemory(gpu: Gpu, timing: Timing): Promise<Row[]> {
  const spec = deepNetworks('tiny', PEOPLE).victim.spec;
  const arena = new Arena(gpu);
  const parameters = new FlatParameters(arena, 'parameters', modelLayout(spec));
  await initializeParameters(gpu, parameters, 1);
  const memory = await ApproximateMemory.store(arena, parameters);
  const x = images(gpu, arena, BATCH, spec);
  const forward = (weights: WeightsOf, from?: ApproximateMemory): Promise<Program> => {
    const recorder = new Recorder(gpu);
    stackVictim(spec.layers, weights, from).plan(arena, x).recordForward(recorder);
    return recorder.build('forward');
  };
  const exact = await forward(plainWeights(parameters));
  const defended = async (granularity: 'load' | 'pass') => {
    const prepare = async () => {
      await memory.configure(uniformly(spec, 0.01, { granularity }));
      await memory.load(0);
      await gpu.idle();
    };
    await prepare();
    const program = await forward(memory.weightsOf, memory);
    return { prepare, run: () => program.run() };
  };
  const cases = { exact: { run: () => exact.run() }, load: await defended('load'), pass: await defended('pass') };
  const times = await interleave(gpu, cases, timing);
  arena.destroy();
  return [
    makeRow(`forward pass of ${BATCH} images, tiny victim, exact`, times.exact, 'ms'),
    makeRow(
      'tiny victim, granularity load, relative to exact weights',
      ratios(times.load, times.exact),
      'times',
      MOST.load,
    ),
    makeRow(
      'tiny victim, pass at BER 0.01, relative to exact weights',
      ratios(times.pass, times.exact),
      'times',
      MOST.pass,
    ),
  ];
}

function images(gpu: Gpu, arena: Arena, count: number, { inputs }: ModelSpec): Matrix {
  const x = arena.matrix('images', count, inputs);
  gpu.write(
    x,
    Float32Array.from({ length: x.rows * x.stride }, (_, i) => ((i * 37) % 101) / 101),
  );
  return x;
}

async function benchShallowMemory(gpu: Gpu, timing: Timing): Promise<Row[]> {
  const arena = new Arena(gpu);
  const parameters = await initialized(gpu, arena);
  const memory = await ApproximateMemory.store(arena, parameters);
  const x = images(gpu, arena, BATCH, SPEC);
  let draw = 0;
  const load = (config: MemoryConfig) => async () => {
    await memory.configure(config);
    await memory.load(draw++);
    await gpu.idle();
  };
  const forward = (weights: WeightsOf, from?: ApproximateMemory, images = x): Promise<Program> => {
    const recorder = new Recorder(gpu);
    stackVictim(SPEC.layers, weights, from).plan(arena, images).recordForward(recorder);
    return recorder.build('forward');
  };
  const exact = await forward(plainWeights(parameters));
  const loaded = load(uniformly(SPEC, 0.01, { granularity: 'load' }));
  await loaded();
  const plain = await forward(memory.weightsOf, memory);
  const perPass = Object.fromEntries(
    RATES.map((rate) => [rate, load(uniformly(SPEC, rate, { granularity: 'pass' }))]),
  ) as Record<(typeof RATES)[number], () => Promise<void>>;
  const materialised = {} as Record<(typeof RATES)[number], Program>;
  const materialise = { ...materialised };
  for (const rate of RATES) {
    await perPass[rate]();
    materialised[rate] = await forward(memory.weightsOf, memory);
    const recorder = new Recorder(gpu);
    memory.recordPass(recorder, 0);
    materialise[rate] = await recorder.build('materialise');
  }
  const fusedLoad = load(uniformly(SPEC, 0.01, { granularity: 'pass', path: 'fused' }));
  await fusedLoad();
  const fused = await forward(memory.weightsOf, memory);
  const few = images(gpu, arena, 32, SPEC);
  const exact32 = await forward(plainWeights(parameters), undefined, few);
  const perImage = Object.fromEntries(
    RATES.map((rate) => [rate, load(uniformly(SPEC, rate, { granularity: 'inference' }))]),
  ) as typeof perPass;
  await perImage[0.01]();
  const inference = await forward(memory.weightsOf, memory, few);
  const names = layerNames(SPEC);
  const bytes = async (program: Program, layers: MemoryConfigInput['layers']) => {
    await memory.configure(parseMemoryConfig({ layers }, names));
    return program.weightReads.reduce((sum, { layer, times }) => sum + memory.bytesOf(layer) * times, 0);
  };
  const int8 = { kind: 'stored', format: { kind: 'int8' } } as const;
  const float32 = await bytes(exact, {});
  const fixed12 = await bytes(plain, { '*': { kind: 'stored' } });
  const packed = await bytes(plain, { '*': int8 });
  const copier = new Recorder(gpu);
  const copied = arena.allocate('copy', parameters.view.size);
  recordCopy(copier, { bytes: parameters.view.size, input: parameters.view, output: copied });
  const copy = await copier.build('copy');

  const times = await interleave(
    gpu,
    {
      exact: { run: () => exact.run() },
      load: { prepare: loaded, run: () => plain.run() },
      'pass 0.001': { prepare: perPass[0.001], run: () => materialised[0.001].run() },
      'pass 0.01': { prepare: perPass[0.01], run: () => materialised[0.01].run() },
      'pass 0.0625': { prepare: perPass[0.0625], run: () => materialised[0.0625].run() },
      fused: { prepare: fusedLoad, run: () => fused.run() },
      'exact 32': { run: () => exact32.run() },
      'inference 0.001': { prepare: perImage[0.001], run: () => inference.run() },
      'inference 0.01': { prepare: perImage[0.01], run: () => inference.run() },
      'inference 0.0625': { prepare: perImage[0.0625], run: () => inference.run() },
      copy: { run: () => copy.run() },
      'materialise 0.001': { prepare: perPass[0.001], run: () => materialise[0.001].run() },
      'materialise 0.01': { prepare: perPass[0.01], run: () => materialise[0.01].run() },
      'materialise 0.0625': { prepare: perPass[0.0625], run: () => materialise[0.0625].run() },
    },
    timing,
  );
  arena.destroy();
  const defended = (name: keyof typeof times) => ratios(times[name], times.exact);
  return [
    makeRow(`forward pass of ${BATCH} images, exact`, times.exact, 'ms'),
    makeRow('granularity load, relative to exact weights', defended('load'), 'times', MOST.load),
    makeRow('pass at BER 0.001, relative to exact weights', defended('pass 0.001'), 'times'),
    makeRow('pass at BER 0.01, relative to exact weights', defended('pass 0.01'), 'times', MOST.pass),
    makeRow('pass at BER 0.0625, relative to exact weights', defended('pass 0.0625'), 'times'),
    makeRow('pass at BER 0.01 fused, relative to exact weights', defended('fused'), 'times'),
    makeRow('forward pass of 32 images, exact', times['exact 32'], 'ms'),
    ...RATES.map((rate) =>
      makeRow(
        `inference at BER ${rate}, relative to exact weights`,
        ratios(times[`inference ${rate}`], times['exact 32']),
        'times',
        rate === 0.001 ? atMost(2) : undefined,
      ),
    ),
    makeRow('weight bytes read, 12-bit codes, times float32', [fixed12 / float32], 'times', atMost(0.5)),
    makeRow('weight bytes read, int8, times float32', [packed / float32], 'times', atMost(0.25)),
    makeRow('copy of the decoded weights', times.copy, 'ms'),
    ...RATES.map((rate) =>
      makeRow(
        `materialise at BER ${rate}, relative to a copy`,
        ratios(times[`materialise ${rate}`], times.copy),
        'times',
        atMost(COPIES[rate]),
      ),
    ),
    ...RATES.map((rate) => makeRow(`hash draws per weight at BER ${rate}`, [drawsPerWeight(rate)], 'draws')),
  ];
}

/** Hashes per weight for drawing faults, counted on the CPU over 2^15 different blocks. */
function drawsPerWeight(rate: number): number {
  const table = flipTable(BLOCK_CODES * BITS, rate);
  const blocks = 2 ** 15;
  let draws = 0;
  for (let block = 0; block < blocks; block++) draws += drawsOfBlock([1, 2], block, BITS, table);
  return draws / (blocks * BLOCK_CODES);
}
