/** A victim of the page as a value: a network that the project publishes, or one that a visitor brought. */
import type { ExperimentConfig, SweepConfig } from '../../experiments/config.ts';
import type { ExperimentData } from '../../experiments/faces.ts';
import { InMemoryRunStore, type RunContext } from '../../experiments/store.ts';
import type { DrawResult } from '../../experiments/sweep.ts';
import { Testbed } from '../../experiments/testbed.ts';
import type { Gpu } from '../../gpu/device.ts';
import type { Baselines } from '../../results/results.ts';

/** Seed of the page's faces and trainings; the seed of a setting determines errors only. */
export const FACES_SEED = 1;
/** Common to all experiments of the page, which does not train a convolutional evaluator while somebody waits. */
export const COMMON = { seed: FACES_SEED, evaluator: 'linear' } as const;

/** An experiment with a victim, before any memory is chosen. */
export interface VictimExperiment {
  /** Distinguishes it from all other experiments of the page. */
  readonly key: string;
  /** Name under which the networks that it trains are kept; experiments of the same networks share it. */
  readonly networks: string;
  config(): ExperimentConfig;
  data(gpu: Gpu, config: ExperimentConfig): Promise<ExperimentData>;
}

/** A victim, and the experiments that can be made with it. */
export interface PageVictim {
  /**
   * The experiment of one attack.
   * @param kind of the attack, from the registry
   * @throws DataError where the attack needs images that are not there
   */
  attacked(kind: string): VictimExperiment;
}

/** A victim with attacks that are ready to run against it. */
export interface Ready {
  readonly config: ExperimentConfig;
  readonly data: ExperimentData;
  readonly testbed: Testbed;
  /** Results of the attacks on the undefended model under each release, and the null baselines; measured once. */
  readonly undefended: Map<string, readonly DrawResult[]>;
  baselines?: Baselines;
}

/** The testbeds on one device, each built when it is first needed. */
export class Testbeds {
  readonly #gpu: Gpu;
  readonly #trained: Map<string, InMemoryRunStore>;
  readonly #ready = new Map<string, Ready>();

  /** @param trained checkpoints of networks that were trained here; they are kept when a device is lost */
  constructor(gpu: Gpu, trained: Map<string, InMemoryRunStore>) {
    this.#gpu = gpu;
    this.#trained = trained;
  }

  /**
   * The testbed of an experiment. Its victim and the attackers' networks are trained unless their files are known.
   * @param release name of `releases`, changes of the confidences that the victim releases
   */
  async get(
    experiment: VictimExperiment,
    release: string,
    releases: SweepConfig['releases'],
    { progress, signal }: Omit<RunContext, 'store'>,
  ): Promise<Ready> {
    const key = `${experiment.key} ${release}`;
    const known = this.#ready.get(key);
    if (known) return known;
    const config = { ...experiment.config(), releases };
    const data = await experiment.data(this.#gpu, config);
    const store = this.#trained.get(experiment.networks) ?? new InMemoryRunStore();
    this.#trained.set(experiment.networks, store);
    const testbed = await Testbed.build(this.#gpu, data, config, { store, progress, signal });
    const ready: Ready = { config, data, testbed, undefended: new Map() };
    this.#ready.set(key, ready);
    return ready;
  }

  /** Destroys the testbeds of experiments whose key begins with `prefix`; all by default. */
  destroy(prefix = ''): void {
    for (const [key, { testbed }] of this.#ready) {
      if (!key.startsWith(prefix)) continue;
      testbed.destroy();
      this.#ready.delete(key);
    }
  }
}
