/**
 * Proves the emulated memory: tests every claim about it by measurements on this adapter. Rates are counted over all bits of a
 * large tensor and tested against their exact binomial distribution; values that should be equal are compared bit for bit.
 * Seeds are fixed, so that the same adapter gives the same numbers.
 */
import { Arena } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import { Recorder } from '../gpu/recorder.ts';
import { ApproximateMemory } from '../injection/approximate_memory.ts';
import { recordApproximateGemm } from '../kernels/gemm.ts';
import type { DenseSpec } from '../layers/dense.ts';
import { FlatParameters, ParameterLayout } from '../layers/parameters.ts';
import { stackParameters } from '../layers/stack.ts';
import { packCodes, type StorageBits } from '../memory/codec.ts';
import { type FaultModel, type MemoryConfigInput, NUMBER_FORMAT_KINDS, parseMemoryConfig } from '../memory/config.ts';
import { weightReadEnergy } from '../memory/energy.ts';
import { deviceKey, fetchCodes, fetchTensor, LINE_KIND } from '../memory/fault_sampler.ts';
import { pcg4d } from '../memory/hash.ts';
import { PRESETS } from '../memory/presets.ts';
import { SRAM_CHIPS, SRAM_PROFILES } from '../memory/sram_chips.ts';
import { dimmOfChip, lineErrorRate, VENDORS, voltageRange } from '../memory/undervolting.ts';
import { binomialInterval, binomialPValue } from '../metrics/binomial.ts';
import { stackVictim } from '../models/victims.ts';

/** One claim and its outcome. */
export interface Proof {
  readonly claim: string;
  readonly measured: string;
  /** P-value of the least likely count, for a claim about probabilities. */
  readonly pValue?: number;
  readonly ok: boolean;
}

/** A count with a smaller p-value fails. A proof has about 550 counts, so fewer than one in 10^6 proofs fails by chance. */
const SMALLEST_P = 1e-9;

type Layer = Extract<MemoryConfigInput['layers'][string], { kind: 'stored' }>;

/** Numbers of cells of one bit plane that store 0 and 1, and of those that were read wrongly. */
interface Plane {
  zeros: number;
  ones: number;
  wrongZeros: number;
  wrongOnes: number;
}

/** The number of times that an event of known probability occurred, and the number of trials. */
interface Count {
  readonly of: string;
  readonly times: number;
  readonly trials: number;
  readonly probability: number;
}

const GEOMETRY = { banks: 8, rows: 32768, rowBytes: 8192 } as const;
const SEED = 2026;

/** A layer of random weights in memory, all of whose bits are counted. */
class Specimen {
  readonly #arena: Arena;
  readonly #memory: ApproximateMemory;
  readonly #name = 'fc1.weight';
  /** The stored codes, and the number of ones in each plane, for the current format. */
  #stored: { readonly key: string; readonly words: Uint32Array; readonly ones: Float64Array } | undefined;

  private constructor(arena: Arena, memory: ApproximateMemory) {
    this.#arena = arena;
    this.#memory = memory;
  }

  /** @param rows of 4096 weights */
  static async create(gpu: Gpu, rows: number): Promise<Specimen> {
    const arena = new Arena(gpu);
    const spec: DenseSpec = { kind: 'dense', name: 'fc1', inputs: 4096, outputs: rows, activation: 'none' };
    const parameters = new FlatParameters(arena, 'parameters', new ParameterLayout(stackParameters([spec])));
    gpu.write(parameters.view, noise(parameters.layout.length, 1));
    return new Specimen(arena, await ApproximateMemory.store(arena, parameters));
  }

  /** Configures the memory and draws its first sample of faults. */
  async load(layer: Layer, rest: Partial<MemoryConfigInput> = {}): Promise<void> {
    const config = { seed: SEED, granularity: 'pass', geometry: GEOMETRY, ...rest, layers: { fc1: layer } };
    await this.#memory.configure(parseMemoryConfig(config, ['fc1']));
    await this.#memory.load(0);
    const { storageBits, bits } = this.codec;
    const key = JSON.stringify(layer.format ?? {});
    if (this.#stored?.key === key) return;
    const words = await this.#memory.readCodes(this.#name);
    this.#stored = { key, words, ones: onesOf(words, storageBits, bits) };
  }

  get codec() {
    return this.#memory.codecOf(this.#name);
  }

  get stored(): Uint32Array {
    return this.#stored!.words;
  }

  /** The bits that one pass reads wrongly, set in words laid out as the stored codes. */
  async wrong(pass = 0): Promise<Uint32Array> {
    const returned = await this.#memory.fetchCodes(this.#name, pass);
    const { stored } = this;
    for (let i = 0; i < returned.length; i++) returned[i] ^= stored[i];
    return returned;
  }

  /** The planes of a read, lowest first. */
  planes(wrong: Uint32Array): Plane[] {
    const { storageBits, bits } = this.codec;
    const { words, ones } = this.#stored!;
    const codes = (words.length * 32) / storageBits;
    const planes = Array.from(ones, (count) => ({ zeros: codes - count, ones: count, wrongZeros: 0, wrongOnes: 0 }));
    forEachBit(wrong, (i, bit) => {
      const plane = bit % storageBits;
      if (plane >= bits) return;
      if ((words[i] >>> bit) & 1) planes[plane].wrongOnes++;
      else planes[plane].wrongZeros++;
    });
    return planes;
  }

  destroy(): void {
    this.#arena.destroy();
  }
}

/** Uniform random numbers in -1..1, the same for the same seed. */
function noise(count: number, seed: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(count);
  const random = new Uint32Array(4);
  for (let i = 0; i < count; i++) {
    if ((i & 3) === 0) pcg4d(i >> 2, seed, 0, 0, random);
    values[i] = random[i & 3] / 2 ** 31 - 1;
  }
  return values;
}

function forEachBit(words: Uint32Array, visit: (word: number, bit: number) => void): void {
  for (let i = 0; i < words.length; i++) {
    for (let rest = words[i]; rest !== 0; rest &= rest - 1) visit(i, 31 - Math.clz32(rest & -rest));
  }
}

function onesOf(words: Uint32Array, storageBits: StorageBits, bits: number): Float64Array {
  const ones = new Float64Array(bits);
  for (let i = 0; i < words.length; i++) {
    for (let shift = 0; shift < 32; shift += storageBits) {
      for (let bit = 0; bit < bits; bit++) ones[bit] += (words[i] >>> (shift + bit)) & 1;
    }
  }
  return ones;
}

function countBits(words: Uint32Array): number {
  let count = 0;
  forEachBit(words, () => count++);
  return count;
}

/** Tests counts against their probabilities; the least likely count decides. */
function judge(claim: string, counts: readonly Count[]): Proof {
  const values = counts.map(({ times, trials, probability }) => binomialPValue(times, trials, probability));
  const pValue = Math.min(...values);
  const { of, times, trials, probability } = counts[values.indexOf(pValue)];
  const [low, high] = binomialInterval(times, trials, 1e-4);
  const digits = (x: number) => Number(x.toPrecision(4));
  const measured =
    `${counts.length} counts; least likely: ${of} ${digits(times / trials)} ` +
    `[${digits(low)}, ${digits(high)}] of ${trials.toPrecision(3)}, should be ${digits(probability)}`;
  return { claim, measured, pValue, ok: pValue > SMALLEST_P };
}

const rateOf = (of: string, probability: number, planes: readonly Plane[]): Count[] => [
  ...planes.map(({ zeros, ones, wrongZeros, wrongOnes }, plane) => ({
    of: `${of} plane ${plane}`,
    times: wrongZeros + wrongOnes,
    trials: zeros + ones,
    probability,
  })),
  {
    of: `${of} all planes`,
    times: planes.reduce((sum, { wrongZeros, wrongOnes }) => sum + wrongZeros + wrongOnes, 0),
    trials: planes.reduce((sum, { zeros, ones }) => sum + zeros + ones, 0),
    probability,
  },
];

const byStored = (planes: readonly Plane[], ofZeros: number, ofOnes: number): Count[] =>
  planes.flatMap(({ zeros, ones, wrongZeros, wrongOnes }, plane) => [
    { of: `0 read as 1, plane ${plane}`, times: wrongZeros, trials: zeros, probability: ofZeros },
    { of: `1 read as 0, plane ${plane}`, times: wrongOnes, trials: ones, probability: ofOnes },
  ]);

const exactly = (claim: string, differences: number, of: string): Proof => ({
  claim,
  measured: `${differences} differences in ${of}`,
  ok: differences === 0,
});

const stored = (faults: FaultModel[], rest: Partial<Layer> = {}): Layer => ({ kind: 'stored', faults, ...rest });
const uniform = (bitErrorRate: number): FaultModel => ({ kind: 'uniform', bitErrorRate, drawn: 'read' });

const FORMATS: readonly NonNullable<Layer['format']>[] = NUMBER_FORMAT_KINDS.map((kind) => ({ kind }));

/** The number of weights and bits that are counted. */
export interface ProofSize {
  /** Rows of 4096 weights of the large tensor; 2048 make 10^8 bits of 12-bit codes. */
  readonly rows: number;
  /** Smallest number of bits over which each rate of a format is counted. */
  readonly bits: number;
}

export const FULL_PROOF: ProofSize = { rows: 2048, bits: 1e8 };

/**
 * Tests the claims about the memory and yields one proof per claim. A caller that is interrupted stops between two claims.
 * @throws DeviceLostError
 */
export async function* proveMemory(gpu: Gpu, size: ProofSize = FULL_PROOF): AsyncGenerator<Proof> {
  const specimen = await Specimen.create(gpu, size.rows);
  yield* uniformRates(specimen, size);
  yield* nested(specimen);
  yield* independent(specimen);
  yield* models(specimen);
  yield* lines(specimen);
  yield* corrected(specimen);
  specimen.destroy();
  yield await presetReferences(gpu);
  yield await fused(gpu);
  yield await batches(gpu);
  yield energy();
}

async function* uniformRates(specimen: Specimen, { bits }: ProofSize): AsyncGenerator<Proof> {
  for (const format of FORMATS) {
    const counts: Count[] = [];
    let counted = 0;
    for (const rate of [0.001, 0.01, 0.0625]) {
      await specimen.load(stored([uniform(rate)], { format }));
      const all: Plane[] = [];
      for (let pass = 0; pass === 0 || all.reduce((sum, { zeros, ones }) => sum + zeros + ones, 0) < bits; pass++) {
        for (const [i, plane] of specimen.planes(await specimen.wrong(pass)).entries()) {
          all[i] ??= { zeros: 0, ones: 0, wrongZeros: 0, wrongOnes: 0 };
          for (const key of Object.keys(plane) as (keyof Plane)[]) all[i][key] += plane[key];
        }
      }
      counted = all.reduce((sum, { zeros, ones }) => sum + zeros + ones, 0);
      counts.push(...rateOf(`at ${rate}`, rate, all));
    }
    yield judge(
      `${format.kind}: every bit plane errs at the rate, over ${counted.toPrecision(3)} bits per rate`,
      counts,
    );
  }
  const wrong = async (rate: number) => {
    await specimen.load(stored([uniform(rate)]));
    return countBits(await specimen.wrong());
  };
  const all = (specimen.stored.length * 32 * 12) / 16;
  yield exactly(
    'at rate 0 no bit errs, and at rate 1 every bit errs',
    (await wrong(0)) + (all - (await wrong(1))),
    `${2 * all} bits`,
  );
  await specimen.load(stored([uniform(1.5e-7)]));
  const planes = specimen.planes(await specimen.wrong());
  yield judge(
    'uniform errors at 1.5e-7, the rate of the refresh preset, occur at that rate',
    rateOf('rate', 1.5e-7, planes).slice(-1),
  );
}

/** Counts words in which a failed cell is lost, or a new one appears, from one read of a list to the next. */
async function violations(reads: readonly (() => Promise<Uint32Array>)[]): Promise<{ lost: number; grown: number }> {
  let below: Uint32Array | undefined;
  let [lost, grown] = [0, 0];
  for (const read of reads) {
    const wrong = await read();
    if (below) {
      for (let i = 0; i < wrong.length; i++) {
        if (below[i] & ~wrong[i]) lost++;
        if (wrong[i] & ~below[i]) grown++;
      }
    }
    below = wrong;
  }
  return { lost, grown };
}

async function* nested(specimen: Specimen): AsyncGenerator<Proof> {
  const rates = Array.from({ length: 20 }, (_, i) => 1e-6 * 10 ** (i / 4));
  const byRate = await violations(
    rates.map((rate) => async () => {
      await specimen.load(stored([uniform(Math.min(1, rate))]));
      return specimen.wrong();
    }),
  );
  yield {
    claim: 'cells that fail at one of 20 rates fail at every higher rate',
    measured: `${byRate.lost} words lose a failure, ${byRate.grown} gain one`,
    ok: byRate.lost === 0 && byRate.grown > 0,
  };
  // From each vendor, the DIMM that shows errors over the widest range.
  for (const [vendor, chip] of [
    ['A', 3],
    ['B', 8],
    ['C', 0],
  ] as const) {
    const dimm = dimmOfChip(vendor, chip);
    const { lowest, highest } = voltageRange(dimm);
    const volts = Array.from({ length: 20 }, (_, i) => highest + ((lowest - highest) * i) / 19);
    const byVoltage = await violations(
      volts.map((each) => async () => {
        const model: FaultModel = { kind: 'voltage', vendor, volts: each, bitErrorRate: 0.05, drawn: 'read' };
        await specimen.load(stored([model]), { granularity: 'chip', chip });
        return specimen.wrong();
      }),
    );
    yield {
      claim: `cells that fail at one of 20 voltages fail at every lower one, DIMM ${dimm.name}, ${highest}..${lowest} V`,
      measured: `${byVoltage.lost} words lose a failure, ${byVoltage.grown} gain one`,
      ok: byVoltage.lost === 0 && byVoltage.grown > 0,
    };
  }
}

async function* independent(specimen: Specimen): AsyncGenerator<Proof> {
  const rate = 0.05;
  await specimen.load(stored([uniform(rate)]));
  const first = await specimen.wrong(0);
  const cells = (first.length * 32 * 12) / 16;
  const bothWith = (other: Uint32Array) => countBits(first.map((word, i) => word & other[i]));
  const counts: Count[] = [];
  const probability = rate * rate;
  for (const pass of [1, 2, 1000]) {
    counts.push({
      of: `passes 0 and ${pass}`,
      times: bothWith(await specimen.wrong(pass)),
      trials: cells,
      probability,
    });
  }
  for (const distance of [1, 2, 8, 256]) {
    const moved = first.subarray(distance);
    const times = countBits(moved.map((word, i) => word & first[i]));
    const trials = (moved.length * 32 * 12) / 16;
    counts.push({ of: `words at distance ${distance}`, times, trials, probability });
  }
  for (let distance = 1; distance < 12; distance++) {
    const mask = 0x0fff0fff & ~(((2 ** distance - 1) << (12 - distance)) * 0x10001);
    const times = countBits(first.map((word) => word & (word >>> distance) & mask));
    const trials = (first.length * 32 * (12 - distance)) / 16;
    counts.push({ of: `bits at distance ${distance}`, times, trials, probability });
  }
  await specimen.load(stored([uniform(rate)]), { chip: 1 });
  counts.push({ of: 'chips 0 and 1', times: bothWith(await specimen.wrong(0)), trials: cells, probability });
  yield judge('reads, neighbouring bits and words, and chips fail independently of each other', counts);
}

async function* models(specimen: Specimen): AsyncGenerator<Proof> {
  const planes = async (layer: Layer, pass = 0) => {
    await specimen.load(layer);
    return specimen.planes(await specimen.wrong(pass));
  };
  const asymmetric: FaultModel = { kind: 'asymmetric', zeroToOne: 0.02, oneToZero: 0.003, drawn: 'read' };
  yield judge(
    'asymmetric: zeros and ones err at separate rates',
    byStored(await planes(stored([asymmetric])), 0.02, 0.003),
  );
  const stuck: FaultModel = { kind: 'stuck-at', zero: 0.01, one: 0.02 };
  yield judge(
    'stuck-at: cells are stuck at their rates, and stuck at 1 takes precedence over stuck at 0',
    byStored(await planes(stored([stuck])), 0.02, 0.01 * (1 - 0.02)),
  );
  const rates = [0.05, 0.02, 0, 0.01, 0, 0, 0.1, 0.001, 0, 0.03, 0.02, 0.01];
  const perPlane = await planes(stored([{ kind: 'bit-plane', rates, drawn: 'read' }]));
  yield judge(
    'bit-plane: every plane errs at its own rate',
    perPlane.map(({ zeros, ones, wrongZeros, wrongOnes }, plane) => ({
      of: `plane ${plane}`,
      times: wrongZeros + wrongOnes,
      trials: zeros + ones,
      probability: rates[plane],
    })),
  );
  const safe = await planes(stored([uniform(0.05)], { protectedBits: 3 }));
  yield judge('protected bits never err, and the other bits err at the rate', [
    ...rateOf('', 0.05, safe.slice(0, 9)),
    ...rateOf('protected', 0, safe.slice(9)),
  ]);

  const [weakCells, failure] = [0.04, 0.3];
  const em0 = stored([{ kind: 'eden', model: 'EM0', weakCells, failure }]);
  const first = await planes(em0);
  const wrong = await specimen.wrong(0);
  const again = await specimen.wrong(1);
  const cells = (wrong.length * 32 * 12) / 16;
  yield judge('EDEN EM0: P F of the cells fail in a read, and P F^2 in two: weak cells stay weak', [
    ...rateOf('one read', weakCells * failure, first),
    {
      of: 'both reads',
      times: countBits(wrong.map((word, i) => word & again[i])),
      trials: cells,
      probability: weakCells * failure * failure,
    },
  ]);
  const em3: FaultModel = { kind: 'eden', model: 'EM3', weakCells, failureOfOnes: 0.8, failureOfZeros: 0.1 };
  yield judge(
    'EDEN EM3: weak cells fail by what they store',
    byStored(await planes(stored([em3])), weakCells * 0.1, weakCells * 0.8),
  );
  for (const profile of SRAM_PROFILES) {
    const { zeroToOne, oneToZero, stuck } = SRAM_CHIPS[profile];
    const share = stuck / (zeroToOne + oneToZero);
    const either = (rate: number) => 1 - (1 - rate * share) * (1 - rate * (1 - share));
    const layer = stored([{ kind: 'sram-chip', profile }], { format: { kind: 'int8' } });
    yield judge(
      `SRAM ${profile}: zeros and ones err at their published rates`,
      byStored(await planes(layer), either(zeroToOne), either(oneToZero)),
    );
  }
}

/** True if a line is in the weak share of the lines of its kind, by the definition of the model. */
function inShare(kind: keyof typeof LINE_KIND, line: number, chip: number, share: number): boolean {
  const [x, y] = deviceKey(SEED, chip);
  return pcg4d(line, LINE_KIND[kind], x, y)[0] < Math.round(share * 2 ** 32);
}

async function* lines(specimen: Specimen): AsyncGenerator<Proof> {
  const format = { kind: 'int8' } as const; // all bits of a line are cells of codes
  const [rowBits, wordsOfRow] = [GEOMETRY.rowBytes * 8, GEOMETRY.rowBytes / 4];
  const memberships = (kind: keyof typeof LINE_KIND, share: number, count: number) =>
    Uint8Array.from({ length: count }, (_, line) => Number(inShare(kind, line, 0, share)));

  const [share, weakCells] = [0.1, 0.03];
  for (const model of ['EM1', 'EM2'] as const) {
    await specimen.load(stored([{ kind: 'eden', model, lines: [{ share, weakCells, failure: 1 }] }], { format }));
    const wrong = await specimen.wrong();
    const kind = model === 'EM1' ? 'bitline' : 'wordline';
    const rows = wrong.length / wordsOfRow;
    const weak = memberships(kind, share, model === 'EM1' ? GEOMETRY.banks * rowBits : rows);
    const lineOf = (word: number, bit: number) => {
      const row = Math.floor(word / wordsOfRow);
      return model === 'EM2' ? row : (row % GEOMETRY.banks) * rowBits + (word % wordsOfRow) * 32 + bit;
    };
    let [inside, outside] = [0, 0];
    forEachBit(wrong, (word, bit) => {
      if (weak[lineOf(word, bit)]) inside++;
      else outside++;
    });
    const reached = model === 'EM1' ? Math.min(GEOMETRY.banks, rows) * rowBits : rows;
    const weakLines = weak.subarray(0, reached).reduce((sum, each) => sum + each, 0);
    const cells = (weakLines / reached) * wrong.length * 32;
    yield judge(`EDEN ${model}: cells fail in weak ${kind}s at their rate, and nowhere else`, [
      { of: `weak ${kind}s`, times: weakLines, trials: reached, probability: share },
      { of: 'failing cells of weak lines', times: inside, trials: Math.round(cells), probability: weakCells },
      { of: 'failing cells elsewhere', times: outside, trials: wrong.length * 32, probability: 0 },
    ]);
  }

  const clusters = (wrong: Uint32Array) => {
    let [bad, bits] = [0, 0];
    for (let line = 0; line < wrong.length / 16; line++) {
      const count = countBits(wrong.subarray(16 * line, 16 * line + 16));
      if (count > 0) bad++;
      bits += count;
    }
    return { bad, bits, lines: wrong.length / 16 };
  };
  const [badLines, density] = [0.2, 0.002];
  const clustered: Count[] = [];
  for (const [name, cells] of [
    ['int8', 512],
    ['fixed', 384],
  ] as const) {
    const model: FaultModel = { kind: 'clustered', lines: badLines, bitErrorRate: density, drawn: 'read' };
    await specimen.load(stored([model], { format: { kind: name } }));
    const found = clusters(await specimen.wrong());
    const drawnShare = badLines / (1 - (1 - density) ** cells);
    const drawn = memberships('cache-line', drawnShare, found.lines).reduce((sum, each) => sum + each, 0);
    clustered.push(
      { of: `${name}: lines with an error`, times: found.bad, trials: found.lines, probability: badLines },
      { of: `${name}: bits of bad lines`, times: found.bits, trials: drawn * cells, probability: density },
    );
  }
  yield judge(
    'clustered: the given share of cache lines shows an error, and bits of bad lines fail at their rate',
    clustered,
  );

  const counts: Count[] = [];
  for (const vendor of VENDORS) {
    for (let chip = 0; chip < 5; chip++) {
      const dimm = dimmOfChip(vendor, chip);
      const volts = voltageRange(dimm).lowest;
      const model: FaultModel = { kind: 'voltage', vendor, volts, bitErrorRate: 0.05, drawn: 'read' };
      await specimen.load(stored([model], { format }), { granularity: 'chip', chip });
      const { bad, lines: trials } = clusters(await specimen.wrong());
      counts.push({ of: `${dimm.name} at ${volts} V`, times: bad, trials, probability: lineErrorRate(dimm, volts) });
    }
  }
  yield judge('voltage: five DIMMs of each vendor show the measured share of bad cache lines', counts);
}

async function* corrected(specimen: Specimen): AsyncGenerator<Proof> {
  const counts: Count[] = [];
  for (const rate of [1e-4, 1e-3, 0.01]) {
    await specimen.load(stored([uniform(rate)], { format: { kind: 'int8' }, ecc: { detected: 'pass' } }));
    const wrong = await specimen.wrong();
    let right = 0;
    for (let i = 0; i < wrong.length; i += 2) if ((wrong[i] | wrong[i + 1]) === 0) right++;
    // A word is read correctly if it has no error or one, two errors among the check bits (8 choose 2), or three there that
    // the decoder takes for an error of one check bit; rarer cases are negligible.
    const q = 1 - rate;
    const probability = q ** 72 + 72 * rate * q ** 71 + 28 * rate ** 2 * q ** 70 + CHECK_TRIPLES * rate ** 3 * q ** 69;
    counts.push({ of: `words at ${rate}`, times: right, trials: wrong.length / 2, probability });
  }
  yield judge('SECDED(72,64): words are read correctly as often as the errors it can correct predict', counts);
}

/** Number of triples of errors among the 8 check bits that leave all data bits right: their syndrome names no data bit. */
const CHECK_TRIPLES = 15;

/** Two layers whose tensors have pads on all sides. */
const SMALL: readonly DenseSpec[] = [
  { kind: 'dense', name: 'fc1', inputs: 100, outputs: 37, activation: 'none' },
  { kind: 'dense', name: 'fc2', inputs: 37, outputs: 19, activation: 'none' },
];

async function smallMemory(gpu: Gpu, arena: Arena): Promise<{ memory: ApproximateMemory; weights: Float32Array }> {
  const layout = new ParameterLayout(stackParameters(SMALL));
  const parameters = new FlatParameters(arena, 'parameters', layout);
  const values = noise(layout.length, 2);
  const weights = new Float32Array(layout.length);
  for (const { rows, columns, stride, offset } of layout.slices) {
    for (let row = 0; row < rows; row++) {
      const at = offset + row * stride;
      weights.set(values.subarray(at, at + columns), at);
    }
  }
  gpu.write(parameters.view, weights);
  return { memory: await ApproximateMemory.store(arena, parameters), weights };
}

/** Compares the device with the reference under every preset: encoded, fetched and materialised words. */
async function presetReferences(gpu: Gpu): Promise<Proof> {
  const arena = new Arena(gpu);
  const { memory, weights } = await smallMemory(gpu, arena);
  let [differences, words] = [0, 0];
  const compare = (actual: Uint32Array, expected: Uint32Array) => {
    for (let i = 0; i < expected.length; i++) differences += actual[i] === expected[i] ? 0 : 1;
    words += expected.length;
  };
  for (const { memory: preset } of PRESETS) {
    await memory.configure(parseMemoryConfig({ ...preset, seed: SEED }, ['fc1', 'fc2']));
    await memory.load(1);
    const perPass = preset.granularity === 'pass';
    if (perPass) {
      const recorder = new Recorder(gpu);
      memory.recordPass(recorder, 0);
      (await recorder.build('pass')).run();
    }
    for (const { name, rows, columns, stride, offset } of memory.fetched.layout.slices) {
      const codec = memory.codecOf(name);
      const codes = Array.from(weights.subarray(offset, offset + rows * stride), (weight, i) =>
        codec.encode(weight, Math.floor(i / stride)),
      );
      const image = { words: packCodes(codes, codec.storageBits), rows, columns, stride, codec };
      const map = memory.faultSamplerOf(name);
      compare(await memory.readCodes(name), image.words);
      compare(await memory.fetchCodes(name), fetchCodes(image, map));
      compare(await memory.fetchedWeights(name), fetchTensor(image, map));
    }
  }
  arena.destroy();
  return exactly(
    `encoded, fetched and materialised = reference, all ${PRESETS.length} presets`,
    differences,
    `${words} words`,
  );
}

/** Multiplies the identity by weights that the products fetch themselves, so that the result is the weights that were read. */
async function fused(gpu: Gpu): Promise<Proof> {
  let [differences, words] = [0, 0];
  const { name, inputs, outputs } = SMALL[1];
  for (const format of FORMATS) {
    const arena = new Arena(gpu);
    const { memory } = await smallMemory(gpu, arena);
    // A weight that is not finite would make a whole row of the product not finite.
    const finite = format.kind.startsWith('fp') || format.kind === 'bf16' ? { nonFinite: 'zero' as const } : {};
    const layer = stored([uniform(0.03)], { format: { ...format, ...finite } as Layer['format'] });
    const config = { seed: SEED, granularity: 'pass', path: 'fused', layers: { [name]: layer } };
    await memory.configure(parseMemoryConfig(config, ['fc1', 'fc2']));
    await memory.load(0);
    const weights = memory.weightsOf(name);
    if (weights.kind !== 'fused') throw new Error('the layer is not fused');
    const { bias: _, ...source } = weights;
    const recorder = new Recorder(gpu);
    const identity = (n: number) => {
      const matrix = arena.matrix('identity', n, n);
      const values = new Float32Array(n * matrix.stride);
      for (let i = 0; i < n; i++) values[i * matrix.stride + i] = 1;
      gpu.write(matrix, values);
      return matrix;
    };
    const [y, dx] = [arena.matrix('y', inputs, outputs), arena.matrix('dx', outputs, inputs)];
    const product = { ...source, label: 'fused', passOffset: 0 } as const;
    recordApproximateGemm(recorder, { ...product, transposition: 'nt', a: identity(inputs), c: y });
    recordApproximateGemm(recorder, { ...product, transposition: 'nn', a: identity(outputs), c: dx });
    (await recorder.build('fused')).run();
    const image = {
      words: (await memory.readCodes(`${name}.weight`)).slice(),
      ...memory.fetched.layout.find(`${name}.weight`),
      codec: memory.codecOf(`${name}.weight`),
    };
    const expected = new Float32Array(fetchTensor(image, memory.faultSamplerOf(`${name}.weight`)).buffer);
    const [forward, backward] = [await gpu.readFloats(y), await gpu.readFloats(dx)];
    for (let row = 0; row < outputs; row++) {
      for (let column = 0; column < inputs; column++) {
        const weight = expected[row * image.stride + column];
        if (forward[column * y.stride + row] !== weight) differences++;
        if (backward[row * dx.stride + column] !== weight) differences++;
        words += 2;
      }
    }
    arena.destroy();
  }
  return exactly(
    'products read the same weights, forward and backward, in every format',
    differences,
    `${words} weights`,
  );
}

/** Compares a forward pass at granularity `inference` in one batch with the same pass in two batches. */
async function batches(gpu: Gpu): Promise<Proof> {
  const images = noise(21 * 100, 3);
  const logits = async (first: number, rows: number) => {
    const arena = new Arena(gpu);
    const { memory } = await smallMemory(gpu, arena);
    const layers = { '*': stored([uniform(0.02)]) };
    await memory.configure(parseMemoryConfig({ seed: SEED, granularity: 'inference', layers }, ['fc1', 'fc2']));
    await memory.load(0);
    const x = arena.matrix('x', rows, 100);
    const padded = new Float32Array(rows * x.stride);
    for (let row = 0; row < rows; row++) {
      padded.set(images.subarray((first + row) * 100, (first + row + 1) * 100), row * x.stride);
    }
    gpu.write(x, padded);
    const recorder = new Recorder(gpu);
    const run = stackVictim(SMALL, memory.weightsOf, memory).plan(arena, x);
    run.recordForward(recorder);
    const program = await recorder.build('forward');
    program.setStep({ firstImage: first });
    program.run();
    const words = await gpu.readWords({ ...run.logits, size: rows * run.logits.stride * 4 });
    arena.destroy();
    return words;
  };
  const whole = await logits(0, 21);
  const parts = Uint32Array.of(...(await logits(0, 16)), ...(await logits(16, 5)));
  const differences = whole.reduce((sum, word, i) => sum + (word === parts[i] ? 0 : 1), 0);
  return exactly('an image reads the same weights, however batches are cut', differences, `${whole.length} logits`);
}

/** Compares the energy of weight reads with cases computed by hand. */
function energy(): Proof {
  const cases: readonly (readonly [reads: Parameters<typeof weightReadEnergy>[0], saving: number])[] = [
    [[{ layer: 'fc1', bytes: 1000, volts: 1.35 }], 0],
    [[{ layer: 'fc1', bytes: 1000, volts: 1.1 }], 1 - 1.21 / 1.8225],
    [
      [
        { layer: 'fc1', bytes: 3000, volts: 1.2 },
        { layer: 'fc2', bytes: 1000, volts: 1.35 },
      ],
      0.75 * (1 - 1.44 / 1.8225),
    ],
  ];
  const worst = Math.max(...cases.map(([reads, saving]) => Math.abs(weightReadEnergy(reads).saving - saving)));
  return {
    claim: 'energy of reads is V^2 times bytes',
    measured: `largest error ${worst.toPrecision(2)}`,
    ok: worst < 1e-12,
  };
}
