import { readBytes } from '../data/node/files.ts';
import { ConfigError } from '../errors.ts';
import { findPreset } from '../memory/presets.ts';

/**
 * Reads a memory configuration.
 * @param name of a preset, or path of a file that ends in `.json`
 * @returns the configuration, unchecked, and the name that error messages give it
 * @throws ConfigError, DataError
 */
export async function readMemory(name: string): Promise<{ input: object; where: string }> {
  if (!name.endsWith('.json')) return { input: findPreset(name).memory, where: 'memory' };
  const text = new TextDecoder().decode(await readBytes(name));
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`${name}: ${(error as Error).message}`);
  }
  const input = content && typeof content === 'object' && 'memory' in content ? content.memory : content;
  if (!input || typeof input !== 'object')
    throw new ConfigError(`${name}: not an object; midas memory show prints an example`);
  return { input, where: `${name}: memory` };
}
