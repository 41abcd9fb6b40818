/** Times GEMM, and the multiply-add ceiling of the adapter in the same rounds. */
import { buildProbes } from '../src/cli/doctor.ts';
import { Arena } from '../src/gpu/arena.ts';
import type { Gpu } from '../src/gpu/device.ts';
import { recordGemm, type Transposition } from '../src/kernels/gemm.ts';
import { CostRecorder, intensityOf } from './cost.ts';
import { filled } from './inputs.ts';
import { atLeast, makeRow, type Row } from './rows.ts';
import { type Case, interleave, ratios, type Timing } from './timing.ts';

interface Product {
  readonly name: string;
  readonly transposition: Transposition;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** Target of every product, in per cent of the ceiling. */
const SHARE = 50;

const SQUARES: readonly Product[] = (['nt', 'nn', 'tn'] as const).map((transposition) => {
  return { name: `GEMM 512^3 ${transposition}`, transposition, m: 512, n: 512, k: 512 };
});

/** The products of the first layer of the published shallow model, for a batch of 128. */
const LAYER: readonly Product[] = [
  { name: 'GEMM 128x10304x1000 forward', transposition: 'nt', m: 128, n: 1000, k: 10304 },
  { name: 'GEMM 128x10304x1000 weight gradient', transposition: 'tn', m: 1000, n: 10304, k: 128 },
  { name: 'GEMM 128x10304x1000 input gradient', transposition: 'nn', m: 128, n: 10304, k: 1000 },
];

export async function benchGemm(gpu: Gpu, timing: Timing): Promise<Row[]> {
  const rows: Row[] = [];
  for (const products of [SQUARES, LAYER]) {
    const arena = new Arena(gpu);
    const { fma } = await buildProbes(gpu, arena);
    const cases: Record<string, Case> = { fma: { run: () => fma.program.run() } };
    const built = await Promise.all(products.map((product) => buildProduct(gpu, arena, product)));
    for (const { name, program } of built) cases[name] = { run: () => program.run() };
    const times = await interleave(gpu, cases, timing);
    const measured = times.fma.map((ms) => fma.work / ms / 1e6);
    for (const { name, cost } of built) {
      const rates = times[name].map((ms) => cost.flops / ms / 1e6);
      const share = ratios(rates, measured).map((ratio) => 100 * ratio);
      rows.push(makeRow(name, rates, 'GFLOP/s'));
      const roofline = { kernel: name, kind: 'GEMM', intensity: intensityOf(cost) } as const;
      rows.push(makeRow(`${name}, % of FMA ceiling`, share, '%', atLeast(SHARE), { roofline }));
    }
    arena.destroy();
  }
  return rows;
}

async function buildProduct(gpu: Gpu, arena: Arena, product: Product) {
  const { name, transposition, m, n, k } = product;
  const [a, b] = [transposition === 'tn' ? [k, m] : [m, k], transposition === 'nt' ? [n, k] : [k, n]].map(
    ([rows, columns], i) => filled(gpu, arena.matrix(`${name} ${'ab'[i]}`, rows, columns)),
  );
  const recorder = new CostRecorder(gpu);
  recordGemm(recorder, arena, { label: name, transposition, a, b, c: arena.matrix(`${name} c`, m, n) });
  return { ...product, program: await recorder.build(name), cost: recorder.cost() };
}
