/** Compares methods of drawing bit flips, on the same codes in the same rounds. */
import { Arena } from '../src/gpu/arena.ts';
import type { ShaderConstant } from '../src/gpu/composer.ts';
import type { Gpu } from '../src/gpu/device.ts';
import type { BufferView } from '../src/gpu/guarded_device.ts';
import { PipelineCache } from '../src/gpu/pipelines.ts';
import { Recorder } from '../src/gpu/recorder.ts';
import { FAULT_ENTRY_WORDS } from '../src/gpu/structs.ts';
import { ApproximateMemory } from '../src/injection/approximate_memory.ts';
import { type EntryShape, faultWords, writeDraw, writeFaults, writeScale } from '../src/injection/fault_entry.ts';
import { flatGrid } from '../src/kernels/grid.ts';
import { BLOCKS_EACH } from '../src/kernels/memory.ts';
import { recordCopy } from '../src/kernels/probe.ts';
import { type Fetch, fetchOf } from '../src/kernels/stored.ts';
import { layerParameters } from '../src/layers/kinds.ts';
import { FlatParameters, ParameterLayout } from '../src/layers/parameters.ts';
import { type FaultModel, parseMemoryConfig, uniformMemory } from '../src/memory/config.ts';
import { deviceKey, flipTable, tensorKey } from '../src/memory/fault_sampler.ts';
import { faultSources, meanErrorRate } from '../src/memory/faults.ts';
import { atMost, makeRow, type Row } from './rows.ts';
import { benchShaderSource } from './shader_source.ts';
import { interleave, ratios, type Timing } from './timing.ts';

const RATES = [0.001, 0.01, 0.0625] as const;
const [ROWS, COLUMNS] = [1000, 10304];
const GEOMETRY = { banks: 8, rows: 32768, rowBytes: 8192 };

/** The fault table of a tensor of 12-bit codes whose bits fail uniformly, and the shader parts that fetch the tensor. */
export function uniformSampler(
  arena: Arena,
  rate: number,
  shape: EntryShape,
): { faultTable: BufferView; fetch: Fetch } {
  const memory = uniformMemory({ kind: 'fixed', bits: 12, exponent: -11, headroom: 0, encoding: 'corrected' }, rate);
  const sources = faultSources(memory, 0);
  const words = new Uint32Array(FAULT_ENTRY_WORDS);
  writeDraw(words, 0, { key: tensorKey(1, 0, 0), device: deviceKey(1, 0), load: 0, read: 0 });
  writeScale(words, 0, { granularity: 'load', scale: 2 ** -11, inverse: 2 ** 11, bits: 12 });
  const cells = { sources, storageBits: 16, ecc: undefined, geometry: GEOMETRY, granularity: 'load' } as const;
  writeFaults(words, 0, faultWords(cells), shape);
  const faultTable = arena.allocate('fault table', words.byteLength);
  arena.gpu.write(faultTable, words);
  return { faultTable, fetch: fetchOf(memory, sources) };
}

/** A dense layer of 10.3 million weights in a memory, of which a pass fetches every weight. */
async function passOf(gpu: Gpu, arena: Arena, fault: FaultModel): Promise<{ run(): void }> {
  const spec = { kind: 'dense', name: 'fc1', inputs: COLUMNS, outputs: ROWS, activation: 'none' } as const;
  const parameters = new FlatParameters(arena, 'parameters', new ParameterLayout(layerParameters([spec])));
  gpu.write(
    parameters.view,
    Float32Array.from({ length: parameters.layout.length }, (_, i) => ((i * 37) % 101) / 50 - 1),
  );
  const memory = await ApproximateMemory.store(arena, parameters);
  const layers = { fc1: { kind: 'stored', faults: [fault] } };
  await memory.configure(parseMemoryConfig({ granularity: 'pass', layers }, ['fc1']));
  await memory.load(0);
  const recorder = new Recorder(gpu);
  memory.recordPass(recorder, 0);
  return recorder.build('pass');
}

/** Measures a pass that draws by measured rows and banks, as multiples of one that draws uniformly at the same rate. */
export async function benchMeasured(gpu: Gpu, timing: Timing): Promise<Row[]> {
  const cases: readonly (readonly [name: string, fault: FaultModel])[] = [
    ['rows of C1 at 1.15 V', { kind: 'rows', dimm: 'C1', volts: 1.15, bitErrorRate: 0.05, drawn: 'read' }],
    ['rows of C1 at 1.25 V', { kind: 'rows', dimm: 'C1', volts: 1.25, bitErrorRate: 0.05, drawn: 'read' }],
    ['latency, vendor A at tRCD 7.5 ns', { kind: 'latency', vendor: 'A', dimm: 'b18', tRCD: 7.5, drawn: 'read' }],
    ['latency, vendor B at tRCD 7.5 ns', { kind: 'latency', vendor: 'B', dimm: 'p1', tRCD: 7.5, drawn: 'read' }],
  ];
  const rows: Row[] = [];
  for (const [name, fault] of cases) {
    const arena = new Arena(gpu);
    const layers = { fc1: { kind: 'stored', faults: [fault] } };
    const { fc1 } = parseMemoryConfig({ layers }, ['fc1']).layers;
    const rate = fc1.kind === 'stored' ? meanErrorRate(fc1, 0, 'fc1') : 0;
    const uniform = await passOf(gpu, arena, { kind: 'uniform', bitErrorRate: rate, drawn: 'read' });
    const measured = await passOf(gpu, arena, fault);
    const times = await interleave(
      gpu,
      { uniform: { run: () => uniform.run() }, measured: { run: () => measured.run() } },
      timing,
    );
    const label = `pass with ${name}, mean BER ${rate.toPrecision(2)}, relative to uniform errors at this rate`;
    rows.push(makeRow(label, ratios(times.measured, times.uniform), 'times', atMost(1.5)));
    arena.destroy();
  }
  return rows;
}

/** Measures a materialised read of 10.3 million 12-bit codes by each method, as a multiple of a copy of the weights. */
export async function benchMasks(gpu: Gpu, timing: Timing): Promise<Row[]> {
  const arena = new Arena(gpu);
  const cache = new PipelineCache(gpu, benchShaderSource);
  const codes = arena.allocate('codes', ROWS * COLUMNS * 2);
  const fetched = arena.allocate('fetched', ROWS * COLUMNS * 4);
  const copied = arena.allocate('copied', ROWS * COLUMNS * 4);
  const rows: Row[] = [];
  const copier = new Recorder(gpu);
  recordCopy(copier, { bytes: fetched.size, input: fetched, output: copied });
  const copy = await copier.build('copy');
  const { workgroups, constants } = flatGrid((ROWS * COLUMNS) / 16 / BLOCKS_EACH);
  const shape = { ROWS, COLUMNS, STRIDE: COLUMNS, MAP: 0, ORIGIN: 0, PASS_OFFSET: 0, BLOCKS_EACH };

  for (const rate of RATES) {
    const { faultTable, fetch } = uniformSampler(arena, rate, { rows: ROWS, columns: COLUMNS, stride: COLUMNS });
    const step = new Recorder(gpu).step;

    const limit = 'memory/limit_image.wgsl';
    const variant = async (faults: string, more: Record<string, ShaderConstant>, fast = 'whole') => {
      const { pipeline, layout } = await cache.get(
        {
          path: 'memory/materialise.wgsl',
          constants: { ...constants, ...shape, ...fetch.constants, ...more },
          includes: {
            ...fetch.includes,
            faults,
            limit,
            fast: `memory/fast_${fast}.wgsl`,
            retained: 'memory/write_f32.wgsl',
          },
        },
        ['read', 'read', 'write', 'uniform'],
      );
      const bindings = [codes, faultTable, fetched, step];
      const entries = bindings.map(({ buffer, offset, size }, binding) => ({
        binding,
        resource: { buffer, offset, size },
      }));
      const bindGroup = gpu.device.createBindGroup({ layout, entries });
      return {
        run() {
          const encoder = gpu.device.createCommandEncoder();
          const pass = encoder.beginComputePass();
          pass.setPipeline(pipeline);
          pass.setBindGroup(0, bindGroup);
          pass.dispatchWorkgroups(...(workgroups as [number, number, number]));
          pass.end();
          gpu.submit(encoder);
        },
      };
    };

    const table = flipTable(24, rate);
    const entries = [0, 1, 2, 3].map((k) => [`TABLE${k}`, table[k] ?? 0] as const);
    const times = await interleave(
      gpu,
      {
        copy: { run: () => copy.run() },
        block: await variant('memory/faults_uniform.wgsl', {}, fetch.fastPath ? 'uniform' : 'whole'),
        word: await variant('bench/faults_words.wgsl', Object.fromEntries(entries)),
        sliced: await variant('bench/faults_bit_sliced.wgsl', { THRESHOLD: Math.round(rate * 2 ** 32) }),
        sources: await variant('memory/faults_sources.wgsl', { ECC: 0, LINES: false, EACH: false }),
        none: await variant('memory/faults_none.wgsl', {}),
      },
      timing,
    );
    const row = (method: string, name: Exclude<keyof typeof times, 'copy'>) =>
      makeRow(`masks at BER ${rate}, ${method}, relative to a copy`, ratios(times[name], times.copy), 'times');
    rows.push(
      row('decoding alone', 'none'),
      row('binomial draw per block of 192 bits', 'block'),
      row('binomial draw per word of 24 bits', 'word'),
      row('bit-sliced comparison', 'sliced'),
      row('general sampler for any sources, here one source', 'sources'),
    );
  }
  arena.destroy();
  return rows;
}
