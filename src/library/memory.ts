/** Approximate memories: their configurations, and the memory that holds a network's weights. */
import type { NamedMemory } from '../experiments/config.ts';
import type { MemoryConfigInput } from '../memory/config.ts';
import { findPreset } from '../memory/presets.ts';

export { ApproximateMemory } from '../injection/approximate_memory.ts';
export {
  type FaultModel,
  type LayerMemory,
  type MemoryConfig,
  type MemoryConfigInput,
  type NumberFormat,
  parseMemoryConfig,
} from '../memory/config.ts';
export {
  accessTime,
  type DramActivity,
  type DramEnergy,
  dramEnergy,
  ENERGY_LEAVES_OUT,
  TIME_LEAVES_OUT,
} from '../memory/energy.ts';
export { findPreset, PRESETS, type Preset } from '../memory/presets.ts';

/** A memory of an experiment before its defaults are filled in: an element of `memories`. */
export type NamedMemoryInput = Omit<NamedMemory, 'memory'> & { readonly memory: MemoryConfigInput };

/**
 * A published or measured memory by its name, as an element of `memories` of an experiment: `eden-em1`,
 * `sram-chip1-high`, ... ({@link PRESETS} lists them all).
 * @throws ConfigError for an unknown name; the message lists similar names
 */
export function preset(name: string): NamedMemoryInput {
  return { name, setting: name, memory: findPreset(name).memory };
}
