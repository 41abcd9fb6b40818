/** The networks of an experiment: the victim, the attackers' networks and the evaluators. */
import type { SplitName } from '../attacks/attack.ts';
import { DataError } from '../errors.ts';
import { readSafetensors } from '../formats/safetensors.ts';
import type { Arena } from '../gpu/arena.ts';
import type { FlatParameters } from '../layers/parameters.ts';
import { loadParameters, readCheckpoint, writeCheckpoint } from '../models/checkpoint.ts';
import { FaceEvaluator, type FaceExamples, faceTraining, trainFaceNetwork } from '../models/face_evaluator.ts';
import { faceNetwork } from '../models/face_network.ts';
import type { ModelSpec } from '../models/model_spec.ts';
import type { TrainingData } from '../models/trainer.ts';
import type { TrainingConfig } from '../models/training_config.ts';
import type { ExperimentData } from './faces.ts';
import { type RunContext, refuseAborted } from './store.ts';
import { trainModel } from './training.ts';

/** File of the victim's checkpoint in a run. */
export const VICTIM_FILE = 'victim.safetensors';

/**
 * True if the victim was given and its file does not name the images of the experiment as those it was trained on. Whether it has seen
 * the held-out ones is then not known.
 */
export function isTrainedElsewhere({ pretrained, dataset }: Pick<ExperimentData, 'pretrained' | 'dataset'>): boolean {
  const bytes = pretrained?.get(VICTIM_FILE);
  return bytes !== undefined && readSafetensors(bytes, VICTIM_FILE).metadata.dataset !== dataset.sha256;
}

/**
 * The networks of an experiment, given as checkpoints or trained; checkpoints must include the victim. Keeps the memory
 * plans of the trained networks.
 */
export class Networks {
  readonly plans: string[] = [];
  readonly #arena: Arena;
  readonly #pretrained: ExperimentData['pretrained'];
  readonly #run: RunContext;

  constructor(arena: Arena, pretrained: ExperimentData['pretrained'], run: RunContext) {
    this.#arena = arena;
    this.#pretrained = pretrained;
    this.#run = run;
  }

  /**
   * @param dataset hashes of the images
   * @param reads anything else that the training depends on
   * @param arena that owns the parameters; that of the experiment by default
   */
  async get(
    file: string,
    label: string,
    spec: ModelSpec,
    data: TrainingData,
    indices: Uint32Array,
    config: TrainingConfig,
    dataset: string,
    reads?: Uint8Array,
    arena = this.#arena,
  ): Promise<FlatParameters> {
    const bytes = this.#pretrained?.get(file);
    if (bytes) return loadParameters(arena, { spec, parameters: readCheckpoint(bytes, file, spec).state.parameters });
    if (this.#pretrained) {
      const files = [...this.#pretrained.keys()].join(', ');
      if (file === VICTIM_FILE) throw new DataError(`no ${file} among the trained networks (${files}); train it`);
      this.#run.progress.warn(`no ${file} among the trained networks (${files}): it is trained now`);
    }
    const trainer = await trainModel({ arena, spec, data, indices, config, dataset, reads, file, label, ...this.#run });
    this.plans.push(`${file.replace('.safetensors', '')} ${trainer.plan}`);
    trainer.finish();
    return trainer.parameters;
  }

  /** The evaluator of one split's reconstructions, given, stored by an earlier run in this folder, or trained. */
  async evaluator(split: SplitName, examples: FaceExamples): Promise<FaceEvaluator> {
    const { store, progress, signal } = this.#run;
    const file = `evaluator-${split}.safetensors`;
    const spec = faceNetwork({ kind: 'face-network', classes: examples.classes });
    const bytes = this.#pretrained?.get(file) ?? (await store.read(file));
    if (bytes) {
      const { parameters } = readCheckpoint(bytes, store.describe(file), spec).state;
      return FaceEvaluator.build(this.#arena, loadParameters(this.#arena, { spec, parameters }), examples);
    }
    const training = faceTraining(examples.classes);
    progress.start(`training the evaluator of ${split} photographs`, training.epochs);
    const parameters = await trainFaceNetwork(this.#arena, examples, (epoch) => {
      refuseAborted(signal);
      progress.advance(1, `epoch ${epoch}`);
    });
    const state = {
      epoch: training.epochs,
      parameters: await this.#arena.gpu.readWords(parameters.view),
      optimizer: [],
    };
    await store.write(file, writeCheckpoint({ spec, state, metadata: { dataset: examples.dataset.sha256 } }));
    progress.done();
    return FaceEvaluator.build(this.#arena, parameters, examples);
  }
}
