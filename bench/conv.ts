/** Times convolutions in all directions, and the multiply-add ceiling in the same rounds. */
import { buildProbes } from '../src/cli/doctor.ts';
import type { PresetSize } from '../src/experiments/presets.ts';
import { Arena } from '../src/gpu/arena.ts';
import type { Gpu } from '../src/gpu/device.ts';
import type { Program, Recorder } from '../src/gpu/recorder.ts';
import { recordConv2d, recordConv2dInputGradient, recordConv2dWeightGradient } from '../src/kernels/conv.ts';
import { type ConvShape, convOutputSize, convWeightColumns } from '../src/kernels/conv_shape.ts';
import { outputShape } from '../src/layers/kinds.ts';
import { type Cost, CostRecorder, intensityOf } from './cost.ts';
import { deepNetworks } from './deep_networks.ts';
import { buildNaiveDepthwise } from './depthwise.ts';
import { filled } from './inputs.ts';
import { atLeast, makeRow, type Row } from './rows.ts';
import { type Case, interleave, ratios, type Timing } from './timing.ts';

type Direction = 'forward' | 'input gradient' | 'weight gradient';

interface Layer {
  readonly name: string;
  /** For a transposed convolution, the convolution whose input gradient is its forward pass. */
  readonly shape: ConvShape;
  readonly transposed: boolean;
  /** True if the roofline shows it. */
  readonly drawn: boolean;
  /** Target of every direction in per cent of the ceiling; none for depthwise convolutions, which memory limits. */
  readonly target?: number;
}

const same = { kernelSize: 3, stride: 1, padding: 1, batch: 16 } as const;
const doubling = { kernelSize: 4, stride: 2, padding: 1, batch: 16 } as const;

/** Target of every convolution, in per cent of the ceiling. */
const SHARE = 45;

const LARGE: readonly Layer[] = [
  { name: 'conv 3x3 32x32x32->64', shape: { ...same, height: 32, width: 32, inChannels: 32, outChannels: 64 } },
  { name: 'conv 3x3 16x16x64->128', shape: { ...same, height: 16, width: 16, inChannels: 64, outChannels: 128 } },
  {
    name: 'transposed conv 4x4 s2 8x8x64->16x16x32',
    shape: { ...doubling, height: 16, width: 16, inChannels: 32, outChannels: 64 },
  },
].map((layer) => ({ ...layer, transposed: layer.shape.stride === 2, drawn: true, target: SHARE }));

const DEPTHWISE: readonly Layer[] = [1, 2].map((stride) => {
  const shape = { ...same, stride, height: 32, width: 32, inChannels: 64, outChannels: 64, groups: 64 };
  return { name: `depthwise conv 3x3 s${stride} 32x32x64`, shape, transposed: false, drawn: false };
});

const PEOPLE = 30;

/** The convolutions of a preset's victim and of its inversion network, at the preset's batch. */
function layersOf(preset: PresetSize<'deep'>): Layer[] {
  const { victim, inversion } = deepNetworks(preset, PEOPLE);
  return [victim, inversion].flatMap(({ spec: network, training }) =>
    network.layers.flatMap((spec) => {
      if (spec.kind !== 'conv2d' && spec.kind !== 'conv_transpose2d') return [];
      const { kernelSize, stride, padding } = spec;
      const transposed = spec.kind === 'conv_transpose2d';
      const [from, to] = [spec.input, outputShape(spec)];
      const [large, small] = transposed ? [to, from] : [from, to];
      const { batchSize: batch } = training;
      const { height, width, channels: inChannels } = large;
      const shape = { batch, height, width, inChannels, outChannels: small.channels, kernelSize, stride, padding };
      const name = `${preset} ${spec.name} ${from.height}x${from.width}x${from.channels}->${to.channels}`;
      return [{ name, shape, transposed, drawn: false, target: SHARE }];
    }),
  );
}

/** Measures every convolution in per cent of the ceiling, and depthwise ones against a naive kernel too. Multiplications with padding count as operations. */
export async function benchConv(gpu: Gpu, timing: Timing): Promise<Row[]> {
  const rows: Row[] = [];
  const layers = [...LARGE, ...DEPTHWISE, ...layersOf('tiny'), ...layersOf('small')];
  for (const { name, shape, transposed, drawn, target } of layers) {
    const arena = new Arena(gpu);
    const { fma } = await buildProbes(gpu, arena);
    const { programs, naive } = await buildConv(gpu, arena, shape, transposed);
    const cases: Record<string, Case> = { fma: { run: () => fma.program.run() } };
    for (const [direction, { program }] of Object.entries(programs)) cases[direction] = { run: () => program.run() };
    if (naive) cases.naive = { run: () => naive.run() };
    const times = await interleave(gpu, cases, timing);
    const ceiling = times.fma.map((ms) => fma.work / ms / 1e6);
    for (const [direction, { cost }] of Object.entries(programs)) {
      const rates = times[direction].map((ms) => cost.flops / ms / 1e6);
      const share = ratios(rates, ceiling).map((ratio) => 100 * ratio);
      const kernel = `${name} ${direction}`;
      const roofline = drawn ? ({ kernel, kind: 'convolution', intensity: intensityOf(cost) } as const) : undefined;
      rows.push(
        makeRow(`${kernel}, % of FMA ceiling`, share, '%', target === undefined ? undefined : atLeast(target), {
          roofline,
        }),
      );
    }
    if (naive) {
      const gain = ratios(times.naive, times.forward);
      rows.push(makeRow(`${name} forward, relative to one pixel per invocation`, gain, 'times as fast'));
    }
    arena.destroy();
  }
  return rows;
}

interface Built {
  readonly program: Program;
  readonly cost: Cost;
}

async function buildConv(
  gpu: Gpu,
  arena: Arena,
  shape: ConvShape,
  transposed: boolean,
): Promise<{ programs: Record<Direction, Built>; naive?: Program }> {
  const { batch, height, width, inChannels, outChannels } = shape;
  const small = convOutputSize(shape);
  const x = filled(gpu, arena.image('x', batch, height, width, inChannels));
  const y = arena.image('y', batch, small.height, small.width, outChannels);
  const dy = filled(gpu, arena.image('dy', batch, small.height, small.width, outChannels));
  const dx = arena.image('dx', batch, height, width, inChannels);
  const weight = filled(gpu, arena.matrix('w', outChannels, convWeightColumns(shape)));
  const dw = arena.matrix('dw', outChannels, convWeightColumns(shape));
  const weights = { kind: 'plain', weight } as const;
  const build = async (label: Direction, record: (recorder: Recorder) => void): Promise<Built> => {
    const recorder = new CostRecorder(gpu);
    record(recorder);
    return { program: await recorder.build(label), cost: recorder.cost() };
  };
  const [towardsSmall, towardsLarge] = transposed
    ? (['input gradient', 'forward'] as const)
    : (['forward', 'input gradient'] as const);
  const built = {
    [towardsSmall]: await build(towardsSmall, (recorder) =>
      recordConv2d(recorder, { label: towardsSmall, shape, x, weights, y, pass: 'forward' }),
    ),
    [towardsLarge]: await build(towardsLarge, (recorder) =>
      recordConv2dInputGradient(recorder, { label: towardsLarge, shape, dy, weights, dx, pass: 'backward' }),
    ),
    'weight gradient': await build('weight gradient', (recorder) =>
      recordConv2dWeightGradient(recorder, arena, { label: 'weight gradient', shape, x, dy, dw }),
    ),
  };
  const naive = shape.groups === undefined ? undefined : await buildNaiveDepthwise(gpu, shape, { x, weight, y });
  return { programs: built as Record<Direction, Built>, naive };
}
