/** Proofs of the fault models whose cells fail one by one: rates, nesting, independence. */
import type { FaultModel } from '../../memory/config.ts';
import { SRAM_CHIPS, SRAM_PROFILES } from '../../memory/sram_chips.ts';
import { dimmOfChip, voltageRange } from '../../memory/undervolting.ts';
import {
  byStored,
  type Count,
  exactly,
  FORMATS,
  judge,
  type Layer,
  type Plane,
  type Proof,
  type ProofSize,
  rateOf,
  stored,
  uniform,
} from './proof.ts';
import { countBits, type Specimen } from './specimen.ts';

export async function* uniformRates(specimen: Specimen, { bits }: ProofSize): AsyncGenerator<Proof> {
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
  await specimen.load(stored([uniform(1.5e-7)]));
  const planes = specimen.planes(await specimen.wrong());
  yield judge(
    'uniform errors at 1.5e-7, the rate of the refresh preset, occur at that rate',
    rateOf('rate', 1.5e-7, planes).slice(-1),
  );
}

export async function* everyBit(specimen: Specimen): AsyncGenerator<Proof> {
  const wrong = async (rate: number) => {
    await specimen.load(stored([uniform(rate)]));
    return countBits(await specimen.wrong());
  };
  const [none, every] = [await wrong(0), await wrong(1)];
  const all = (specimen.stored.length * 32 * 12) / 16;
  yield exactly('at rate 0 no bit errs, and at rate 1 every bit errs', none + (all - every), `${2 * all} bits`);
}

/** Counts words in which a failed cell is lost, or a new one appears, from one read of a list to the next. */
export async function violations(
  reads: readonly (() => Promise<Uint32Array>)[],
): Promise<{ lost: number; grown: number }> {
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

export async function* nested(specimen: Specimen): AsyncGenerator<Proof> {
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
}

export async function* nestedByVoltage(specimen: Specimen): AsyncGenerator<Proof> {
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

export async function* independent(specimen: Specimen): AsyncGenerator<Proof> {
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

export async function* models(specimen: Specimen): AsyncGenerator<Proof> {
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
