/** `midas memory ...`: prints named memory configurations, and maps the bit flips in one read of a network from a memory. */

import { join } from 'node:path';
import * as v from 'valibot';
import { requireInteger } from '../data/faces.ts';
import { readBytes, writeFileAtomic } from '../data/node/files.ts';
import { ConfigError } from '../errors.ts';
import { Arena } from '../gpu/arena.ts';
import { ApproximateMemory } from '../injection/approximate_memory.ts';
import { checkMemory, chipFaults } from '../injection/placement.ts';
import { FlatParameters, type ParameterSlice } from '../layers/parameters.ts';
import { LINE_BYTES, placeOf } from '../memory/addresses.ts';
import { MemoryConfig, parseMemoryConfig } from '../memory/config.ts';
import { type FlipRate, flippedLines, flipRates, type TensorRead } from '../memory/flips.ts';
import { latencyDimms, measuredTimings } from '../memory/latency.ts';
import { findPreset, PRESETS } from '../memory/presets.ts';
import { MAPPED_DIMMS, mappedVoltages } from '../memory/row_maps.ts';
import { memoryJsonSchema } from '../memory/schema.ts';
import { VENDORS } from '../memory/undervolting.ts';
import { readCheckpoint } from '../models/checkpoint.ts';
import { initializeParameters, modelLayout } from '../models/model_parameters.ts';
import type { ModelSpec } from '../models/model_spec.ts';
import { layerNames, modelName, modelSpec } from '../models/specs.ts';
import { faultMapFigure } from '../results/figures/fault_map.ts';
import { type PlacementMapOptions, placementMapFigure } from '../results/figures/placement_map.ts';
import { formatPercent } from '../results/results.ts';
import { readMemory } from './memory_file.ts';
import { openCommandGpu } from './open_gpu.ts';
import { makeFolder } from './output_file.ts';
import type { Session } from './session.ts';

export interface MapArguments {
  /** Name of a configuration, or path of a file that ends in `.json`. */
  readonly memory: string;
  readonly checkpoint?: string;
  /** Parameter to read; the first stored one by default. */
  readonly tensor?: string;
  readonly draw: number;
  /** Absent if the user gave none; then the seed of the memory file counts. */
  readonly seed?: number;
}

/** Flip rates of a bit plane. NaN becomes null in JSON: a plane in which no one is stored has no rate of flipped ones. */
interface PlaneRate extends FlipRate {
  /** 0 is the lowest bit. */
  readonly plane: number;
}

/** The object that `midas memory map --json` prints. */
export interface FaultMapReport {
  readonly model: string;
  readonly adapter: string;
  /** The whole configuration; a file with it draws the same faults again. */
  readonly memory: MemoryConfig;
  readonly draw: number;
  readonly tensor: { readonly name: string; readonly rows: number; readonly columns: number; readonly bits: number };
  /** Bytes of the tensor's codes, padding included, check bits not. */
  readonly bytes: number;
  /** Highest plane first. Rates count the flips that remain after any error correction. */
  readonly planes: readonly PlaneRate[];
  readonly total: FlipRate;
  readonly cacheLines: { readonly lines: number; readonly flipped: number; readonly rate: number };
  readonly picture: string;
  /** Picture of the banks and rows in which the layers lie, for memories whose faults depend on them. */
  readonly placement?: string;
}

export function memoryList(session: Session): void {
  const wide = Math.max(...PRESETS.map(({ name }) => name.length));
  session.answer(
    PRESETS.map(({ name, description }) => ({ name, description })),
    [...PRESETS.map(({ name, description }) => `${name.padEnd(wide)}  ${description}`), '', ...measuredLines()],
  );
}

/** What was measured, for --voltages and --latency, and what is assumed. */
function measuredLines(): string[] {
  const volts = MAPPED_DIMMS.map((dimm) => `  ${dimm}: ${mappedVoltages(dimm).join(', ')}`);
  const timings = VENDORS.map((vendor) => {
    const of = (name: 'tRCD' | 'tRP') => `${name} ${measuredTimings(vendor, name).join(', ')}`;
    return `  ${vendor}: ${of('tRCD')}; ${of('tRP')}; DIMMs ${latencyDimms(vendor).join(', ')}`;
  });
  return [
    'Measured rows, --voltages C:... or C1:..., in V (Chang et al., SIGMETRICS 2017). Assumed: how many bits of a bad row flip',
    '(--bad-bits); maps between these voltages follow the measured share of bad lines and are marked as interpolated.',
    ...volts,
    'Measured cache lines, --voltages A:... or B:... (the same study): shares only. Assumed: bad lines lie anywhere.',
    'Measured early reads, --latency A:..., in ns (Chang et al., SIGMETRICS 2016). Assumed: cells of a bank fail independently.',
    ...timings,
  ];
}

/** @throws ConfigError for an unknown name */
export function memoryShow(session: Session, name: string): void {
  session.answerJson(v.parse(MemoryConfig, findPreset(name).memory));
}

export function memorySchema(session: Session): void {
  session.answerJson(memoryJsonSchema());
}

/**
 * Stores a network in a memory, reads one parameter once and prints a {@link FaultMapReport} or its table. Draws the flips
 * into `fault_map.png` in `--out`, and the rows in which the layers lie into `placement.png` if faults depend on them.
 *
 * @throws ConfigError for an unknown configuration or parameter, DataError for a file that cannot be read or written,
 *   AdapterError, DeviceLostError
 */
export async function memoryMap(session: Session, args: MapArguments): Promise<void> {
  const { out } = session.options;
  const { draw } = args;
  requireInteger('--draw', draw, 0, 2 ** 31);
  const { input, where } = await readMemory(args.memory);
  const { spec, weights } = await readNetwork(args.checkpoint);
  const parsed = parseMemoryConfig(input, layerNames(spec), where);
  // One seed serves the faults and fresh weights; --seed takes precedence over the file.
  const seed = args.seed ?? parsed.seed;
  const memoryConfig = { ...parsed, seed };
  const layout = modelLayout(spec);
  const stored = layout.slices.filter(({ layer }) => memoryConfig.layers[layer]?.kind === 'stored');
  if (stored.length === 0) throw new ConfigError(`${where}.layers: none of them is stored, so no cell can fail`);
  const slice = args.tensor === undefined ? stored[0] : stored.find(({ name }) => name === args.tensor);
  if (!slice) {
    const names = stored.map(({ name }) => name).join(', ');
    throw new ConfigError(`--tensor ${args.tensor}: no such parameter in this memory; it has ${names}`);
  }
  // Faults that the memory cannot have are refused here, before a folder is made and a device opened.
  checkMemory(memoryConfig, layout, 1, where);
  if (memoryConfig.granularity === 'chip') chipFaults(memoryConfig, memoryConfig.chip + draw, where);
  makeFolder(out);
  const gpu = await openCommandGpu(session);
  try {
    const arena = new Arena(gpu);
    const parameters = new FlatParameters(arena, 'parameters', layout);
    if (weights) gpu.write(parameters.view, weights);
    else await initializeParameters(gpu, parameters, seed);
    const memory = await ApproximateMemory.store(arena, parameters);
    await memory.configure(memoryConfig);
    await memory.load(draw);
    const { storageBits, origin } = memory.faultSamplerOf(slice.name);
    const read: TensorRead = {
      ...slice,
      stored: await memory.readCodes(slice.name),
      returned: await memory.fetchCodes(slice.name),
      storageBits,
      bits: memory.codecOf(slice.name).bits,
    };
    const { planes, total } = flipRates(read);
    const lines = flippedLines(read);
    const picture = join(out, 'fault_map.png');
    const placed = memory.placed.addressOf(slice.name, 0) !== undefined;
    const placement = join(out, 'placement.png');
    const report: FaultMapReport = {
      model: modelName(spec),
      adapter: gpu.adapter.name,
      memory: memoryConfig,
      draw,
      tensor: { name: slice.name, rows: slice.rows, columns: slice.columns, bits: read.bits },
      bytes: (slice.rows * slice.stride * storageBits) / 8,
      planes: planes.map((rates, plane) => ({ plane, ...rates })).reverse(),
      total,
      cacheLines: { ...lines, rate: lines.flipped / lines.lines },
      picture,
      ...(placed && { placement }),
    };
    const { encodePng, svgToPng } = await import('./render.ts');
    const svg = faultMapFigure({
      title: `Faults of ${slice.name} in the memory ${args.memory}`,
      subtitle:
        `${describeTensor(report)}, ${formatPercent(total.rate)} of the bits flipped, ` +
        `${formatPercent(report.cacheLines.rate)} of the cache lines with a flip`,
      read,
      planes,
      geometry: memoryConfig.geometry,
      // A block has 16 codes; `origin` counts blocks, `address` bytes.
      address: origin * 2 * storageBits,
      placed,
      encodePng,
    });
    await writeFileAtomic(picture, svgToPng(svg, 1200));
    if (placed) {
      const { geometry } = memoryConfig;
      const title = `Layers in the memory ${args.memory}, draw ${draw}`;
      const map = placementMapFigure({ title, ...layerRows(memory, stored), rows: geometry.rows });
      await writeFileAtomic(placement, svgToPng(map, 1200));
    }
    session.answer(report, reportLines(report));
  } finally {
    await gpu.close();
  }
}

/** The rows in which every layer lies, and whether rows are bad for it. */
function layerRows(
  memory: ApproximateMemory,
  stored: readonly ParameterSlice[],
): Pick<PlacementMapOptions, 'banks' | 'layers' | 'isBad'> {
  const { placed, config } = memory;
  const { geometry, layers } = config;
  const rowsOf = new Map<string, Set<number>>();
  for (const { name, layer, length } of stored) {
    const { storageBits } = memory.faultSamplerOf(name);
    const rows = rowsOf.get(layer) ?? new Set<number>();
    rowsOf.set(layer, rows);
    // Parts of a tensor of a line each; none of them lies in two rows.
    for (let byte = 0; byte < (length * storageBits) / 8; byte += LINE_BYTES) {
      const { bank, row } = placeOf(geometry, placed.addressOf(name, byte)!);
      rows.add(bank * geometry.rows + row);
    }
  }
  const withRows = stored.find(({ layer }) => {
    const own = layers[layer];
    return own.kind === 'stored' && own.faults.some(({ kind }) => kind === 'rows');
  });
  return {
    banks: (geometry.channels ?? 1) * geometry.banks,
    layers: [...rowsOf].map(([name, rows]) => ({ name, rows })),
    ...(withRows && { isBad: (bank, row) => placed.isBad(withRows.name, bank, row) }),
  };
}

/** The network of a checkpoint; without one, that of the preset `shallow` without weights. */
async function readNetwork(file: string | undefined): Promise<{ spec: ModelSpec; weights?: Uint32Array<ArrayBuffer> }> {
  if (file !== undefined) {
    const { spec, state } = readCheckpoint(await readBytes(file), file);
    return { spec, weights: state.parameters };
  }
  return { spec: modelSpec('mlp', 56 * 64, 40, [200]), weights: undefined };
}

function describeTensor({ tensor, model }: FaultMapReport): string {
  const { name, rows, columns, bits } = tensor;
  return `${name} of ${model}: ${rows} x ${columns} codes of ${bits} bits`;
}

function reportLines(report: FaultMapReport): string[] {
  const { planes, total, cacheLines, bytes, draw, picture } = report;
  const percent = (share: number) =>
    (Number.isNaN(share) ? '-' : `${Number((100 * share).toPrecision(4))} %`).padStart(14);
  const line = (label: string, { flips, cells, rate, rateOfZeros, rateOfOnes }: FlipRate) =>
    label.padEnd(6) +
    String(flips).padStart(10) +
    String(cells).padStart(11) +
    [rate, rateOfZeros, rateOfOnes].map(percent).join('');
  return [
    `${describeTensor(report)}, draw ${draw}`,
    '',
    'plane      flips      cells          rate      of zeros       of ones',
    ...planes.map((rates) => line(String(rates.plane), rates)),
    line('all', total),
    '',
    `cache lines with a flip: ${cacheLines.flipped} of ${cacheLines.lines}, ${formatPercent(cacheLines.rate)}`,
    `bytes: ${bytes}`,
    `picture: ${picture}`,
    ...(report.placement === undefined ? [] : [`where the layers lie: ${report.placement}`]),
  ];
}
