/**
 * `npx tsx bench/measured_tables.ts ROWS.json LATENCY.json` writes the tables of measured DRAM in src/memory/measured from the
 * two published data sets, and prints their size. Each input has an object with `about`, which names the publication.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

interface RowMapEntry {
  readonly dimm: string;
  readonly volts: number;
  /** Share of rows with an error in per cent, for each bank and bin of rows. */
  readonly rows: readonly (readonly number[])[];
  /** False if the mean over the rows contradicts the share of lines with errors, which was measured separately. */
  readonly agrees: boolean | null;
}

interface LatencyEntry {
  readonly vendor: string;
  readonly dimm: string;
  readonly tRCD: number;
  readonly tRP: number;
  readonly pattern: '0x0' | '0xff';
  readonly banks: readonly number[];
}

const HEADER = '// Written by bench/measured_tables.ts.\n';

function rowTable(maps: readonly RowMapEntry[]): string {
  const kept = maps.filter(({ agrees }) => agrees !== false);
  kept.sort((a, b) => (a.dimm === b.dimm ? b.volts - a.volts : a.dimm < b.dimm ? -1 : 1));
  const hex = (percent: number) => percent.toString(16).padStart(2, '0');
  const entries = kept.map(({ dimm, volts, rows }) => {
    const banks = rows.map((row) => `    '${row.map(hex).join('')}',`).join('\n');
    return `  { dimm: '${dimm}', volts: ${volts}, banks: [\n${banks}\n  ] },`;
  });
  return `${HEADER}/**
 * Share of DRAM rows with at least one erroneous bit, in per cent, in bins of neighbouring rows of each bank, at reduced supply
 * voltage. Read off the rasters of K. K. Chang et al., "Understanding Reduced-Voltage Operation in Modern DRAM Devices",
 * SIGMETRICS 2017 (github.com/CMU-SAFARI/DRAM-Voltage-Study, characterization_results/spatial_locality, BSD 3-Clause), which
 * cannot tell shares below 1 per cent from 0. Maps whose mean contradicts the share of lines with errors of the same study are
 * left out: C4 at 1.25 and 1.2 V, C6, and C9 at 1.25 V.
 */
export interface MeasuredRows {
  readonly dimm: string;
  readonly volts: number;
  /** Two hexadecimal digits per bin: per cent of its rows. */
  readonly banks: readonly string[];
}

// biome-ignore format: a table
export const MEASURED_ROWS: readonly MeasuredRows[] = [
${entries.join('\n')}
];
`;
}

function latencyTable(rows: readonly LatencyEntry[]): string {
  const zeros = rows.filter(({ pattern }) => pattern === '0x0');
  const entries = zeros.map(({ vendor, dimm, tRCD, tRP, banks }) => {
    const ones = rows.find(
      (row) => row.dimm === dimm && row.tRCD === tRCD && row.tRP === tRP && row.pattern === '0xff',
    );
    if (!ones) throw new Error(`${dimm} at tRCD ${tRCD}, tRP ${tRP} has no rates of ones`);
    const list = (rates: readonly number[]) => `[${rates.join(', ')}]`;
    return `  ['${vendor}', '${dimm}', ${tRCD}, ${tRP}, ${list(banks)}, ${list(ones.banks)}],`;
  });
  return `${HEADER}/**
 * Bit error rates of DDR3 DIMMs read with reduced timings, bank by bank, of cells that all store 0 and of cells that all store
 * 1 (means of several runs at 20 degrees Celsius). Computed from the data of K. K. Chang et al., "Understanding Latency Variation
 * in Modern DRAM Chips", SIGMETRICS 2016 (github.com/CMU-SAFARI/DRAM-Latency-Variation-Study, BSD 3-Clause).
 */
export type MeasuredLatency = readonly [
  vendor: 'A' | 'B' | 'C',
  dimm: string,
  /** Nanoseconds; one of the two is reduced, and the other is 12.5. The standard asks for 13.75. */
  tRCD: number,
  tRP: number,
  zeroToOne: readonly number[],
  oneToZero: readonly number[],
];

// biome-ignore format: a table
export const MEASURED_LATENCY: readonly MeasuredLatency[] = [
${entries.join('\n')}
];
`;
}

const [rowFile, latencyFile] = process.argv.slice(2);
const read = (file: string) => JSON.parse(readFileSync(file, 'utf8'));
const tables = {
  'row_maps.ts': rowTable(read(rowFile).maps),
  'latency_rates.ts': latencyTable(read(latencyFile).rows),
};
for (const [name, text] of Object.entries(tables)) {
  writeFileSync(fileURLToPath(new URL(`../src/memory/measured/${name}`, import.meta.url)), text);
  process.stdout.write(`${name}: ${text.length} bytes\n`);
}
