/** What a proof of the memory consists of: counts of events of known probability, and values that should be equal. */
import { type FaultModel, type MemoryConfigInput, NUMBER_FORMAT_KINDS } from '../../memory/config.ts';
import { binomialInterval, binomialPValue } from '../../metrics/binomial.ts';

/** One claim and its outcome. */
export interface Proof {
  readonly claim: string;
  readonly measured: string;
  /** P-value of the least likely count, for a claim about probabilities. */
  readonly pValue?: number;
  readonly ok: boolean;
}

/** A count with a smaller p-value fails. A proof has about 3000 counts, so fewer than four in 10^6 proofs fail by chance. */
const SMALLEST_P = 1e-9;

export type Layer = Extract<MemoryConfigInput['layers'][string], { kind: 'stored' }>;

/** Numbers of cells of one bit plane that store 0 and 1, and of those that were read wrongly. */
export interface Plane {
  zeros: number;
  ones: number;
  wrongZeros: number;
  wrongOnes: number;
}

/** The number of times that an event of known probability occurred, and the number of trials. */
export interface Count {
  readonly of: string;
  readonly times: number;
  readonly trials: number;
  readonly probability: number;
}

/** Geometry and seed of every memory that is proved. */
export const GEOMETRY = { banks: 8, rows: 32768, rowBytes: 8192 } as const;
export const SEED = 2026;

/** Tests counts against their probabilities; the least likely count decides. */
export function judge(claim: string, counts: readonly Count[]): Proof {
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

/** Counts of wrong bits, plane by plane and in all planes, each of one probability. */
export const rateOf = (of: string, probability: number, planes: readonly Plane[]): Count[] => [
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

/** Counts of wrong bits, plane by plane, apart for cells that store 0 and 1. */
export const byStored = (planes: readonly Plane[], ofZeros: number, ofOnes: number): Count[] =>
  planes.flatMap(({ zeros, ones, wrongZeros, wrongOnes }, plane) => [
    { of: `0 read as 1, plane ${plane}`, times: wrongZeros, trials: zeros, probability: ofZeros },
    { of: `1 read as 0, plane ${plane}`, times: wrongOnes, trials: ones, probability: ofOnes },
  ]);

/** A claim that holds only if nothing differs. */
export const exactly = (claim: string, differences: number, of: string): Proof => ({
  claim,
  measured: `${differences} differences in ${of}`,
  ok: differences === 0,
});

export const stored = (faults: FaultModel[], rest: Partial<Layer> = {}): Layer => ({ kind: 'stored', faults, ...rest });
export const uniform = (bitErrorRate: number): FaultModel => ({ kind: 'uniform', bitErrorRate, drawn: 'read' });

export const FORMATS: readonly NonNullable<Layer['format']>[] = NUMBER_FORMAT_KINDS.map((kind) => ({ kind }));

/** The number of weights and bits that are counted. */
export interface ProofSize {
  /** Rows of 4096 weights of the large tensor; 2048 make 10^8 bits of 12-bit codes. */
  readonly rows: number;
  /** Smallest number of bits over which each rate of a format is counted. */
  readonly bits: number;
}
