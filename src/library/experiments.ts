/** Whole experiments: data x victim x defences x attacks, measured draw by draw. */
import { ATTACKS } from '../attacks/registry.ts';
import { orderClasses } from '../data/class_names.ts';
import type { ImageDataset } from '../data/dataset.ts';
import { ConfigError } from '../errors.ts';
import {
  type DataConfig,
  type ExperimentConfig,
  type ExperimentInput,
  parseExperiment,
} from '../experiments/config.ts';
import { type ExperimentOutcome, runExperiment } from '../experiments/experiment.ts';
import type { ExperimentData } from '../experiments/faces.ts';
import { proceduralData } from '../experiments/faces.ts';
import { VICTIM_FILE } from '../experiments/networks.ts';
import { presetInput } from '../experiments/presets.ts';
import { InMemoryRunStore, type RunContext, SILENT } from '../experiments/store.ts';
import { victimKind, widenedVictim } from '../experiments/trained_victim.ts';
import type { Gpu } from '../gpu/device.ts';
import { writeCheckpoint } from '../models/checkpoint.ts';
import type { TrainedNetwork } from '../models/model_spec.ts';
import { type AttackInput, miFace } from './attacks.ts';

export { plannedConditions } from '../experiments/conditions.ts';
export { parseExperiment } from '../experiments/config.ts';
export { PRESETS, type PresetOptions, presetInput } from '../experiments/presets.ts';
export { InMemoryRunStore, type ProgressSink, type RunContext, type RunStore } from '../experiments/store.ts';
export { type DrawResult, Sweep } from '../experiments/sweep.ts';

export { Testbed } from '../experiments/testbed.ts';

export type { ExperimentConfig, ExperimentData, ExperimentInput, ExperimentOutcome };

type ProceduralConfig = Extract<DataConfig, { kind: 'procedural' }>;

/** The input of {@link run}. Every field has a default; `midas schema experiment` describes them all. */
export type RunInput = Partial<Omit<ExperimentInput, 'attacks' | 'victim'>> & {
  readonly attacks?: readonly AttackInput[];
  /** A victim to train, or a classifier that is trained already, as {@link models.importNetwork} returns it. */
  readonly victim?: ExperimentInput['victim'] | TrainedNetwork;
};

export interface RunOptions extends Partial<RunContext> {
  /** Faces to use instead of those that `data` describes, such as photographs; {@link data.experimentData} makes them. */
  readonly faces?: ExperimentData;
}

/** The result of {@link run}, and the configuration with all defaults, with which the run can be repeated. */
export interface RunResult extends ExperimentOutcome {
  readonly config: ExperimentConfig;
}

/**
 * Runs an experiment. By default {@link attacks.miFace} attacks {@link models.mlp}, trained on {@link data.procedural} faces,
 * without faults: `sweeps`, `memories` and `releases` add conditions. The same input on the same adapter gives the same
 * rows. If a network names its classes, those of `faces` are put into that order.
 * @param options the store of finished work (by default in memory, so lost with the page), the sink of progress, and the
 *   signal that interrupts the run
 * @throws ConfigError naming the path of the field, DataError, InterruptedError, DeviceLostError
 * @example
 * const { rows } = await experiments.run(gpu, { sweeps: [{ layers: 'all', rates: [1 / 64, 1 / 16] }] });
 * @example
 * const victim = models.importNetwork(bytes, 'net.onnx');
 * const { rows } = await experiments.run(gpu, { victim, memories: [memory.preset('eden-em1')] }, { faces });
 */
export async function run(gpu: Gpu, input: RunInput = {}, options: RunOptions = {}): Promise<RunResult> {
  const { faces: given, ...context } = options;
  const { victim, pretrained } = askedVictim(input.victim);
  const faces = given && { ...given, dataset: await inOrderOf(victim, given.dataset) };
  if (faces && input.data?.kind === 'procedural') {
    throw new ConfigError('data: procedural data and faces exclude each other; give one of them');
  }
  const preset = presetInput('shallow', { victim: victim.kind === 'network' ? victim.network : victim.kind });
  const data = input.data ?? (faces ? { kind: 'files', private: faces.dataset.name } : preset.data);
  const images = faces?.dataset ?? (data.kind === 'procedural' ? data : undefined);
  if (!images)
    throw new ConfigError('data: the library reads no files; give photographs as faces (data.experimentData)');
  const { width, height } = images;
  const channels = faces?.dataset.channels;
  const shape = { width, height, channels, latent: victim.kind === 'dae' };
  // An attack of an unknown kind has no defaults; the schema refuses it.
  const attacks = (input.attacks ?? [miFace()]).map((attack) => ({
    ...ATTACKS.find(({ kind }) => kind === attack.kind)?.defaults(shape),
    ...attack,
  }));
  const config = parseExperiment({ ...input, data, victim, attacks }, '');
  const used = faces ?? (await proceduralData(gpu, config.data as ProceduralConfig, config.seed));
  const networks = pretrained && new Map([...(used.pretrained ?? []), [VICTIM_FILE, pretrained]]);
  const outcome = await runExperiment(gpu, networks ? { ...used, pretrained: networks } : used, config, {
    store: new InMemoryRunStore(),
    progress: SILENT,
    signal: new AbortController().signal,
    ...context,
  });
  return { ...outcome, config };
}

type VictimInput = ExperimentInput['victim'];

/** The victim of the configuration, and its checkpoint if it is trained already. @throws ConfigError for no classifier */
function askedVictim(asked: RunInput['victim']): { victim: VictimInput; pretrained?: Uint8Array } {
  if (!asked) return { victim: presetInput('shallow').victim };
  if (!('spec' in asked)) return { victim: asked };
  const { spec, parameters } = asked;
  const kind = victimKind(spec.description);
  if (kind === undefined) throw new ConfigError('victim: this network is no classifier; give one');
  const victim = widenedVictim(presetInput('shallow', { victim: kind }).victim, spec.description);
  const state = { epoch: 0, parameters, optimizer: [] };
  return { victim, pretrained: writeCheckpoint({ spec, state, metadata: {} }) };
}

/** A data set whose classes have the order of a network that names them. @throws DataError if the names differ */
async function inOrderOf(victim: VictimInput, dataset: ImageDataset): Promise<ImageDataset> {
  const names = victim.kind === 'network' ? victim.network.classNames : undefined;
  if (!names || names.join('\n') === dataset.classNames.join('\n')) return dataset;
  return orderClasses(dataset, { names, where: 'victim' });
}
