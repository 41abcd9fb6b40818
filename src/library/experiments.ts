/** Whole experiments: data x victim x defences x attacks, measured draw by draw. */
import { ATTACKS } from '../attacks/registry.ts';
import { ConfigError } from '../errors.ts';
import { type ExperimentConfig, type ExperimentInput, parseExperiment } from '../experiments/config.ts';
import { type ExperimentOutcome, runExperiment } from '../experiments/experiment.ts';
import { proceduralData } from '../experiments/faces.ts';
import { InMemoryRunStore, type RunContext } from '../experiments/store.ts';
import type { ExperimentData } from '../experiments/testbed.ts';
import type { Gpu } from '../gpu/device.ts';
import { type AttackInput, miFace } from './attacks.ts';
import { procedural } from './data.ts';
import { mlp } from './models.ts';

export { plannedConditions } from '../experiments/conditions.ts';
export { parseExperiment } from '../experiments/config.ts';
export { PRESETS, type PresetOptions, presetInput } from '../experiments/presets.ts';
export { InMemoryRunStore, type ProgressSink, type RunContext, type RunStore } from '../experiments/store.ts';
export { type DrawResult, Sweep } from '../experiments/sweep.ts';
export { type ExperimentData, Testbed } from '../experiments/testbed.ts';
export type { ExperimentConfig, ExperimentInput, ExperimentOutcome };

/** An experiment as {@link run} takes it. Every field has a default; all are described by `midas schema experiment`. */
export type RunInput = Partial<Omit<ExperimentInput, 'attacks'>> & { readonly attacks?: readonly AttackInput[] };

export interface RunOptions extends Partial<RunContext> {
  /** Faces to use instead of those that `data` describes, such as photographs; {@link data.experimentData} makes them. */
  readonly faces?: ExperimentData;
}

/** The result of {@link run}: rows, and the configuration with all defaults, which repeats it. */
export interface RunResult extends ExperimentOutcome {
  readonly config: ExperimentConfig;
}

/**
 * Runs an experiment. By default {@link attacks.miFace} attacks {@link models.mlp}, trained on {@link data.procedural} faces,
 * without any fault: add conditions by `sweeps`, `memories`, `releases`. Same input, same adapter: same rows.
 * @param options where finished work is kept (in memory by default, and gone with the page), how progress is shown, and how it
 *   is interrupted
 * @throws ConfigError naming the path of the field, DataError, InterruptedError, DeviceLostError
 * @example
 * const { rows } = await experiments.run(gpu, { sweeps: [{ layers: 'all', rates: [1 / 64, 1 / 16] }] });
 */
export async function run(gpu: Gpu, input: RunInput = {}, options: RunOptions = {}): Promise<RunResult> {
  const { faces, ...given } = options;
  const victim = input.victim ?? mlp();
  const square = victim.kind === 'yang' ? { width: 32, height: 32 } : {};
  const data = input.data ?? (faces ? { kind: 'files' as const, private: faces.dataset.name } : procedural(square));
  if (data.kind === 'files' && !faces) {
    throw new ConfigError('data: the library reads no files; give the photographs as faces (data.experimentData)');
  }
  const { width, height } = faces?.dataset ?? (data as ReturnType<typeof procedural>);
  const attacks = (input.attacks ?? [miFace()]).map((attack) => ({
    // The schema refuses a kind that is not registered.
    ...ATTACKS.find(({ kind }) => kind === attack.kind)?.defaults({ width, height, latent: victim.kind === 'dae' }),
    ...attack,
  }));
  const config = parseExperiment({ ...input, data, victim, attacks }, '');
  const context: RunContext = {
    store: new InMemoryRunStore(),
    progress: { start() {}, advance() {}, done() {}, warn() {} },
    signal: new AbortController().signal,
    ...given,
  };
  const used = faces ?? (await proceduralData(gpu, config.data as ReturnType<typeof procedural>, config.seed));
  return { ...(await runExperiment(gpu, used, config, context)), config };
}
