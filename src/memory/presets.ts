/** Named memory configurations: published or measured ones, and examples of every kind of error model. */
import { ConfigError } from '../errors.ts';
import type { MemoryConfigInput } from './config.ts';
import type { Drawn } from './faults/model.ts';
import type { FloatKind } from './floating_point.ts';
import type { IntegerKind } from './integer.ts';
import { SRAM_CHIPS, type SramProfile } from './sram_chips.ts';
import type { Vendor } from './undervolting.ts';

export interface Preset {
  readonly name: string;
  /** One or more sentences, with the source of the numbers where there is one. */
  readonly description: string;
  readonly memory: MemoryConfigInput;
}

type StoredInput = Extract<MemoryConfigInput['layers'][string], { kind: 'stored' }>;
type FaultInput = NonNullable<StoredInput['faults']>[number];

/** The same memory for every layer. */
function memory(stored: Omit<StoredInput, 'kind'>, rest: Omit<MemoryConfigInput, 'layers'> = {}): Preset['memory'] {
  return { ...rest, layers: { '*': { kind: 'stored', ...stored } } };
}

function uniform(bitErrorRate: number, drawn: Drawn = 'read'): FaultInput {
  return { kind: 'uniform', bitErrorRate, drawn };
}

/** The places of bits 5 and 11 of a code fail. */
const BAD_PLACES: FaultInput = { kind: 'bit-plane', rates: [0, 0, 0, 0, 0, 0.06, 0, 0, 0, 0, 0, 0.06] };

/** Every draw is another chip: its faults lie elsewhere. */
const PER_CHIP = { granularity: 'chip' } as const;

const PUBLISHED = 'MIDAS, AsianHOST 2020';
const EDEN =
  'EDEN, Koppula et al., MICRO 2019; the rates are an example with a mean of 0.1 %, not measured; every draw is another chip';
const CHANG = 'Chang et al., SIGMETRICS 2017; that 5 % of the bits of a bad line flip is an assumption';
const STUTZ = 'Stutz et al., MLSys 2021';

/** A number format at one uniform rate. */
function format(kind: IntegerKind | FloatKind, what: string): Preset {
  const stored = kind === 'int8' || kind === 'int4' ? { kind } : ({ kind, nonFinite: 'saturate' } as const);
  return {
    name: kind,
    description: `${what}; every bit flips with probability 0.1 %, for a comparison of formats.`,
    memory: memory({ format: stored, faults: [uniform(1e-3)] }),
  };
}

/**
 * @param dimm number of a single DIMM, if not all were measured at that voltage: then every draw is another chip with the same
 *   share of bad lines; otherwise every draw is another DIMM
 */
function dram(vendor: Vendor, volts: string, what: string, dimm?: number): Preset {
  const faults: FaultInput[] = [{ kind: 'voltage', vendor, volts: Number(volts), ...(dimm !== undefined && { dimm }) }];
  return {
    name: `dram-${vendor.toLowerCase()}-${volts}v`,
    description: `DDR3L DRAM of vendor ${vendor} at ${volts} V: ${what} (${CHANG}).`,
    memory: memory({ faults }, PER_CHIP),
  };
}

const ROWS =
  'Chang et al., SIGMETRICS 2017; where rows are bad was measured, that 5 % of their bits flip is an assumption';
const EARLY =
  'Chang et al., SIGMETRICS 2016; rates by bank and stored value were measured, that errors are independent is assumed';

/** Rows of one measured DIMM; every draw is another chip with the same map. */
function rows(dimm: string, volts: string, what: string): Preset {
  return {
    name: `rows-${dimm.toLowerCase()}-${volts}v`,
    description: `DDR3L DRAM, rows of DIMM ${dimm} at ${volts} V: ${what}; every draw is another chip like it (${ROWS}).`,
    memory: memory({ faults: [{ kind: 'rows', dimm, volts: Number(volts) }] }, PER_CHIP),
  };
}

/** All DIMMs of a vendor that were measured at a timing; every draw is another. */
function latency(vendor: Vendor, tRCD: number, what: string): Preset {
  return {
    name: `latency-${vendor.toLowerCase()}-${tRCD}ns`,
    description: `DDR3 DRAM of vendor ${vendor} that is read ${tRCD} ns after its row is activated (standard: 13.75 ns): ${what} (${EARLY}).`,
    memory: memory({ faults: [{ kind: 'latency', vendor, tRCD }] }, PER_CHIP),
  };
}

function sram(profile: SramProfile): Preset {
  const { total, zeroToOne, oneToZero } = SRAM_CHIPS[profile];
  const percent = (share: number) => `${Number((100 * share).toPrecision(4))} %`;
  const [chip, level] = profile.split('-');
  return {
    name: `sram-${profile}`,
    description:
      `SRAM ${chip.replace('chip', 'chip ')} at its ${level} error rate, ${percent(total)} of cells faulty ` +
      `(0 to 1 ${percent(zeroToOne)}, 1 to 0 ${percent(oneToZero)}), under 8-bit integers; every draw is another chip (${STUTZ}).`,
    memory: memory({ format: { kind: 'int8' }, faults: [{ kind: 'sram-chip', profile }] }, PER_CHIP),
  };
}

/** All presets; {@link parseMemoryConfig} validates the `memory` of one against the layers of a model. */
export const PRESETS: readonly Preset[] = [
  {
    name: 'uniform-0.01',
    description: `12-bit fixed point; every bit flips with probability 1 %, drawn at each load (${PUBLISHED}).`,
    memory: memory({ faults: [uniform(0.01)] }),
  },
  {
    name: 'uniform-0.0625',
    description: `12-bit fixed point; every bit flips with probability 6.25 %, drawn at each load (${PUBLISHED}).`,
    memory: memory({ faults: [uniform(0.0625)] }),
  },
  {
    name: 'published-faithful',
    description:
      'As uniform-0.0625, including the bugs of the published code: truncation, wrap-around, and the exponent of fc1 for ' +
      `every layer (${PUBLISHED}; there only fc1 and fc2 are in this memory).`,
    memory: memory({
      format: { kind: 'fixed', encoding: 'faithful', exponent: { layer: 'fc1' } },
      faults: [uniform(0.0625)],
    }),
  },
  format('int8', '8-bit integers, one scale per tensor'),
  format('int4', '4-bit integers, one scale per tensor'),
  format('fp16', 'IEEE binary16, infinities and NaN read as the largest finite value'),
  format('bf16', 'bfloat16, infinities and NaN read as the largest finite value'),
  format('fp32', 'IEEE binary32, infinities and NaN read as the largest finite value'),
  {
    name: 'asymmetric',
    description:
      'Cells lose charge more often than they gain it: a 1 reads as 0 with probability 1.8 %, a 0 as 1 with 0.2 % (an ' +
      'example).',
    memory: memory({ faults: [{ kind: 'asymmetric', zeroToOne: 0.002, oneToZero: 0.018 }] }),
  },
  {
    name: 'asymmetric-inverted',
    description:
      'As asymmetric, but 16 weights at a time are stored inverted where that puts fewer cells into the state 1, which fails more ' +
      'often (an example of a defence).',
    memory: memory({ faults: [{ kind: 'asymmetric', zeroToOne: 0.002, oneToZero: 0.018 }], inverted: true }),
  },
  {
    name: 'twos-complement',
    description:
      "As uniform-0.01, with negative weights in two's complement instead of sign and magnitude (an example).",
    memory: memory({ format: { kind: 'fixed', representation: 'twos-complement' }, faults: [uniform(0.01)] }),
  },
  {
    name: 'bit-planes',
    description:
      'Two of the twelve places of a code fail with probability 6 %, among them that of the sign (an example).',
    memory: memory({ faults: [BAD_PLACES] }),
  },
  {
    name: 'bit-planes-reordered',
    description: 'As bit-planes, with the bits that weigh least in the two bad places (an example of a defence).',
    memory: memory({ faults: [BAD_PLACES], reordered: true }),
  },
  {
    name: 'stuck-at',
    description: '0.5 % of the cells always read 0 and as many always read 1; every draw is another chip (an example).',
    memory: memory({ faults: [{ kind: 'stuck-at', zero: 0.005, one: 0.005 }] }, PER_CHIP),
  },
  {
    name: 'msb-protected',
    description:
      'As uniform-0.01, with the sign bit of every weight in memory without errors (an example of a defence).',
    memory: memory({ faults: [uniform(0.01)], protectedBits: 1 }),
  },
  {
    name: 'ecc-secded',
    description:
      'Every bit flips with probability 0.1 % under SECDED(72,64): single errors are corrected, double errors read as ' +
      'zeros (an example).',
    memory: memory({ faults: [uniform(1e-3)], ecc: {} }),
  },
  {
    name: 'ecc-secded-scrubbed',
    description:
      'As ecc-secded, but half of the flips occur once per load and are scrubbed then, the other half in each pass (an ' +
      'example).',
    memory: memory({ faults: [uniform(5e-4, 'load'), uniform(5e-4)], ecc: { scrub: true } }, { granularity: 'pass' }),
  },
  {
    name: 'eden-em0',
    description: `Weak cells are 0.2 % of the cells, equally likely everywhere, and fail in half of the reads (${EDEN}).`,
    memory: memory({ faults: [{ kind: 'eden', model: 'EM0', weakCells: 0.002, failure: 0.5 }] }, PER_CHIP),
  },
  {
    name: 'eden-em1',
    description: `Weak cells lie along bitlines: 0.15 % of the bitlines are bad, 2 % poor (${EDEN}).`,
    memory: memory(
      {
        faults: [
          {
            kind: 'eden',
            model: 'EM1',
            lines: [
              { share: 0.0015, weakCells: 0.5, failure: 0.9 },
              { share: 0.02, weakCells: 0.0325, failure: 0.5 },
            ],
          },
        ],
      },
      PER_CHIP,
    ),
  },
  {
    name: 'eden-em2',
    description: `Weak cells lie along wordlines: 2 % of the wordlines are bad, 10 % poor (${EDEN}).`,
    memory: memory(
      {
        faults: [
          {
            kind: 'eden',
            model: 'EM2',
            lines: [
              { share: 0.02, weakCells: 0.07, failure: 0.5 },
              { share: 0.1, weakCells: 0.006, failure: 0.5 },
            ],
          },
        ],
      },
      PER_CHIP,
    ),
  },
  {
    name: 'eden-em3',
    description: `Weak cells, 0.2 % of all, fail in 80 % of the reads if they store a 1, in 20 % if they store a 0 (${EDEN}).`,
    memory: memory(
      {
        faults: [{ kind: 'eden', model: 'EM3', weakCells: 0.002, failureOfOnes: 0.8, failureOfZeros: 0.2 }],
      },
      PER_CHIP,
    ),
  },
  dram('A', '1.100', 'DIMM A6, the median of the nine measured there, shows errors in 8.9 % of its cache lines', 5),
  dram('B', '1.050', 'DIMM B4, the median of the nine measured there, shows errors in 0.027 % of its cache lines', 3),
  dram('C', '1.250', 'every draw is another of nine DIMMs, with errors in 0 to 25 % of their cache lines'),
  dram('C', '1.200', 'every draw is another of nine DIMMs, with errors in 4.5 to 49 % of their cache lines'),
  dram('C', '1.150', 'draws 0 to 5 are the DIMMs C1 to C6, with errors in 16 to 50 % of their cache lines'),
  rows('C1', '1.250', 'half of the rows of bank 2 and 44 % of bank 6 are bad, and nearly none elsewhere'),
  rows('C1', '1.125', 'every other band of rows is bad in all banks'),
  latency('A', 7.5, 'every draw is another of eight DIMMs; medians are 0.036 % of zeros and 0.025 % of ones'),
  latency('B', 7.5, 'every draw is another of nine DIMMs; medians are 3.7 % of zeros and 1.0 % of ones'),
  latency('C', 5, 'every draw is another of thirteen DIMMs; medians are 24 % of zeros and 1.3 % of ones'),
  ...(Object.keys(SRAM_CHIPS) as SramProfile[]).map(sram),
  {
    name: 'refresh-relaxed',
    description:
      'DRAM that is refreshed too rarely has a bit error rate of about 1.5e-7, with the same weak cells in every read. ' +
      'That is too low to defend anything; every draw is another chip.',
    memory: memory({ faults: [uniform(1.5e-7, 'chip')] }, PER_CHIP),
  },
];

/** Finds the preset of this name. @throws ConfigError for an unknown name; the message lists the closest names */
export function findPreset(name: string): Preset {
  const found = PRESETS.find((preset) => preset.name === name);
  if (found) return found;
  const close = closestNames(name);
  throw new ConfigError(
    `no memory configuration is named ${name}; ` +
      `${close.length > 0 ? `the closest are ${close.join(', ')}; ` : ''}midas memory list shows all names`,
  );
}

/** At most five names that begin with the same three letters or differ in at most two letters. */
function closestNames(name: string): string[] {
  const start = name.slice(0, 3).toLowerCase();
  return PRESETS.map((preset) => ({ name: preset.name, distance: editDistance(name.toLowerCase(), preset.name) }))
    .filter((near) => near.distance <= 2 || (start !== '' && near.name.startsWith(start)))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 5)
    .map((near) => near.name);
}

/** Levenshtein distance: how many letters must be inserted, deleted or replaced. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length];
}
