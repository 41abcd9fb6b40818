/** Proofs of measured memories: bad rows and nesting over voltages, rates by bank and stored value, and address mappings. */
import type { Gpu } from '../../gpu/device.ts';
import { addressOf, capacityOf, type Geometry, MAPPING_NAMES, placeOf } from '../../memory/addresses.ts';
import type { FaultModel } from '../../memory/config.ts';
import { pcg4d } from '../../memory/hash.ts';
import { MEASURED_LATENCY } from '../../memory/measured/latency_rates.ts';
import { MEASURED_ROWS } from '../../memory/measured/row_maps.ts';
import { binOfRow, MAPPED_DIMMS, rowMapOf } from '../../memory/row_maps.ts';
import { violations } from './faults.ts';
import { type Count, exactly, judge, type Proof, SEED, stored } from './proof.ts';
import { countBits, forEachBit, Specimen } from './specimen.ts';

/** Many short rows, nearly all of which the tensor of 256 x 4096 weights takes; a smaller one is enough for counting bits. */
const GEOMETRY = { banks: 8, rows: 1152, rowBytes: 256 } as const;
const WORDS_OF_ROW = GEOMETRY.rowBytes / 4;
const TENSOR_ROWS = { badRows: 256, earlyReads: 16 };

/** Measured timings that are proved, of the 247 of the table: each has a rate for both stored values. */
const TIMINGS = 50;

/** Tests the claims about measured memories. @throws DeviceLostError */
export async function* measured(gpu: Gpu): AsyncGenerator<Proof> {
  const large = await Specimen.create(gpu, TENSOR_ROWS.badRows);
  yield* badRows(large);
  large.destroy();
  const small = await Specimen.create(gpu, TENSOR_ROWS.earlyReads);
  yield earlyReads(await countEarlyReads(small));
  small.destroy();
  yield mappings();
}

async function* badRows(specimen: Specimen): AsyncGenerator<Proof> {
  const counts: Count[] = [];
  let [lost, grown] = [0, 0];
  for (const dimm of MAPPED_DIMMS) {
    const volts = MEASURED_ROWS.filter((map) => map.dimm === dimm).map((map) => map.volts);
    const nested = await violations(
      volts.map((each) => async () => {
        const model: FaultModel = { kind: 'rows', dimm, volts: each, bitErrorRate: 0.05, drawn: 'read' };
        await specimen.load(stored([model]), { granularity: 'chip', geometry: GEOMETRY });
        const wrong = await specimen.wrong();
        const groups = new Map<string, { trials: number; times: number; share: number }>();
        const { shares } = rowMapOf(dimm, each);
        for (let word = 0; word < wrong.length; word += WORDS_OF_ROW) {
          const { bank, row } = placeOf(GEOMETRY, specimen.addressOf(word));
          const share = shares[bank][binOfRow(row, GEOMETRY.rows)];
          const key = `${bank} ${share}`;
          const group = groups.get(key) ?? { trials: 0, times: 0, share };
          group.trials++;
          if (countBits(wrong.subarray(word, word + WORDS_OF_ROW)) > 0) group.times++;
          groups.set(key, group);
        }
        for (const [key, { trials, times, share }] of groups) {
          const of = `${dimm} at ${each} V, bank ${key.split(' ')[0]}: bad rows`;
          counts.push({ of, trials, times, probability: share });
        }
        return wrong;
      }),
    );
    lost += nested.lost;
    grown += nested.grown;
  }
  yield judge(
    `rows: all ${MEASURED_ROWS.length} measured maps have their shares of bad rows in every bank and band`,
    counts,
  );
  yield {
    claim: `cells that fail at a measured voltage fail at every lower one, rows of ${MAPPED_DIMMS.length} DIMMs`,
    measured: `${lost} words lose a failure, ${grown} gain one`,
    ok: lost === 0 && grown > 0,
  };
}

async function countEarlyReads(specimen: Specimen): Promise<Count[]> {
  const counts: Count[] = [];
  for (let i = 0; i < TIMINGS; i++) {
    const at = pcg4d(i, SEED, 0, 0)[0] % MEASURED_LATENCY.length;
    const [vendor, dimm, tRCD, tRP, ...rates] = MEASURED_LATENCY[at];
    const timing = tRP === 12.5 ? { tRCD } : { tRP };
    const model: FaultModel = { kind: 'latency', vendor, dimm, ...timing, drawn: 'read' };
    await specimen.load(stored([model]), { granularity: 'chip', geometry: GEOMETRY });
    const { bits, storageBits } = specimen.codec;
    const wrong = await specimen.wrong();
    const banks = Array.from({ length: GEOMETRY.banks }, () => ({ cells: [0, 0], failed: [0, 0] }));
    for (let word = 0; word < wrong.length; word += WORDS_OF_ROW) {
      const { cells, failed } = banks[placeOf(GEOMETRY, specimen.addressOf(word)).bank];
      const codes = specimen.stored.subarray(word, word + WORDS_OF_ROW);
      const ones = countBits(codes);
      cells[1] += ones;
      cells[0] += (WORDS_OF_ROW * 32 * bits) / storageBits - ones;
      forEachBit(wrong.subarray(word, word + WORDS_OF_ROW), (k, bit) => {
        failed[(codes[k] >>> bit) & 1]++;
      });
    }
    for (const [bank, { cells, failed }] of banks.entries()) {
      for (const value of [0, 1]) {
        const of = `${dimm} at tRCD ${tRCD}, tRP ${tRP} ns, bank ${bank}, cells that store ${value}:`;
        counts.push({ of, times: failed[value], trials: cells[value], probability: rates[value][bank] });
      }
    }
  }
  return counts;
}

function earlyReads(counts: readonly Count[]): Proof {
  return judge(`latency: ${2 * TIMINGS} rows of the measured table err at their rates in every bank`, counts);
}

/** Visits every address of a small memory in every mapping. */
function mappings(): Proof {
  let [wrong, visited] = [0, 0];
  for (const mapping of MAPPING_NAMES) {
    const geometry: Geometry = { channels: 2, banks: 4, rows: 24, rowBytes: 512, mapping };
    const taken = new Uint8Array(capacityOf(geometry));
    for (let address = 0; address < taken.length; address++) {
      const place = placeOf(geometry, address);
      const cell = (place.bank * geometry.rows + place.row) * geometry.rowBytes + place.column;
      if (taken[cell]++ !== 0 || addressOf(geometry, place) !== address) wrong++;
    }
    visited += taken.length;
  }
  return exactly(
    'every address has its own place in every mapping, and the inverse finds it',
    wrong,
    `${visited} addresses`,
  );
}
