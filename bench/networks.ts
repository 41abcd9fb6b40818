/** Times whole networks as PyTorch exported them, forward and back to the input, and the memory that sharing buffers saves. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildProbes } from '../src/cli/doctor.ts';
import { Arena } from '../src/gpu/arena.ts';
import type { Gpu } from '../src/gpu/device.ts';
import { planGraph, recordBackward, recordForward } from '../src/layers/graph.ts';
import { plainWeights } from '../src/layers/weights.ts';
import { loadParameters } from '../src/models/checkpoint.ts';
import { importOnnx } from '../src/models/onnx_file.ts';
import { CostRecorder } from './cost.ts';
import { makeRow, type Row } from './rows.ts';
import { interleave, ratios, type Timing } from './timing.ts';

/** A small ResNet and a network of depthwise convolutions, both for RGB images. */
const NETWORKS = ['resnet_rgb', 'mobile'];
const BATCH = 64;

/** Measures a forward pass, and the input gradient that follows it, in per cent of the multiply-add ceiling. */
export async function benchNetworks(gpu: Gpu, timing: Timing): Promise<Row[]> {
  const rows: Row[] = [];
  for (const name of NETWORKS) {
    const arena = new Arena(gpu);
    const file = fileURLToPath(new URL(`../test/fixtures/networks/${name}.onnx`, import.meta.url));
    const { spec, parameters } = importOnnx(readFileSync(file), file);
    const weights = plainWeights(loadParameters(arena, { spec, parameters }));
    const x = arena.matrix('images', BATCH, spec.inputs);
    const plan = planGraph(arena, spec.layers, x, { gradients: { input: true } });
    const [forward, backward] = [new CostRecorder(gpu), new CostRecorder(gpu)];
    recordForward(forward, arena, spec.layers, weights, plan);
    recordBackward(backward, arena, spec.layers, weights, plan);
    const programs = { forward: await forward.build('forward'), backward: await backward.build('input gradient') };
    const { fma } = await buildProbes(gpu, arena);
    const times = await interleave(
      gpu,
      {
        fma: { run: () => fma.program.run() },
        forward: { run: () => programs.forward.run() },
        backward: { run: () => programs.backward.run() },
      },
      timing,
    );
    const ceiling = times.fma.map((ms) => fma.work / ms);
    for (const [pass, recorder, title] of [
      ['forward', forward, 'forward'],
      ['backward', backward, 'input gradient'],
    ] as const) {
      const rates = times[pass].map((ms) => recorder.cost().flops / ms);
      const share = ratios(rates, ceiling).map((ratio) => 100 * ratio);
      rows.push(
        makeRow(`${name}, ${title}, batch ${BATCH}`, times[pass], 'ms'),
        makeRow(`${name}, ${title}, batch ${BATCH}, % of FMA ceiling`, share, '%'),
      );
    }
    const saved = [100 * (1 - plan.bytes.shared / plan.bytes.alone)];
    rows.push(makeRow(`${name}, memory of values and gradients saved by sharing buffers`, saved, '%'));
    arena.destroy();
  }
  return rows;
}
