/** Runs a whole experiment: builds a testbed, sweeps it, and stores what pictures and the report need. */
import type { AttackOutput } from '../attacks/attack.ts';
import { attackOfKind } from '../attacks/registry.ts';
import { toFloat } from '../data/dataset.ts';
import type { Gpu } from '../gpu/device.ts';
import { isUndefended } from '../results/condition.ts';
import { decodePictures, encodePictures } from '../results/pictures.ts';
import { PRESENTATION_FILE, type Presentation } from '../results/presentation.ts';
import { type Condition, pictureFile, type Row } from '../results/results.ts';
import { checkExperiment } from './check.ts';
import type { ExperimentConfig } from './config.ts';
import { type DrawBudget, drawBudget } from './draws.ts';
import type { ExperimentData } from './faces.ts';
import { type Shard, WHOLE } from './shard.ts';
import type { RunContext } from './store.ts';
import { Sweep } from './sweep.ts';
import { Testbed } from './testbed.ts';

/** File of the attacker's mean face in a run. */
export const MEAN_FACE_FILE = 'pictures/mean-face.npy';

/** The result of running an experiment. */
export interface ExperimentOutcome {
  /** Rows of the configuration, sorted by condition, draw and attack; a shard has only its own. */
  readonly rows: readonly Row[];
  readonly presentation: Presentation;
  /** Memory plans as texts. */
  readonly plans: readonly string[];
  /** Seconds that every output of an attack took per draw, by its name; those that were not run are absent. */
  readonly attackSeconds: Readonly<Record<string, number>>;
}

/**
 * Runs an experiment, or continues it where the store says it stopped. The same configuration on the same adapter gives the
 * same rows.
 * @param options.shard which part of the conditions this run measures; all by default
 * @param options.budget limits how many draws are measured together; results do not depend on it
 * @throws InterruptedError, DeviceLostError, DataError, ConfigError
 */
export async function runExperiment(
  gpu: Gpu,
  data: ExperimentData,
  config: ExperimentConfig,
  run: RunContext,
  { shard = WHOLE, budget = drawBudget(gpu) }: { readonly shard?: Shard; readonly budget?: DrawBudget } = {},
): Promise<ExperimentOutcome> {
  const planned = checkExperiment(config, data);
  const testbed = await Testbed.build(gpu, data, config, run, budget);
  try {
    const sweep = new Sweep(testbed, config, run, shard);
    gpu.profiler?.enter('sweep');
    const rows = await sweep.run(planned);
    const presentation = await present(testbed, data, config, sweep, planned, run);
    return { rows, presentation, plans: testbed.plans, attackSeconds: testbed.attackSeconds };
  } finally {
    testbed.destroy();
  }
}

async function present(
  testbed: Testbed,
  data: ExperimentData,
  config: ExperimentConfig,
  sweep: Sweep,
  planned: readonly Condition[],
  { store }: RunContext,
): Promise<Presentation> {
  const { dataset, split, meanFace, publicFaces } = data;
  const { width, height, channels } = dataset;
  const firstOf = (person: number) => split.train.find((image) => dataset.labels[image] === person) ?? 0;
  const meanFaceOf = publicFaces ? 'public' : 'training';
  const attacks: Presentation['attacks'][number][] = [];
  for (const attack of config.attacks) {
    const { kind, title: family, onPhotographs: photographs } = attackOfKind(attack.kind);
    for (const output of attackOfKind(attack.kind).outputs(attack, meanFaceOf)) {
      const shown = testbed.shown(output, photographs);
      const truth = output.split && `pictures/truth_${photographs ? output.split : 'persons'}.npy`;
      const images = shown.map(({ person, photograph }) => toFloat(dataset, [photograph ?? firstOf(person)]));
      if (truth) await store.write(truth, encodePictures({ images, width, height, channels }));
      const { name, title, isControl } = output;
      const prior = testbed.outputs.find((each) => each.name === name)?.prior;
      const description = {
        ...{ name, kind, family, title },
        ...(prior && { prior }),
        ...(isControl && { isControl }),
        ...(photographs && output.split && { split: output.split }),
      };
      attacks.push({
        ...description,
        photographs,
        shown: shown.map(({ person }) => dataset.classNames[person]),
        ...(truth && { truth }),
      });
    }
  }
  await store.write(MEAN_FACE_FILE, encodePictures({ images: [meanFace], width, height, channels }));
  const place = testbed.outputs.findIndex(({ split }) => split);
  const first = place < 0 ? undefined : testbed.outputs[place];
  const undefended = planned.find(isUndefended);
  const file = first && undefended && pictureFile(undefended, first.name);
  const pictures = file && (await store.read(file));
  // Without any attack that returns images, there are none to compare with the baselines.
  const images = first ? pictures && decodePictures(pictures, store.describe(file!)).images : [];
  const presentation: Presentation = {
    width,
    height,
    ...(channels === 3 && { channels }),
    trainAccuracy: testbed.trainAccuracy,
    ...(testbed.privacy && { privacy: testbed.privacy }),
    evaluators: testbed.evaluatorAccuracies(),
    procedural: config.data.kind === 'procedural',
    meanFaceOf,
    attacks,
    ...(images && {
      baselines: testbed.baselines(images, first ? personsOf(testbed, first, attacks[place].photographs) : []),
    }),
    order: sweep.order as Presentation['order'],
  };
  await store.write(PRESENTATION_FILE, `${JSON.stringify(presentation, null, 1)}\n`);
  return presentation;
}

function personsOf(testbed: Testbed, output: AttackOutput, photographs: boolean): number[] {
  return testbed.shown(output, photographs).map(({ person }) => person);
}
