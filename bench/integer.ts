/** Times a network that computes with bytes against the same weights in f32, both read from memory with errors in every pass. */
import { Arena } from '../src/gpu/arena.ts';
import type { Gpu } from '../src/gpu/device.ts';
import { Recorder } from '../src/gpu/recorder.ts';
import { ApproximateMemory } from '../src/injection/approximate_memory.ts';
import { FlatParameters } from '../src/layers/parameters.ts';
import { parseMemoryConfig } from '../src/memory/config.ts';
import { IntegerNetwork, inputBytes } from '../src/models/integer_network.ts';
import { modelLayout } from '../src/models/model_parameters.ts';
import { layerNames, modelSpec } from '../src/models/specs.ts';
import { stackVictim } from '../src/models/victims.ts';
import { makeRow, type Row } from './rows.ts';
import { interleave, ratios, type Timing } from './timing.ts';

const [INPUTS, CLASSES, IMAGES] = [92 * 112, 40, 128];

/** Measures the forward pass of the published shallow model, weights as int8 with 1 % of the bits flipped. */
export async function benchInteger(gpu: Gpu, timing: Timing): Promise<Row[]> {
  const spec = modelSpec('mlp', INPUTS, CLASSES);
  const arena = new Arena(gpu);
  const parameters = new FlatParameters(arena, 'parameters', modelLayout(spec));
  gpu.write(
    parameters.view,
    Float32Array.from({ length: parameters.layout.length }, (_, i) => (((i * 37) % 101) - 50) / 2000),
  );
  const memory = await ApproximateMemory.store(arena, parameters);
  const layer = { kind: 'stored', format: { kind: 'int8' }, faults: [{ kind: 'uniform', bitErrorRate: 0.01 }] };
  await memory.configure(parseMemoryConfig({ granularity: 'pass', layers: { '*': layer } }, layerNames(spec)));
  await memory.load(0);
  const values = Float32Array.from({ length: IMAGES * INPUTS }, (_, i) => ((i * 37) % 101) / 101);
  const pass = await (
    await IntegerNetwork.fit(gpu, memory, spec.layers, inputBytes(values.subarray(0, INPUTS)))
  ).forImages(inputBytes(values));
  const x = arena.matrix('images', IMAGES, INPUTS);
  gpu.write(x, values);
  const recorder = new Recorder(gpu);
  stackVictim(spec.layers, memory.weightsOf, memory).plan(arena, x, false).recordForward(recorder);
  const floats = await recorder.build('forward');
  const times = await interleave(
    gpu,
    { integers: { run: () => pass.run() }, floats: { run: () => floats.run() } },
    timing,
  );
  pass.destroy();
  arena.destroy();
  return [
    makeRow(`forward pass of ${IMAGES} images in integers, int8 with errors in every pass`, times.integers, 'ms'),
    makeRow('the same, times the same weights in f32', ratios(times.integers, times.floats), 'times'),
  ];
}
