import type { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import type { ParameterSlice } from '../../src/layers/parameters.ts';
import { packCodes } from '../../src/memory/codec.ts';
import type { FaultModel, MemoryConfigInput } from '../../src/memory/config.ts';

export type Layer = MemoryConfigInput['layers'][string];

/** A geometry so small that tensors of a few kilobytes lie in several banks and many rows. */
export const SMALL_GEOMETRY = { banks: 8, rows: 4096, rowBytes: 64 } as const;

/** Faults in 3 % of the bits, drawn anew at every read. */
export const UNIFORM: FaultModel = { kind: 'uniform', bitErrorRate: 0.03, drawn: 'read' };

/** Memories with every format, every fault model, and combinations of them. */
export const MEMORIES: Readonly<Record<string, Layer>> = {
  'fixed point of 12 bits': { kind: 'stored', faults: [UNIFORM] },
  'fixed point of 7 bits': { kind: 'stored', format: { kind: 'fixed', bits: 7 }, faults: [UNIFORM] },
  'fixed point of 3 bits': { kind: 'stored', format: { kind: 'fixed', bits: 3 }, faults: [UNIFORM] },
  'fixed point of 2 bits': { kind: 'stored', format: { kind: 'fixed', bits: 2 }, faults: [UNIFORM] },
  'fixed point of 16 bits, truncating': {
    kind: 'stored',
    format: { kind: 'fixed', bits: 16, encoding: 'faithful' },
    faults: [UNIFORM],
  },
  int8: { kind: 'stored', format: { kind: 'int8' }, faults: [UNIFORM] },
  'int8 with a scale per channel': {
    kind: 'stored',
    format: { kind: 'int8', scale: 'per-channel' },
    faults: [UNIFORM],
  },
  int4: { kind: 'stored', format: { kind: 'int4' }, faults: [UNIFORM] },
  'int4 with a scale per channel': {
    kind: 'stored',
    format: { kind: 'int4', scale: 'per-channel' },
    faults: [UNIFORM],
  },
  fp32: { kind: 'stored', format: { kind: 'fp32' }, faults: [UNIFORM] },
  'fp32, zeros for what is not finite': {
    kind: 'stored',
    format: { kind: 'fp32', nonFinite: 'zero' },
    faults: [UNIFORM],
  },
  fp16: { kind: 'stored', format: { kind: 'fp16' }, faults: [UNIFORM] },
  'fp16, saturating': { kind: 'stored', format: { kind: 'fp16', nonFinite: 'saturate' }, faults: [UNIFORM] },
  bf16: { kind: 'stored', format: { kind: 'bf16' }, faults: [UNIFORM] },
  'bf16, saturating': { kind: 'stored', format: { kind: 'bf16', nonFinite: 'saturate' }, faults: [UNIFORM] },
  asymmetric: { kind: 'stored', faults: [{ kind: 'asymmetric', zeroToOne: 0.05, oneToZero: 0.01 }] },
  'stuck cells': { kind: 'stored', faults: [{ kind: 'stuck-at', zero: 0.04, one: 0.02 }] },
  'bit planes': { kind: 'stored', faults: [{ kind: 'bit-plane', rates: [0.2, 0.1, 0, 0.05, 0.01] }] },
  'protected bits': { kind: 'stored', faults: [UNIFORM], protectedBits: 3 },
  'EDEN EM0': { kind: 'stored', faults: [{ kind: 'eden', model: 'EM0', weakCells: 0.08, failure: 0.4 }] },
  'EDEN EM1': {
    kind: 'stored',
    faults: [
      {
        kind: 'eden',
        model: 'EM1',
        lines: [
          { share: 0.1, weakCells: 0.3, failure: 0.5 },
          { share: 0.5, weakCells: 0.02 },
        ],
      },
    ],
  },
  'EDEN EM2': { kind: 'stored', faults: [{ kind: 'eden', model: 'EM2', lines: [{ share: 0.5, weakCells: 0.1 }] }] },
  'EDEN EM3': {
    kind: 'stored',
    faults: [{ kind: 'eden', model: 'EM3', weakCells: 0.1, failureOfOnes: 0.8, failureOfZeros: 0.1 }],
  },
  clustered: { kind: 'stored', faults: [{ kind: 'clustered', lines: 0.3, bitErrorRate: 0.05 }] },
  'a measured DIMM': { kind: 'stored', faults: [{ kind: 'voltage', vendor: 'C', volts: 1.15 }] },
  'the bad rows of a measured DIMM': { kind: 'stored', faults: [{ kind: 'rows', volts: 1.15, bitErrorRate: 0.1 }] },
  'a measured DIMM that is read early': { kind: 'stored', faults: [{ kind: 'latency', vendor: 'B', tRCD: 7.5 }] },
  'an SRAM chip': {
    kind: 'stored',
    format: { kind: 'int8' },
    faults: [{ kind: 'sram-chip', profile: 'chip2-high' }],
  },
  SECDED: { kind: 'stored', faults: [{ kind: 'uniform', bitErrorRate: 0.01 }], ecc: {} },
  'SECDED that passes on what it detects, int8': {
    kind: 'stored',
    format: { kind: 'int8' },
    faults: [{ kind: 'uniform', bitErrorRate: 0.02 }],
    ecc: { detected: 'pass' },
  },
  'SECDED over stored values, int4': {
    kind: 'stored',
    format: { kind: 'int4' },
    faults: [{ kind: 'asymmetric', zeroToOne: 0.03, oneToZero: 0.01 }],
    ecc: {},
  },
  'SECDED of fp32 by bitlines': {
    kind: 'stored',
    format: { kind: 'fp32', nonFinite: 'zero' },
    faults: [{ kind: 'eden', model: 'EM1', lines: [{ share: 0.2, weakCells: 0.1, failure: 0.5 }] }],
    ecc: {},
  },
  'SECDED scrubbed on load, with stuck cells': {
    kind: 'stored',
    faults: [
      { kind: 'uniform', bitErrorRate: 0.01, drawn: 'load' },
      { kind: 'uniform', bitErrorRate: 0.01 },
      { kind: 'stuck-at', zero: 0.005, one: 0.005 },
    ],
    ecc: { scrub: true },
  },
  "two's complement of 12 bits": {
    kind: 'stored',
    format: { kind: 'fixed', representation: 'twos-complement' },
    faults: [UNIFORM],
  },
  "two's complement of 5 bits": {
    kind: 'stored',
    format: { kind: 'fixed', bits: 5, representation: 'twos-complement' },
    faults: [UNIFORM],
  },
  "two's complement of 16 bits": {
    kind: 'stored',
    format: { kind: 'fixed', bits: 16, representation: 'twos-complement' },
    faults: [UNIFORM],
  },
  'inverted storage': {
    kind: 'stored',
    faults: [{ kind: 'asymmetric', zeroToOne: 0.08, oneToZero: 0.01 }],
    inverted: true,
  },
  'inverted storage, int8': {
    kind: 'stored',
    format: { kind: 'int8' },
    faults: [{ kind: 'asymmetric', zeroToOne: 0.01, oneToZero: 0.05 }],
    inverted: true,
  },
  'inverted storage under protected bits, int4': {
    kind: 'stored',
    format: { kind: 'int4' },
    faults: [{ kind: 'stuck-at', zero: 0.1, one: 0.02 }],
    protectedBits: 1,
    inverted: true,
  },
  'inverted storage, fp32': {
    kind: 'stored',
    format: { kind: 'fp32', nonFinite: 'zero' },
    faults: [{ kind: 'eden', model: 'EM3', weakCells: 0.1, failureOfOnes: 0.1, failureOfZeros: 0.5 }],
    inverted: true,
  },
  'inverted storage under SECDED': {
    kind: 'stored',
    faults: [{ kind: 'asymmetric', zeroToOne: 0.03, oneToZero: 0.003 }],
    ecc: {},
    inverted: true,
  },
  'inverted storage of symmetric faults': {
    kind: 'stored',
    faults: [{ kind: 'clustered', lines: 0.3, bitErrorRate: 0.05 }],
    inverted: true,
  },
  'reordered bits': {
    kind: 'stored',
    format: { kind: 'bf16', nonFinite: 'saturate' },
    faults: [{ kind: 'bit-plane', rates: [0.01, 0.2, 0, 0.05, 0.3, 0.02] }],
    reordered: true,
  },
};

/** The memory image of a parameter, encoded by the reference. @param weights all parameters in the padded layout */
export function encodedImage(memory: ApproximateMemory, slice: ParameterSlice, weights: Float32Array) {
  const { name, rows, columns, stride, offset } = slice;
  const codec = memory.codecOf(name);
  const codes = Array.from(weights.subarray(offset, offset + rows * stride), (weight, i) =>
    codec.encode(weight, Math.floor(i / stride)),
  );
  return { words: packCodes(codes, codec.storageBits), rows, columns, stride, codec };
}
