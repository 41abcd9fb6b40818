/** Invented results that resemble the published ones, and oval "faces", for tests and for previews of figures. */

import { type MemoryConfigInput, parseMemoryConfig } from '../../src/memory/config.ts';
import {
  type Condition,
  type MemoryCondition,
  RESULTS_SCHEMA,
  type Results,
  type Row,
  summarise,
} from '../../src/results/results.ts';

/** A condition of kind memory with the given label; without `layers` its configuration stores no layer. */
export function fakeMemory(label: string, layers: MemoryConfigInput['layers'] = {}, rates = {}): MemoryCondition {
  const memory = parseMemoryConfig({ layers, granularity: 'chip' }, Object.keys(layers));
  return { kind: 'memory', label, setting: label, granularity: 'chip', rates, layers: 'both', memory };
}

/** A small generator of uniform numbers in 0..1 (mulberry32). */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The metrics that files of the first version do not have, and the rest of a row without them. */
export const EARLY_ROW = {
  ...{ pccMeanFree: null, liftMeanFree: null, rank1: null, rank5: null, auc: null },
  ...{ pccOther: null, liftOther: null, pccMeanFreeOther: null, liftMeanFreeOther: null },
  ...{ top1: null, top5: null, featureDistance: null, flagged: null },
  unmeasured: 0,
};

/** A row around given means, with spread over identities and draws. */
export function fakeRow(
  condition: Condition,
  draw: number,
  mean: { accuracy: number; pcc: number; lift: number },
  identities = 12,
  attack = 'inversion',
): Row {
  const random = uniform(draw * 7919 + Math.round(mean.accuracy * 1e6) + Math.round(mean.pcc * 1e5));
  const spread = (center: number, width: number) =>
    Array.from({ length: identities }, () => center + (random() + random() - 1) * width);
  const shift = condition.kind === 'none' ? 0 : (random() - 0.5) * 0.02;
  const pcc = spread(mean.pcc + shift, 0.12);
  const pccLift = spread(mean.lift + shift / 3, 0.08);
  const identity = pccLift.map((lift) => (random() < 0.2 + 3 * lift ? 1 : 0));
  const average = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    condition,
    draw,
    accuracy: Math.min(Math.max(mean.accuracy + shift / 2, 0), 1),
    attack,
    pcc: average(pcc),
    pccLift: average(pccLift),
    mse: 0.009 + (1 - mean.pcc) * 0.05,
    psnr: 20 - (1 - mean.pcc) * 8,
    ssim: mean.pcc * 0.8,
    identity: average(identity),
    ...EARLY_ROW,
    liftMeanFree: average(pccLift) * 2,
    rank1: average(identity),
    n: identities,
    perIdentity: { pcc, pccLift, identity, liftMeanFree: pccLift.map((value) => 2 * value), rank1: identity },
  };
}

/** [bit error rate or noise scale, accuracy, PCC]: means of the published deep sweep, shortened. */
const BIT_ERRORS = [
  [0.003906, 0.845283, 0.848531],
  [0.007812, 0.833333, 0.804593],
  [0.015625, 0.81098, 0.700617],
  [0.026042, 0.783599, 0.549211],
  [0.03125, 0.776655, 0.467411],
  [0.0625, 0.723691, 0.307954],
];
const GAUSSIAN = [
  [0.006, 0.852526, 0.868052],
  [0.012, 0.834325, 0.815387],
  [0.016, 0.812595, 0.757833],
  [0.02, 0.77797, 0.701948],
  [0.023, 0.740992, 0.625505],
  [0.025, 0.710496, 0.595343],
];
const LAPLACIAN = [
  [0.004, 0.852918, 0.870928],
  [0.008, 0.837739, 0.8243],
  [0.012, 0.805905, 0.73547],
  [0.014, 0.779008, 0.703481],
  [0.017, 0.724268, 0.619009],
];
const PER_LAYER: Record<string, number[][]> = {
  conv2: [
    [0.000977, 0.8553, 0.885],
    [0.003906, 0.8494, 0.8812],
    [0.015625, 0.8306, 0.8757],
    [0.03125, 0.7695, 0.8498],
    [0.0625, 0.5743, 0.8102],
  ],
  conv3: [
    [0.000977, 0.8558, 0.8847],
    [0.003906, 0.8496, 0.8811],
    [0.015625, 0.8079, 0.8592],
    [0.03125, 0.7154, 0.8273],
    [0.0625, 0.514, 0.7681],
  ],
  conv4: [
    [0.000977, 0.8571, 0.8845],
    [0.003906, 0.8545, 0.8823],
    [0.015625, 0.8384, 0.8723],
    [0.03125, 0.824, 0.8606],
    [0.0625, 0.7957, 0.8311],
  ],
  fc1: [
    [0.000977, 0.8582, 0.8841],
    [0.003906, 0.8564, 0.8799],
    [0.015625, 0.8492, 0.8547],
    [0.03125, 0.8455, 0.7764],
    [0.0625, 0.8402, 0.5927],
  ],
  fc2: [
    [0.000977, 0.8545, 0.8772],
    [0.003906, 0.8483, 0.8557],
    [0.015625, 0.8284, 0.7844],
    [0.03125, 0.8045, 0.713],
    [0.0625, 0.7821, 0.5905],
  ],
};

function lift(pcc: number): number {
  return 0.21 * Math.sqrt(Math.max(pcc, 0) / 0.885);
}

export interface FakeOptions {
  draws?: number;
  identities?: number;
  perLayer?: boolean;
  /** A grid of two rates instead of the sweep of one. */
  grid?: number[];
  attacks?: string[];
}

export function fakeResults(options: FakeOptions = {}): Results {
  const { draws = 3, identities = 12, perLayer = false, grid, attacks = ['inversion'] } = options;
  const rows: Row[] = [];
  const granularity = 'load';
  const bits = { kind: 'bit-error', format: 'fixed12', granularity } as const;
  const add = (condition: Condition, accuracy: number, pcc: number, count = draws) => {
    for (const [a, attack] of attacks.entries()) {
      for (let draw = 0; draw < count; draw++) {
        const mean = { accuracy, pcc: pcc - a * 0.15, lift: lift(pcc) * (1 - a * 0.4) };
        rows.push(fakeRow(condition, draw, mean, identities, attack));
      }
    }
  };
  add({ kind: 'none', rates: {}, layers: 'none' }, 0.8595, 0.88522, 1);
  add({ kind: 'quantised', format: 'fixed12', granularity, rates: {}, layers: 'both' }, 0.857, 0.881, 1);
  if (grid) {
    for (const fc1 of grid) {
      for (const fc2 of grid) {
        if (fc1 + fc2 === 0) continue;
        const pcc = 0.88 - 0.29 * (fc1 / 0.0625) ** 1.3 - 0.3 * (fc2 / 0.0625) ** 0.8;
        const accuracy = 0.857 - 0.02 * (fc1 / 0.0625) - 0.09 * (fc2 / 0.0625) ** 0.9;
        add({ ...bits, rates: { fc1, fc2 }, layers: 'both' }, accuracy, pcc);
      }
    }
  } else {
    const both = (of: (rates: Record<string, number>, layers: string) => Condition, table: number[][]) => {
      for (const [rate, accuracy, pcc] of table) add(of({ fc1: rate, fc2: rate }, 'fc1 + fc2'), accuracy, pcc);
    };
    both((rates, layers) => ({ ...bits, rates, layers }), BIT_ERRORS);
    both((rates, layers) => ({ kind: 'gaussian', rates, granularity, layers }), GAUSSIAN);
    both((rates, layers) => ({ kind: 'laplacian', rates, granularity, layers }), LAPLACIAN);
    for (const [layer, table] of perLayer ? Object.entries(PER_LAYER) : []) {
      for (const [rate, accuracy, pcc] of table) {
        add({ ...bits, rates: { [layer]: rate }, layers: layer }, accuracy, pcc);
      }
    }
  }
  return {
    schema: RESULTS_SCHEMA,
    manifest: {
      version: '0.1.0',
      command: 'midas deep --preset tiny --seed 1 --adapter software',
      config: { preset: 'tiny', seed: 1, victim: { ndf: 8, nz: 30 }, draws },
      seed: 1,
      adapter: 'SwiftShader Device (LLVM 16.0.0), software',
      dataset: { name: 'procedural faces', sha256: '9f'.repeat(32), split: '30 private, 10 public persons' },
      started: '2025-11-23T15:34:00Z',
      seconds: 312.5,
    },
    rows,
    summary: summarise(rows),
    baselines: { meanFacePcc: 0.703, wrongIdentityPcc: 0.551, shuffledPcc: 0.532 },
  };
}

/** A gray oval with eyes, brows and a mouth, different for each person: 0..1, row by row. */
export function ovalFace(person: number, width: number, height: number): Float32Array {
  const random = uniform(person * 101 + 5);
  const [wide, tall, eyes, mouth, skin, light, brow] = Array.from({ length: 7 }, random);
  const pixels = new Float32Array(width * height);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const [x, y] = [(column + 0.5) / width - 0.5, (row + 0.5) / height - 0.5];
      const face = (x / (0.3 + 0.1 * wide)) ** 2 + (y / (0.4 + 0.07 * tall)) ** 2;
      let value = 0.15 + 0.1 * light;
      if (face < 1) value = (0.5 + 0.3 * skin) * (1 - 0.25 * face) + 0.35 * x * (light - 0.5);
      for (const side of [-1, 1]) {
        const ex = x - side * (0.1 + 0.07 * eyes);
        if ((ex / 0.055) ** 2 + ((y + 0.08) / 0.035) ** 2 < 1) value *= 0.35;
        if (Math.abs(ex) < 0.075 && Math.abs(y + 0.15 + 0.02 * brow) < 0.014) value *= 0.5;
      }
      if (Math.abs(x) < 0.025 && y > -0.05 && y < 0.1) value *= 0.85;
      if (Math.abs(x) < 0.06 + 0.08 * mouth && Math.abs(y - 0.21 - 2 * x * x * (mouth - 0.5)) < 0.022) value *= 0.45;
      pixels[row * width + column] = value;
    }
  }
  return pixels;
}

/** A face as an attack might reconstruct it: blurred over `blur` pixels on every side, with `noise` of that amplitude. */
export function reconstruction(
  face: Float32Array,
  width: number,
  height: number,
  blur: number,
  noise: number,
  seed = 1,
): Float32Array {
  const random = uniform(seed);
  return face.map((_, i) => {
    const [row, column] = [Math.floor(i / width), i % width];
    let [sum, count] = [0, 0];
    for (let r = Math.max(row - blur, 0); r <= Math.min(row + blur, height - 1); r++) {
      for (let c = Math.max(column - blur, 0); c <= Math.min(column + blur, width - 1); c++) {
        sum += face[r * width + c];
        count++;
      }
    }
    return sum / count + (random() + random() - 1) * noise;
  });
}
