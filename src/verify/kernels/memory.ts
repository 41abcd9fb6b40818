/** Checks of the kernels of shaders/memory, and tensors in approximate memory for the checks of kernels that read from it. */
import { roundUp } from '../../gpu/arena.ts';
import type { BufferView } from '../../gpu/guarded_device.ts';
import { FAULT_ENTRY_WORDS } from '../../gpu/structs.ts';
import {
  faultWords,
  writeDraw,
  writeFaults,
  writeScale,
  writeZones,
  zoneExtent,
  zoneTables,
} from '../../injection/fault_entry.ts';
import {
  recordEncode,
  recordFetchCodes,
  recordMaterialise,
  recordNoise,
  recordStoreActivations,
} from '../../kernels/memory.ts';
import { fetchOf, type StoredTensor } from '../../kernels/stored.ts';
import { storeActivations } from '../../memory/activations.ts';
import {
  BLOCK_CODES,
  type Codec,
  fixedCodec,
  floatCodec,
  formatBits,
  integerCodec,
  packCodes,
} from '../../memory/codec.ts';
import {
  type Geometry,
  type Granularity,
  NOISE_KINDS,
  type NoiseKind,
  type NumberFormat,
  type StoredMemory,
  uniformMemory,
} from '../../memory/config.ts';
import {
  deviceKey,
  type FaultSampler,
  fetchCodes,
  fetchTensor,
  type MemoryImage,
  readKey,
  rowFlags,
  tensorKey,
} from '../../memory/fault_sampler.ts';
import type { FaultSource } from '../../memory/faults/model.ts';
import { failingBits, faultSources } from '../../memory/faults.ts';
import type { FixedEncoding } from '../../memory/fixed_point.ts';
import { FLOAT_KINDS } from '../../memory/floating_point.ts';
import { INTEGER_BITS, INTEGER_KINDS, integerScale } from '../../memory/integer.ts';
import { noiseTensor } from '../../memory/noise.ts';
import { fetchTensorBySparseFaults } from '../../memory/sparse_faults.ts';
import type { Zones } from '../../memory/zones.ts';
import { Random } from '../../random.ts';
import { type Check, COLUMNS, numbers, pad, ROWS, SIZE, type Trial, unpad } from './trial.ts';

// The memory has 12-bit codes of weights in -1..1, and a rate at which most blocks have flips and some have many.
const BITS = 12;
const EXPONENT = 1 - BITS;
const READ = 40;
export const PASS = 6;
export const FIRST_IMAGE = 3;
const GEOMETRY: Geometry = { banks: 8, rows: 32768, rowBytes: 8192 };

/** A memory of this number format with uniform faults. */
export function checkedMemory(format: NumberFormat, encoding: FixedEncoding = 'corrected'): StoredMemory {
  return uniformMemory(format.kind === 'fixed' ? { ...format, encoding } : format, 0.02);
}

const FIXED: NumberFormat = { kind: 'fixed', bits: BITS, exponent: EXPONENT, headroom: 0, encoding: 'corrected' };

const COMPLEMENT: NumberFormat = { ...FIXED, representation: 'twos-complement' };

/** All kinds of sources together, with an error-correcting code. */
const MANY_SOURCES: StoredMemory = {
  ...checkedMemory(FIXED),
  faults: [
    { kind: 'uniform', bitErrorRate: 0.002, drawn: 'load' },
    { kind: 'asymmetric', zeroToOne: 0.003, oneToZero: 0.001, drawn: 'chip' },
    { kind: 'stuck-at', zero: 0.001, one: 0.001 },
    { kind: 'clustered', lines: 0.3, bitErrorRate: 0.02, drawn: 'read' },
    { kind: 'eden', model: 'EM1', lines: [{ share: 0.1, weakCells: 0.05, failure: 0.5 }] },
    { kind: 'eden', model: 'EM3', weakCells: 0.01, failureOfOnes: 0.9, failureOfZeros: 0.1 },
  ],
  ecc: { code: 'secded', detected: 'zero', scrub: true },
};

/** Bad rows of a DIMM, and early reads of another. */
const ROW_FAULTS: StoredMemory = {
  ...checkedMemory(FIXED),
  faults: [{ kind: 'rows', volts: 1.15, dimm: 'C1', bitErrorRate: 0.05, drawn: 'chip' }],
};
const LATENCY_FAULTS: StoredMemory = {
  ...checkedMemory(FIXED),
  faults: [{ kind: 'latency', vendor: 'B', tRCD: 7.5, drawn: 'read' }],
};

/** Number of units of DRAM in which a tensor of the checks lies, of two blocks each. */
const UNITS = 512;

/** A bank for every unit of a tensor, and whether its row is bad for each of the sources. */
function zonesOf(sources: readonly FaultSource[], seed: number): Zones {
  const random = new Random(40 + seed);
  const flags = rowFlags(sources).reduce((all, flag) => all | flag, 0);
  const words = Uint32Array.from(
    { length: UNITS },
    () => (random.nextU32() % GEOMETRY.banks) | (random.nextU32() & flags),
  );
  return { shift: 1, first: 1, words };
}

export interface CheckedTensor {
  readonly stored: StoredTensor;
  readonly image: MemoryImage;
  /** The fault sampler of a read: of one pass and, at `inference`, of one image. */
  faults(pass: number, image?: number): FaultSampler;
  /** The values that the device must read, rows x stride f32. */
  fetch(pass: number, image?: number): Float32Array;
  /** The values that an image reads with sparse faults, rows x columns f32; without arguments, the stored values. */
  fetchBySparseFaults(pass?: number, image?: number): Float32Array;
}

/** Tensors of random codes in one memory image, laid out and keyed as in src/injection/approximate_memory.ts. */
export function memoryImage(
  trial: Trial,
  granularity: Exclude<Granularity, 'chip'>,
  shapes: readonly (readonly [rows: number, columns: number])[],
  memory: StoredMemory = checkedMemory(FIXED),
): { codes: BufferView; faultTable: BufferView; tensors: CheckedTensor[] } {
  const images: Uint32Array[] = [];
  const codec = codecOf(memory.format);
  const sources = faultSources(memory, 0);
  const { storageBits } = codec;
  const tables = zoneTables({ sources, storageBits, ecc: memory.ecc, geometry: GEOMETRY, granularity });
  const extent = sources.some(({ zone }) => zone) ? zoneExtent(tables, UNITS) : 0;
  const faultTable = new Uint32Array(shapes.length * (FAULT_ENTRY_WORDS + extent));
  let origin = 0;
  const tensors = shapes.map(([rows, columns], map): CheckedTensor => {
    const stride = roundUp(columns, BLOCK_CODES);
    const key = tensorKey(11, 2, map);
    const device = deviceKey(11, 2);
    writeDraw(faultTable, map, { key, device, load: READ, read: READ });
    const { scale, inverse } = scaleOf(memory.format);
    writeScale(faultTable, map, { granularity, scale, inverse, bits: codec.bits });
    const { ecc, inverted } = memory;
    const cells = { sources, storageBits, ecc, inverted, geometry: GEOMETRY, granularity };
    writeFaults(faultTable, map, faultWords(cells), { rows, columns, stride });
    const zones = extent > 0 ? zonesOf(sources, map) : undefined;
    const at = shapes.length * FAULT_ENTRY_WORDS + map * extent;
    if (zones) writeZones(faultTable, map, sources, { tables, zones, at });
    const random = new Random(20 + map);
    const codes = Array.from({ length: rows * columns }, () => random.nextU32() >>> (32 - codec.bits));
    const words = packCodes(pad(codes, rows, columns, stride, Float64Array), storageBits);
    const whole = new Uint32Array((roundUp(rows, 4) * stride * storageBits) / 32);
    whole.set(words);
    images.push(whole);
    const stored = { map, origin, rows, columns, stride, fetch: fetchOf(memory, sources) };
    const memoryImage = { words, rows, columns, stride, codec };
    const faults = (pass: number, image?: number): FaultSampler => {
      const keys = { chip: readKey(key, 0), load: readKey(key, READ), read: readKey(key, READ + pass, image) };
      const invertedBits = inverted ? failingBits(memory) : undefined;
      return {
        storageBits,
        sources,
        ecc,
        invertedBits,
        geometry: GEOMETRY,
        keys,
        device,
        origin: stored.origin,
        zones,
      };
    };
    origin += whole.length / (storageBits / 2);
    return {
      stored,
      image: memoryImage,
      faults,
      fetch: (pass, image) => new Float32Array(fetchTensor(memoryImage, faults(pass, image)).buffer),
      fetchBySparseFaults(pass = 0, image) {
        const { bits, rate } = sources[0];
        const uniform = { bits, rate: image === undefined ? 0 : rate };
        const bitsOfWeights = fetchTensorBySparseFaults(memoryImage, readKey(key, READ + pass, image), uniform);
        return unpad(new Float32Array(bitsOfWeights.buffer), rows, columns, stride);
      },
    };
  });
  const codes = new Uint32Array((origin * storageBits) / 2);
  tensors.forEach(({ stored }, i) => {
    codes.set(images[i], (stored.origin * storageBits) / 2);
  });
  return { codes: trial.buffer(codes), faultTable: trial.buffer(faultTable), tensors };
}

/** The scale of weights in -1..1. */
function scaleOf(format: NumberFormat): { scale: number; inverse: number } {
  if (format.kind === 'fixed') return { scale: 2 ** EXPONENT, inverse: 2 ** -EXPONENT };
  return 'nonFinite' in format ? { scale: 1, inverse: 1 } : integerScale(1, formatBits(format));
}

function codecOf(format: NumberFormat): Codec {
  if (format.kind === 'fixed') return fixedCodec(BITS, EXPONENT, format.encoding, format.representation);
  if ('nonFinite' in format) return floatCodec(format.kind, format.nonFinite);
  return integerCodec(INTEGER_BITS[format.kind], [scaleOf(format)]);
}

/** One of every kind. */
export const FORMATS: readonly NumberFormat[] = [
  FIXED,
  ...INTEGER_KINDS.map((kind) => ({ kind, scale: 'per-tensor' }) as const),
  ...FLOAT_KINDS.map((kind) => ({ kind, nonFinite: 'saturate' }) as const),
];

function encodeCheck(format: NumberFormat, encoding: FixedEncoding = 'corrected'): Check {
  return {
    kernel: `encode ${format.kind}${format === COMPLEMENT ? " two's complement" : ''}${encoding === 'faithful' ? ' faithful' : ''}`,
    record(trial) {
      const weights = numbers(SIZE, 1, 1.2);
      const memory = checkedMemory(format, encoding);
      const { faultTable, tensors } = memoryImage(trial, 'load', [[ROWS, COLUMNS]], memory);
      const { stored, image } = tensors[0];
      const { codec } = image;
      const codes = trial.results((ROWS * stored.stride * codec.storageBits) / 32);
      recordEncode(trial.recorder, {
        tensor: stored,
        weights: trial.matrix(ROWS, COLUMNS, weights),
        faultTable,
        codes,
      });
      const expected = Array.from(weights, (weight) => codec.encode(weight, 0));
      trial.expectWords(codes, packCodes(pad(expected, ROWS, COLUMNS, stored.stride, Float64Array), codec.storageBits));
    },
  };
}

function materialiseCheck(kernel: string, memory: StoredMemory): Check {
  return {
    kernel: `materialise ${kernel}`,
    record(trial) {
      const shapes = [
        [3, 17],
        [ROWS, COLUMNS],
      ] as const;
      const { codes, faultTable, tensors } = memoryImage(trial, 'pass', shapes, memory);
      const { stored, image, faults } = tensors[1];
      const fetched = trial.results(ROWS * stored.stride);
      recordMaterialise(trial.recorder, { tensor: stored, codes, faultTable, fetched, passOffset: 1 });
      trial.expectWords(fetched, fetchTensor(image, faults(PASS + 1)));
    },
    prepare(program) {
      program.setStep({ passIndex: PASS });
    },
  };
}

const fetchCodesCheck: Check = {
  kernel: 'fetch_codes',
  record(trial) {
    const { codes, faultTable, tensors } = memoryImage(trial, 'pass', [[ROWS, COLUMNS]]);
    const { stored, image, faults } = tensors[0];
    const returned = trial.results(image.words.length);
    recordFetchCodes(trial.recorder, { tensor: stored, codes, faultTable, returned, passOffset: 0 });
    trial.expectWords(returned, fetchCodes(image, faults(PASS)));
  },
  prepare(program) {
    program.setStep({ passIndex: PASS });
  },
};

const activationsCheck: Check = {
  kernel: 'store_activations',
  record(trial) {
    // Three images of two rows each; blocks extend over more than one row.
    const [images, rows, columns] = [3, 2, 37];
    const memory = checkedMemory(FIXED);
    const { faultTable, tensors } = memoryImage(trial, 'inference', [[1, 16]], memory);
    const { stored, image, faults } = tensors[0];
    const values = numbers(images * rows * columns, 2, 1.1);
    const x = trial.matrix(images * rows, columns, values);
    recordStoreActivations(trial.recorder, { tensor: stored, x, images, faultTable });
    const shape = { elements: rows * x.stride, columns, stride: x.stride };
    const padded = pad(values, images * rows, columns, x.stride);
    const samplerOf = (index: number) => faults(PASS, index);
    trial.expectWords(x, storeActivations(padded, shape, image.codec, FIRST_IMAGE, samplerOf));
  },
  prepare(program) {
    program.setStep({ passIndex: PASS });
    program.setStep({ firstImage: FIRST_IMAGE });
  },
};

function noiseCheck(kind: NoiseKind): Check {
  const scale = 0.25;
  return {
    kernel: `materialise_noise ${kind}`,
    record(trial) {
      const weights = numbers(SIZE, 1);
      const stride = roundUp(COLUMNS, BLOCK_CODES);
      const key = tensorKey(5, 0, 0);
      const faultTable = new Uint32Array(FAULT_ENTRY_WORDS);
      writeDraw(faultTable, 0, { key, device: key, load: READ, read: READ });
      writeScale(faultTable, 0, { granularity: 'load', scale, inverse: 0, bits: 0 });
      const fetched = trial.results(ROWS * stride);
      recordNoise(trial.recorder, {
        tensor: { map: 0, rows: ROWS, columns: COLUMNS, stride },
        kind,
        weights: trial.matrix(ROWS, COLUMNS, weights),
        faultTable: trial.buffer(faultTable),
        fetched,
        passOffset: 0,
      });
      const padded = pad(weights, ROWS, COLUMNS, stride);
      const expected = noiseTensor(padded, COLUMNS, stride, readKey(key, READ), kind, scale);
      // WGSL lets cos be off by 2^-11 and ln by 2^-21; the largest radius is 5.8.
      trial.expect(fetched, expected, { relative: 1e-6, absolute: scale * 5.8 * 2 ** -11 });
    },
  };
}

export const MEMORY: readonly Check[] = [
  ...FORMATS.map((format) => encodeCheck(format)),
  encodeCheck(FIXED, 'faithful'),
  ...FORMATS.map((format) => materialiseCheck(format.kind, checkedMemory(format))),
  materialiseCheck('many sources and ECC', MANY_SOURCES),
  encodeCheck(COMPLEMENT),
  materialiseCheck("two's complement", checkedMemory(COMPLEMENT)),
  materialiseCheck('bad rows', ROW_FAULTS),
  materialiseCheck('early reads', LATENCY_FAULTS),
  materialiseCheck('bad rows and others', { ...ROW_FAULTS, faults: [...ROW_FAULTS.faults, ...LATENCY_FAULTS.faults] }),
  materialiseCheck('inverted storage', { ...MANY_SOURCES, inverted: true }),
  materialiseCheck('without faults', { ...checkedMemory(FIXED), faults: [] }),
  fetchCodesCheck,
  activationsCheck,
  ...NOISE_KINDS.map(noiseCheck),
];
