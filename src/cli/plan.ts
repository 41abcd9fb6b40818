/** `midas plan`: the memory and time that an experiment needs on this adapter, without running it. */

import { ConfigError } from '../errors.ts';
import type { ExperimentConfig } from '../experiments/config.ts';
import {
  DEFAULT_LIMITS,
  type PlannedData,
  type PlannedTraining,
  planExperiment,
  type TrainingTime,
  trainingTime,
} from '../experiments/plan.ts';
import { Arena } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import { Recorder } from '../gpu/recorder.ts';
import { channelsOf } from '../image_size.ts';
import { recordGemm } from '../kernels/gemm.ts';
import { modelName } from '../models/specs.ts';
import { formatDuration } from '../results/results.ts';
import { median, repeatsFor, timeRuns } from './doctor.ts';
import { openCommandGpu } from './open_gpu.ts';
import type { Pretrained } from './pretrained.ts';
import type { Session } from './session.ts';

export interface PlanArguments {
  /** The victim's people; by default those of the configuration's faces. */
  readonly people?: number;
  /** Images of the training sets; by default as many as the configuration's faces have. */
  readonly images?: number;
  readonly publicImages?: number;
  /** True if the published data sets are meant, in place of the configuration's faces. */
  readonly published?: boolean;
  /** Networks that are given and not trained, by their file names. */
  readonly pretrained?: Pretrained;
}

/**
 * People of FaceScrub, training images per person (its published test split of 20 % has 4335 images, so 4 * 4335 train), and
 * images of CelebA.
 */
const PUBLISHED = { people: 530, trained: (4 * 4335) / 530, publicImages: 202_599 };

/** The object that --json prints for a network that is trained. */
type TrainedAnswer = Omit<PlannedTraining, 'buffers' | 'spec'> & TrainingTime & { readonly model: string };

/** The object that --json prints for a network that is given. */
type GivenAnswer = Pick<
  TrainedAnswer,
  'name' | 'model' | 'parameters' | 'parameterBytes' | 'largestTensor' | 'inferenceFlops'
> & {
  readonly given: true;
};

/** Numbers of people and images in a configuration; for files they are unknown before the files are read. */
function usualFaces({ data }: ExperimentConfig) {
  if (data.kind === 'files') {
    const { size = 64, channels = 'gray' } = data;
    const images = typeof size === 'number' ? { width: size, height: size } : size;
    return { people: data.people ?? 40, trained: 14, publicImages: 1200, ...images, channels: channelsOf(channels) };
  }
  const { people, photographs, trained, width, height, public: others } = data;
  const each = trained < 1 ? Math.round(trained * photographs) : trained;
  return {
    people,
    trained: each,
    publicImages: others.people * others.photographs,
    width,
    height,
    channels: 1 as const,
  };
}

/**
 * Prints the plan of an experiment on the adapter that the session's options name, after timing a GEMM on it.
 * @throws LimitError if a buffer does not fit the adapter, ConfigError, AdapterError, DeviceLostError
 */
export async function planCommand(session: Session, config: ExperimentConfig, args: PlanArguments): Promise<void> {
  const drawn = usualFaces(config);
  const usual = args.published ? PUBLISHED : drawn;
  const people = args.people ?? usual.people;
  const images = {
    victim: args.images ?? Math.round(usual.trained * people),
    inversion: args.publicImages ?? usual.publicImages,
  };
  if (people < 2) throw new ConfigError(`--people ${people}: a classifier needs at least 2`);
  for (const [option, count] of [
    ['--images', images.victim],
    ['--public-images', images.inversion],
  ] as const) {
    if (count < 1) throw new ConfigError(`${option} ${count}: there is nothing to train on; give at least 1`);
  }
  const gpu = await openCommandGpu(session);
  try {
    const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
    const limits = { maxStorageBufferBindingSize, maxBufferSize };
    const { width, height, channels } = drawn;
    const size = { width, height, channels };
    const data: PlannedData = { classes: people, ...size, trained: images.victim, publicFaces: images.inversion };
    const plan = planExperiment(config, data, limits);
    const gemm512Gflops = await measureGemm(gpu);
    const networks = plan.map((network): TrainedAnswer | GivenAnswer => {
      const { buffers: _, spec, ...planned } = network;
      const model = modelName(spec);
      if (!args.pretrained?.has(`${network.name}.safetensors`)) {
        return { model, ...planned, ...trainingTime(network, gemm512Gflops) };
      }
      const { name, parameters, parameterBytes, largestTensor, inferenceFlops } = planned;
      return { name, model, given: true, parameters, parameterBytes, largestTensor, inferenceFlops };
    });
    const { adapter } = gpu;
    const trained = networks.filter((network): network is TrainedAnswer => !('given' in network));
    const seconds = trained.reduce((sum, network) => sum + network.seconds, 0);
    const byName = Object.fromEntries(networks.map((network) => [network.name, network]));
    session.answer({ people, adapter, limits, gemm512Gflops, ...byName, seconds }, [
      `${adapter.name}${adapter.software ? ' (software: it runs on the CPU)' : ''}, ${round(gemm512Gflops)} GFLOP/s in a GEMM`,
      `limits: ${mib(maxStorageBufferBindingSize)} per storage binding, ${mib(maxBufferSize)} per buffer`,
      '',
      ...networks.flatMap((network) => [...networkLines(network), '']),
      trained.length === 0
        ? 'no network is trained'
        : `training of ${trained.length} ${trained.length === 1 ? 'network' : 'networks'}: about ${formatDuration(seconds)} (an estimate from the GEMM rate, good to a factor of two)`,
    ]);
  } finally {
    await gpu.close();
  }
}

function networkLines(network: TrainedAnswer | GivenAnswer): string[] {
  const name = network.name === 'inversion' ? 'inversion network' : network.name;
  const known: [string, string][] = [
    [name, network.model],
    ['parameters', String(network.parameters)],
    [
      'flat buffer',
      `${mib(network.parameterBytes)}, largest tensor ${network.largestTensor.label} ${mib(network.largestTensor.bytes)}`,
    ],
  ];
  const aligned = (rows: [string, string][]) => rows.map(([label, value]) => `${label.padEnd(17)} ${value}`);
  if ('given' in network) {
    const operations = `${flop(network.inferenceFlops)} per inference; it is trained already`;
    return aligned([...known, ['operations', operations]]);
  }
  const { beyondDefaults, batchSize, images, epochs, stepsPerEpoch } = network;
  const rows: [string, string][] = [
    ...known,
    ['gradients', mib(network.gradientBytes)],
    ['optimiser', mib(network.optimizerBytes)],
    ['activations', `${mib(network.activationBytes)} with their gradients and scratch, batch of ${batchSize}`],
    ['data set', `${mib(network.dataBytes)}, ${images} images`],
    ['device memory', `${mib(network.trainingBytes + network.dataBytes)} while it is trained`],
    ['operations', `${flop(network.stepFlops)} per training step, ${flop(network.inferenceFlops)} per inference`],
    [
      'time',
      `${time(network.epochSeconds)} per epoch of ${stepsPerEpoch} steps, ${time(network.seconds)} for ${epochs} epochs`,
    ],
  ];
  const { maxStorageBufferBindingSize, maxBufferSize } = DEFAULT_LIMITS;
  const [bindings, buffers] = [beyondDefaults, beyondDefaults.filter(({ bytes }) => bytes > maxBufferSize)];
  for (const [label, large, limit] of [
    ['large bindings', bindings, maxStorageBufferBindingSize],
    ['large buffers', buffers, maxBufferSize],
  ] as const) {
    if (large.length === 0) continue;
    const list = [...new Set(large.map((buffer) => `${buffer.label} ${mib(buffer.bytes)}`))].join(', ');
    rows.push([label, `more than WebGPU's default of ${mib(limit)}, requested: ${list}`]);
  }
  return aligned(rows);
}

/** GFLOP/s of C = A Bᵀ, 512 x 512 x 512, as doctor measures it: the median of three rounds. Takes a second or two. */
async function measureGemm(gpu: Gpu): Promise<number> {
  const arena = new Arena(gpu);
  try {
    const size = 512;
    const matrix = (label: string) => arena.matrix(label, size, size);
    const recorder = new Recorder(gpu);
    const product = { transposition: 'nt', a: matrix('a'), b: matrix('b'), c: matrix('c') } as const;
    recordGemm(recorder, arena, { label: 'gemm 512', ...product });
    const program = await recorder.build('gemm 512');
    const run = () => program.run();
    const repeats = await repeatsFor(gpu, run, 50);
    const times: number[] = [];
    for (let round = 0; round < 3; round++) times.push(await timeRuns(gpu, run, repeats));
    return (2 * size ** 3) / (median(times) * 1e6);
  } finally {
    arena.destroy();
  }
}

const round = (value: number) => String(Number(value.toPrecision(3)));
const mib = (bytes: number) => `${bytes >= 100 * 2 ** 20 ? Math.round(bytes / 2 ** 20) : round(bytes / 2 ** 20)} MiB`;
const flop = (count: number) => (count >= 1e9 ? `${round(count / 1e9)} GFLOP` : `${round(count / 1e6)} MFLOP`);
const time = (seconds: number) => (seconds < 10 ? `${round(seconds)} s` : formatDuration(seconds));
