/** The identity of a run: everything that its rows depend on. A run continues only where all of it is the same. */
import * as v from 'valibot';
import { attackOfKind } from '../attacks/registry.ts';
import { sha256 } from '../data/sha256.ts';
import { DataError } from '../errors.ts';
import { canonical } from '../results/condition.ts';
import { type ExperimentConfig, parseExperiment } from './config.ts';
import type { ExperimentData } from './faces.ts';

const hash = v.string();

const IdentitySchema = v.object({
  /** Version of midas. */
  version: v.optional(v.string()),
  config: v.unknown(),
  /** SHA-256 of the victim's data set, and of the attacker's faces. */
  dataset: hash,
  publicFaces: v.optional(hash),
  /** SHA-256 of the indices of the training and the test images. */
  split: v.string(),
  /** SHA-256 of the networks that were given, by file. */
  networks: v.optional(v.record(v.string(), hash)),
  adapter: v.string(),
  shard: v.optional(v.object({ index: v.number(), count: v.number() })),
});
/** Everything that the rows of a run depend on; config.json holds it. */
export type RunIdentity = Omit<v.InferOutput<typeof IdentitySchema>, 'config'> & { readonly config: ExperimentConfig };

/** The identity of a run that is not a shard. */
export async function runIdentity(run: {
  readonly version: string;
  readonly config: ExperimentConfig;
  readonly data: ExperimentData;
  readonly adapter: string;
}): Promise<RunIdentity> {
  const { version, config, adapter } = run;
  const { dataset, publicFaces, split, pretrained } = run.data;
  const networks: Record<string, string> = {};
  for (const [file, bytes] of pretrained ?? []) networks[file] = await sha256(bytes);
  return {
    version,
    config,
    dataset: dataset.sha256,
    ...(publicFaces && { publicFaces: publicFaces.sha256 }),
    split: await sha256(JSON.stringify([[...split.train], [...split.test]])),
    ...(pretrained && { networks }),
    adapter,
  };
}

/**
 * Checks an identity that was read from a file.
 * @param name of the file
 * @throws DataError if it is not the identity of a run
 */
export function parseIdentity(json: unknown, name: string): RunIdentity {
  const result = v.safeParse(IdentitySchema, json);
  const wrong = (what: string, cause?: unknown) =>
    new DataError(`${name}: not the configuration of a run: ${what}; give another --out`, { cause });
  if (!result.success) throw wrong(`${v.getDotPath(result.issues[0]) ?? 'top level'}: ${result.issues[0].message}`);
  try {
    return { ...result.output, config: parseExperiment(result.output.config, 'config') };
  } catch (cause) {
    throw wrong((cause as Error).message, cause);
  }
}

/**
 * The part of a configuration that every row depends on, and for every output of an attack the part that its own rows depend
 * on. Fields that only add rows are left out (rates, memories, noise, releases, draws, attacks), and so are paths of files, whose
 * content has a hash.
 */
export function dependencies(config: ExperimentConfig): {
  readonly rows: object;
  readonly outputs: Readonly<Record<string, unknown>>;
} {
  const { sweeps, planes, grid, rateMaps, memories, noise, releases, draws, attacks, data, ...others } = config;
  const outputs = attacks.flatMap((attack) => {
    const { outputs: named, dependency = (all: unknown) => all } = attackOfKind(attack.kind);
    return named(attack).map(({ name }) => [name, dependency(attack, name)] as const);
  });
  return { rows: { data: withoutPaths(data), ...others }, outputs: Object.fromEntries(outputs) };
}

function withoutPaths(data: ExperimentConfig['data']): object {
  if (data.kind === 'procedural') return data;
  const { private: _private, public: _public, split: _split, allowShared: _shared, ...others } = data;
  return others;
}

/** Marks the rows of a run in rows.jsonl, so that rows of another run are noticed. */
export class RowMarks {
  readonly #run: string;
  readonly #outputs: ReadonlyMap<string, string>;

  private constructor(run: string, outputs: ReadonlyMap<string, string>) {
    this.#run = run;
    this.#outputs = outputs;
  }

  /** @param identity of the run; its shards have the same marks as the whole */
  static async of({ config, shard: _, ...identity }: RunIdentity): Promise<RowMarks> {
    const digest = async (value: unknown) => (await sha256(JSON.stringify(canonical(value)))).slice(0, 16);
    const { rows, outputs } = dependencies(config);
    const marks = new Map<string, string>();
    for (const [name, value] of Object.entries(outputs)) marks.set(name, await digest(value));
    return new RowMarks(await digest({ ...identity, rows }), marks);
  }

  /** The mark of a row of an attack's output: 16 hexadecimal digits for the run and 16 for the attack. */
  of(attack: string): string {
    return `${this.#run}-${this.#outputs.get(attack) ?? ''}`;
  }

  /**
   * True if a row with this mark belongs to the run. Rows of an attack that the run no longer has are checked for the run alone:
   * they are not part of the results.
   */
  matches(attack: string, mark: unknown): boolean {
    if (typeof mark !== 'string') return false;
    return this.#outputs.has(attack) ? mark === this.of(attack) : mark.startsWith(this.of(attack));
  }
}
