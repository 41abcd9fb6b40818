/**
 * `npm run bench`: measures the speed of the engine and of the adapter. `npm run bench -- --help` lists the options.
 *
 * Cases that are compared take turns in the same rounds, and a ratio is computed within one round: on a busy machine,
 * medians of such ratios are meaningful; ratios of medians are not.
 */
import { arch, cpus, release, type } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import manifest from '../package.json' with { type: 'json' };
import { buildProbes, median } from '../src/cli/doctor.ts';
import { dawnOption } from '../src/cli/experiment_options.ts';
import { writeFileAtomic } from '../src/data/node/files.ts';
import { MidasError } from '../src/errors.ts';
import { Arena } from '../src/gpu/arena.ts';
import type { Gpu } from '../src/gpu/device.ts';
import { packageVersion } from '../src/gpu/node/package.ts';
import { openNodeGpu } from '../src/gpu/node.ts';
import { benchDemo, benchDoctor } from './commands.ts';
import { benchConv } from './conv.ts';
import { benchDeep } from './deep.ts';
import { benchDraws } from './draws_batched.ts';
import { benchGemm } from './gemm.ts';
import { benchGrowth } from './growth.ts';
import { benchHost } from './host.ts';
import { benchInteger } from './integer.ts';
import { benchMasks, benchMeasured } from './masks.ts';
import { benchNetworks } from './networks.ts';
import { benchPage } from './page.ts';
import { benchPeers, type PeersResult } from './peers/peers.ts';
import type { Ceilings } from './roofline.ts';
import { makeRow, type Row, tableLines } from './rows.ts';
import { benchAttack, benchMemory, benchTraining } from './shallow.ts';
import { benchStreaming } from './streaming.ts';
import { benchTiles } from './tiles.ts';
import { CLOCKS, type ClockName, interleave, ratios, type Timing } from './timing.ts';

const GROUPS = [
  'gemm',
  'conv',
  'tiles',
  'streaming',
  'attack',
  'draws',
  'training',
  'deep',
  'networks',
  'growth',
  'memory',
  'masks',
  'measured',
  'integer',
  'host',
  'doctor',
  'demo',
  'page',
  'peers',
] as const;
type Group = (typeof GROUPS)[number];

/** Groups that run only with an option of their own (`--demo`, `--page`, `--peers`) or if `--only` names them. */
const ASKED_FOR: readonly Group[] = ['demo', 'page', 'peers'];

function groupNames(text: string): Set<Group> {
  const names = text.split(',');
  for (const name of names) {
    if (!(GROUPS as readonly string[]).includes(name)) {
      throw new InvalidArgumentError(`${name} is not a group; choose from ${GROUPS.join(', ')}.`);
    }
  }
  return new Set(names as Group[]);
}

interface Options {
  readonly only?: Set<Group>;
  readonly quick?: boolean;
  readonly demo?: boolean;
  readonly page?: boolean;
  readonly peers?: boolean;
  readonly tune: boolean;
  readonly json?: boolean;
  readonly submit?: boolean;
  readonly clock: ClockName;
  readonly figures?: string;
  readonly adapter: string;
  readonly dawn?: string;
}

const options = new Command('npm run bench --')
  .description(
    'Measures the speed of the engine and of the adapter in nine interleaved rounds: some 8 minutes on two cores.',
  )
  .option('--only <groups>', `run only these groups, separated by commas: ${GROUPS.join(', ')}`, groupNames)
  .option('--quick', 'measure three rounds instead of nine')
  .option('--demo', 'also run the demo, and measure its time and memory')
  .option('--page', 'also open the page in Chromium, and measure its size, its first picture and its frames')
  .option('--peers', 'also install other engines and compare with them (bench/peers/README.md): 13 minutes more')
  .option('--no-tune', 'use the default variant of every kernel')
  .option('--json', 'print one object instead of a table')
  .option(
    '--submit',
    'also write the object, with all that it needs to be understood elsewhere, into bench-ADAPTER.json: for a pull request',
  )
  .addOption(
    new Option(
      '--clock <clock>',
      'clock to measure with; cpu is for a software adapter on a machine that others use too',
    )
      .choices(Object.keys(CLOCKS))
      .default('wall'),
  )
  .option(
    '--figures <dir>',
    'draw the roofline and the growth of training steps (SVG and PNG), if the groups that run measure them',
  )
  .option('--adapter <name>', 'WebGPU adapter: auto, software, opengles, or part of a name', 'auto')
  .addOption(dawnOption())
  .allowExcessArguments(false)
  .parse()
  .opts<Options>();

/** Measures the ceilings, to which all other numbers are compared. */
async function benchCeilings(gpu: Gpu, timing: Timing): Promise<{ rows: Row[]; ceilings: Ceilings }> {
  const arena = new Arena(gpu);
  const { fma, copy, hash } = await buildProbes(gpu, arena);
  const times = await interleave(
    gpu,
    {
      fma: { run: () => fma.program.run() },
      copy: { run: () => copy.program.run() },
      hash: { run: () => hash.program.run() },
    },
    timing,
  );
  arena.destroy();
  const computed = times.fma.map((ms) => fma.work / ms / 1e6);
  const copied = times.copy.map((ms) => copy.work / ms / 1e6);
  return {
    ceilings: { fma: median(computed), copy: median(copied) },
    rows: [
      makeRow('FMA ceiling', computed, 'GFLOP/s'),
      makeRow('copy, bytes read and written', copied, 'GB/s'),
      makeRow('ridge point', ratios(computed, copied), 'FLOP/byte'),
      makeRow(
        'hash ceiling',
        times.hash.map((ms) => hash.work / ms / 1e3),
        'Mdraws/s',
      ),
    ],
  };
}

async function main(): Promise<void> {
  const groups =
    options.only ??
    new Set(GROUPS.filter((group) => !ASKED_FOR.includes(group) || options[group as 'demo' | 'page' | 'peers']));
  const timing = { rounds: options.quick ? 3 : 9, clock: CLOCKS[options.clock] };
  const began = performance.now();
  const say = (text: string) =>
    process.stderr.write(`${((performance.now() - began) / 1000).toFixed(0).padStart(4)} s  ${text}\n`);
  const gpu = await openNodeGpu({ adapter: options.adapter, tune: options.tune, toggles: options.dawn?.split(',') });
  const rows: Row[] = [];
  let ceilings: Ceilings;
  try {
    say(`${gpu.adapter.name}: ceilings`);
    const measured = await benchCeilings(gpu, timing);
    rows.push(...measured.rows);
    ceilings = measured.ceilings;
    const onDevice = {
      gemm: benchGemm,
      conv: benchConv,
      streaming: benchStreaming,
      attack: benchAttack,
      draws: benchDraws,
      training: benchTraining,
      deep: benchDeep,
      networks: benchNetworks,
      growth: benchGrowth,
      memory: benchMemory,
      masks: benchMasks,
      measured: benchMeasured,
      integer: benchInteger,
      tiles: benchTiles,
    };
    for (const [group, bench] of Object.entries(onDevice)) {
      if (!groups.has(group as Group)) continue;
      say(group);
      rows.push(...(await bench(gpu, timing)));
    }
  } finally {
    await gpu.close();
  }
  const commands = { host: benchHost, doctor: benchDoctor, demo: benchDemo, page: benchPage };
  for (const [group, bench] of Object.entries(commands)) {
    if (!groups.has(group as Group)) continue;
    say(group);
    rows.push(...(await bench(options.adapter, timing)));
  }
  if (options.figures !== undefined) {
    const { writeFigures } = await import('./figures.ts');
    for (const file of writeFigures(options.figures, gpu.adapter.name, ceilings, rows)) say(file);
  }
  let peers: PeersResult | undefined;
  if (groups.has('peers')) {
    peers = await benchPeers(options.adapter, options.clock, timing.rounds, say);
    rows.push(...peers.rows);
  }
  say('done');
  const { fma: fmaCeilingGflops } = ceilings;
  const { model = 'unknown processor' } = cpus()[0] ?? {};
  const cpu = `${model.trim()}, ${cpus().length} logical`;
  const report = { adapter: gpu.adapter, cpu, fmaCeilingGflops, engines: peers?.engines, rows };
  if (options.submit) say(await writeSubmission(gpu, report));
  if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  else {
    const versions = Object.entries(peers?.engines ?? {}).map(([engine, version]) => `${engine} ${version}`);
    process.stdout.write(`${[gpu.adapter.name, cpu, ...versions, '', ...tableLines(rows)].join('\n')}\n`);
  }
  if (peers && peers.differences.length > 0) throw new MidasError(peers.differences.join('\n'));
}

/**
 * Writes a report with the versions, limits and features of the device, and the options that were given.
 * @returns the name of the file
 */
async function writeSubmission({ adapter, device }: Gpu, report: { readonly rows: readonly Row[] }): Promise<string> {
  const name = adapter.name.replaceAll(/[^a-zA-Z0-9]+/g, '-').replaceAll(/^-|-$/g, '');
  const file = `bench-${name}.json`;
  const limits: Record<string, number> = {};
  // Limits are getters of the prototype, which a spread would leave out.
  for (const limit in device.limits) {
    const value: unknown = device.limits[limit as keyof GPUSupportedLimits];
    if (typeof value === 'number') limits[limit] = value;
  }
  const { webgpu } = manifest.devDependencies;
  const about = {
    schema: 'midas-bench/1',
    version: packageVersion(),
    date: new Date().toISOString(),
    arguments: process.argv.slice(2),
    system: `${type()} ${release()} ${arch()}`,
    node: process.version,
    webgpu,
    features: [...device.features].sort(),
    limits,
  };
  await writeFileAtomic(file, `${JSON.stringify({ ...about, ...report }, null, 1)}\n`);
  return `written: ${file}`;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench: ${error instanceof MidasError ? error.message : ((error as Error).stack ?? error)}\n`);
  process.exitCode = error instanceof MidasError ? error.exitCode : 1;
}
