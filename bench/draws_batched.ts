/** Times an attack on several draws of the memory together, and on one draw after the other: the gain of batching. */
import { MiFace } from '../src/attacks/mi_face.ts';
import { Arena } from '../src/gpu/arena.ts';
import type { Gpu } from '../src/gpu/device.ts';
import { FlatParameters } from '../src/layers/parameters.ts';
import { plainWeights } from '../src/layers/weights.ts';
import { initializeParameters, modelLayout } from '../src/models/model_parameters.ts';
import { modelSpec } from '../src/models/specs.ts';
import { foldedVictim } from '../src/models/victims.ts';
import { makeRow, type Row } from './rows.ts';
import { ATTACK } from './shallow.ts';
import { interleave, ratios, type Timing } from './timing.ts';

const DRAWS = 5;
const CLASSES = 40;
/** Image sizes and hidden units: the demo's faces, and the published model for the AT&T faces. */
const SHAPES = [
  { height: 64, width: 56, hidden: 200 },
  { height: 112, width: 92, hidden: 1000 },
] as const;

/** Measures an iteration of MI-Face on all classes of five draws, as one attack on all draws and as five attacks. */
export async function benchDraws(gpu: Gpu, timing: Timing): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { height, width, hidden } of SHAPES) {
    const arena = new Arena(gpu);
    const spec = modelSpec('mlp', height * width, CLASSES, [hidden]);
    const parameters = new FlatParameters(arena, 'parameters', modelLayout(spec));
    await initializeParameters(gpu, parameters, 1);
    const attackOn = async (draws: number) => {
      const { victim, folds } = await foldedVictim(arena, spec.layers, plainWeights(parameters), draws);
      for (const fold of folds) fold.run();
      const targets = Array.from({ length: draws * CLASSES }, (_, row) => row % CLASSES);
      return MiFace.build(gpu, victim, { height, width }, targets, ATTACK);
    };
    const [batched, alone] = [await attackOn(DRAWS), await attackOn(1)];
    const start = new Float32Array(height * width);
    const oneByOne = async () => {
      for (let draw = 0; draw < DRAWS; draw++) await alone.run(start);
    };
    const times = await interleave(
      gpu,
      { batched: { run: () => batched.run(start) }, oneByOne: { run: oneByOne } },
      timing,
    );
    batched.destroy();
    alone.destroy();
    arena.destroy();
    const name = `${height * width}-${hidden}-${CLASSES}`;
    // A run evaluates the model once more, after the last step.
    const iteration = times.batched.map((ms) => ms / (ATTACK.iterations + 1));
    rows.push(
      makeRow(`attack iteration of ${DRAWS} draws together, ${name}`, iteration, 'ms'),
      makeRow(`${DRAWS} draws together, times one by one, ${name}`, ratios(times.batched, times.oneByOne), 'times'),
    );
  }
  return rows;
}
