/**
 * A study of register tiles for C = A Bᵀ, 512 x 512 x 512. It varies the shape of a quad's tile, the number of k per turn of
 * the loop, which factor of a product comes first, where sums are stored, and whether operands are buffers or textures. The
 * studied tiles exist only here ({@link quadTileShader}); the variants of the engine are timed in the same rounds.
 */
import { buildProbes } from '../src/cli/doctor.ts';
import { Arena, type Matrix } from '../src/gpu/arena.ts';
import type { Gpu } from '../src/gpu/device.ts';
import { Recorder } from '../src/gpu/recorder.ts';
import { GEMM_VARIANTS, recordGemm } from '../src/kernels/gemm.ts';
import { filled } from './inputs.ts';
import { makeRow, type Row } from './rows.ts';
import { type Case, interleave, ratios, type Timing } from './timing.ts';

const SIZE = 512;

interface StudiedTile {
  /** Rows and columns that a quad computes; each of its invocations loads a quarter of the rows and of the columns. */
  readonly rows: number;
  readonly columns: number;
  /** Number of k per turn of the loop; operands are loaded as f32, vec2f or vec4f along k. */
  readonly k: 1 | 2 | 4;
  /** The factor that comes first in `fma`; SwiftShader copies that one. */
  readonly first: 'a' | 'b';
  /** `registers`: named variables. `memory`: an array that is also indexed by a variable and therefore lies in memory. */
  readonly sums: 'registers' | 'memory';
  readonly operands: 'buffers' | 'textures';
}

const CHOSEN: StudiedTile = {
  rows: 16,
  columns: 32,
  k: 4,
  first: 'b',
  sums: 'registers',
  operands: 'buffers',
};

const STUDIED: Readonly<Record<string, StudiedTile>> = {
  '16 x 32, four k, B first': CHOSEN,
  '16 x 32, four k, A first': { ...CHOSEN, first: 'a' },
  '16 x 32, four k, sums in memory': { ...CHOSEN, sums: 'memory' },
  '16 x 32, two k': { ...CHOSEN, k: 2 },
  '16 x 16, four k': { ...CHOSEN, columns: 16 },
  '32 x 16, four k': { ...CHOSEN, rows: 32, columns: 16 },
  '32 x 32, four k': { ...CHOSEN, rows: 32 },
  '32 x 32, two k': { ...CHOSEN, rows: 32, k: 2 },
  '32 x 64, one k': { ...CHOSEN, rows: 32, columns: 64, k: 1 },
  '16 x 32, four k, textures': { ...CHOSEN, operands: 'textures' },
  '32 x 32, four k, textures': { ...CHOSEN, rows: 32, operands: 'textures' },
};

/** Times all tiles. Without Gpu.quads, only the engine's variants that do not use quads. @throws Error if the bits differ */
export async function benchTiles(gpu: Gpu, timing: Timing): Promise<Row[]> {
  const arena = new Arena(gpu);
  const { fma } = await buildProbes(gpu, arena);
  const [a, b] = ['a', 'b'].map((label) => filled(gpu, arena.matrix(label, SIZE, SIZE)));
  const c = arena.matrix('c', SIZE, SIZE);
  const textures = [a, b].map((matrix) => textureOf(gpu, matrix));
  const cases: Record<string, Case> = { fma: { run: () => fma.program.run() } };
  let bits: Uint32Array | undefined;
  const add = async (name: string, run: () => void) => {
    run();
    const computed = await gpu.readWords(c);
    bits ??= computed;
    if (computed.some((word, i) => word !== bits?.[i]))
      throw new Error(`${name}: its bits differ from those of the first tile`);
    cases[name] = { run };
  };
  for (const variant of GEMM_VARIANTS) {
    if (variant.startsWith('quad') && !gpu.quads) continue;
    const recorder = new Recorder(gpu);
    recordGemm(recorder, arena, { label: variant, transposition: 'nt', a, b, c, variant });
    const program = await recorder.build(variant);
    await add(`engine's ${variant}`, () => program.run());
  }
  for (const [name, tile] of gpu.quads ? Object.entries(STUDIED) : []) {
    const operands = tile.operands === 'textures' ? textures.map((t) => t.createView()) : [a, b];
    await add(name, await buildTile(gpu, tile, operands, c));
  }
  const times = await interleave(gpu, cases, timing);
  for (const texture of textures) texture.destroy();
  arena.destroy();
  const ceiling = times.fma.map((ms) => fma.work / ms / 1e6);
  return Object.keys(cases)
    .filter((name) => name !== 'fma')
    .map((name) => {
      const rates = times[name].map((ms) => (2 * SIZE ** 3) / ms / 1e6);
      const share = ratios(rates, ceiling).map((ratio) => 100 * ratio);
      return makeRow(`GEMM ${SIZE}^3 nt, ${name}, % of FMA ceiling`, share, '%');
    });
}

function textureOf(gpu: Gpu, { buffer, offset, stride, rows }: Matrix): GPUTexture {
  const [COPY_DST, TEXTURE_BINDING] = [2, 4];
  const texture = gpu.device.createTexture({
    label: 'operand',
    size: [stride / 4, rows],
    format: 'rgba32float',
    usage: COPY_DST | TEXTURE_BINDING,
  });
  const encoder = gpu.device.createCommandEncoder({ label: 'operand' });
  encoder.copyBufferToTexture({ buffer, offset, bytesPerRow: stride * 4 }, { texture }, [stride / 4, rows]);
  gpu.submit(encoder);
  return texture;
}

async function buildTile(
  gpu: Gpu,
  tile: StudiedTile,
  operands: readonly (Matrix | GPUTextureView)[],
  c: Matrix,
): Promise<() => void> {
  const { device } = gpu;
  const module = device.createShaderModule({ label: 'studied tile', code: quadTileShader(tile) });
  const pipeline = await gpu.guard(
    device.createComputePipelineAsync({ label: 'studied tile', layout: 'auto', compute: { module } }),
  );
  const group = device.createBindGroup({
    label: 'studied tile',
    layout: pipeline.getBindGroupLayout(0),
    entries: [...operands, c].map((operand, binding) => ({
      binding,
      resource: 'buffer' in operand ? { buffer: operand.buffer, offset: operand.offset, size: operand.size } : operand,
    })),
  });
  const across = Math.ceil((SIZE / tile.columns) * (4 / WORKGROUP.x));
  const down = Math.ceil(SIZE / tile.rows / WORKGROUP.y);
  return () => {
    const encoder = device.createCommandEncoder({ label: 'studied tile' });
    const pass = encoder.beginComputePass({ label: 'studied tile' });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(across, down);
    pass.end();
    gpu.submit(encoder);
  };
}

const WORKGROUP = { x: 8, y: 2 };

/** A shader for C = A Bᵀ, where SIZE is a multiple of the tile. Sums run over k in order, as in all tiles of the engine. */
function quadTileShader({ rows, columns, k, first, sums, operands }: StudiedTile): string {
  const [ownRows, ownColumns] = [rows / 4, columns / 4];
  const range = (n: number) => [...Array(n).keys()];
  const component = (name: string, i: number) => (k === 1 ? name : `${name}.${'xyzw'[i]}`);
  const vectors = ownColumns / 4;
  const index = (swap: number, row: number, vector: number) => (swap * ownRows + row) * vectors + vector;
  const count = 4 * ownRows * vectors;
  const sum = (i: number) => (sums === 'memory' ? `sums[${i}]` : `sum${i}`);
  const load = (operand: 'a' | 'b', row: string) =>
    operands === 'textures'
      ? `textureLoad(${operand}, vec2u(turn, ${row}), 0)`
      : `${operand}[(${row}) * ${SIZE / k}u + turn]`;
  const type = { 1: 'f32', 2: 'vec2f', 4: 'vec4f' }[k];
  const bound = operands === 'textures' ? 'var' : 'var<storage, read>';
  const operandType = operands === 'textures' ? 'texture_2d<f32>' : `array<${type}>`;
  const products = range(ownRows).flatMap((row) =>
    ['', 'quadSwapX', 'quadSwapY', 'quadSwapDiagonal'].flatMap((swap, s) => [
      ...(s > 0 ? [`let a${s}_${row} = ${swap}(a0_${row});`] : []),
      ...range(ownColumns).map((column) => {
        const cell = `${sum(index(s, row, column >> 2))}.${'xyzw'[column % 4]}`;
        const chain = range(k).reduce((before, i) => {
          const factors = [component(`a${s}_${row}`, i), component(`b${column}`, i)];
          return `fma(${(first === 'a' ? factors : factors.reverse()).join(', ')}, ${before})`;
        }, cell);
        return `${cell} = ${chain};`;
      }),
    ]),
  );
  return `enable subgroups;
diagnostic(off, subgroup_uniformity);
@group(0) @binding(0) ${bound} a: ${operandType};
@group(0) @binding(1) ${bound} b: ${operandType};
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;
@compute @workgroup_size(${WORKGROUP.x}, ${WORKGROUP.y})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let lane = id.x & 3u;
  let row = id.y * ${rows}u;
  let column = (id.x >> 2u) * ${columns}u;
  if (row >= ${SIZE}u || column >= ${SIZE}u) { return; }
  ${
    sums === 'memory'
      ? `var sums: array<vec4f, ${count}>;`
      : range(count)
          .map((i) => `var ${sum(i)} = vec4f();`)
          .join('\n  ')
  }
  for (var turn = 0u; turn < ${SIZE / k}u; turn++) {
    ${range(ownRows)
      .map((i) => `let a0_${i} = ${load('a', `row + lane * ${ownRows}u + ${i}u`)};`)
      .join('\n    ')}
    ${range(ownColumns)
      .map((i) => `let b${i} = ${load('b', `column + lane * ${ownColumns}u + ${i}u`)};`)
      .join('\n    ')}
    ${products.join('\n    ')}
  }
  ${sums === 'memory' ? '' : `var sums = array<vec4f, ${count}>(${range(count).map(sum).join(', ')});`}
  for (var i = 0u; i < ${count}u; i++) {
    let own = i / ${vectors}u;
    let at = row + (lane ^ (own / ${ownRows}u)) * ${ownRows}u + own % ${ownRows}u;
    c[at * ${SIZE / 4}u + (column + lane * ${ownColumns}u) / 4u + i % ${vectors}u] = sums[i];
  }
}
`;
}
