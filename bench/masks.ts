/** Compares methods of drawing bit flips, on the same codes in the same rounds. */
import { Arena } from '../src/gpu/arena.ts';
import type { ShaderConstant } from '../src/gpu/composer.ts';
import type { Gpu } from '../src/gpu/device.ts';
import type { BufferView } from '../src/gpu/guarded_device.ts';
import { PipelineCache } from '../src/gpu/pipelines.ts';
import { Recorder } from '../src/gpu/recorder.ts';
import { FAULT_ENTRY_WORDS } from '../src/gpu/structs.ts';
import { type EntryShape, faultWords, writeDraw, writeFaults, writeScale } from '../src/injection/fault_entry.ts';
import { flatGrid } from '../src/kernels/grid.ts';
import { BLOCKS_EACH } from '../src/kernels/memory.ts';
import { recordCopy } from '../src/kernels/probe.ts';
import { type Fetch, fetchOf } from '../src/kernels/stored.ts';
import { uniformMemory } from '../src/memory/config.ts';
import { deviceKey, flipTable, tensorKey } from '../src/memory/fault_sampler.ts';
import { faultSources } from '../src/memory/faults.ts';
import { makeRow, type Row } from './rows.ts';
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
