/** The fields on which the rows of a run depend. A run continues under another configuration only if all of them are equal. */
import { attackOfKind } from '../attacks/registry.ts';
import type { ExperimentConfig } from './config.ts';

/**
 * The part of a configuration that every row depends on, and for every output of an attack the part that its own rows depend
 * on. Fields that only add rows are left out: rates, memories, noise, releases, draws, attacks.
 */
export function identityOf(config: ExperimentConfig): {
  readonly rows: object;
  readonly outputs: Record<string, unknown>;
} {
  const { sweeps, grid, rateMaps, memories, noise, releases, draws, attacks, ...rows } = config;
  const outputs = attacks.flatMap((attack) => {
    const { outputs: named, dependency = (all: unknown) => all } = attackOfKind(attack.kind);
    return named(attack).map(({ name }) => [name, dependency(attack, name)] as const);
  });
  return { rows, outputs: Object.fromEntries(outputs) };
}
