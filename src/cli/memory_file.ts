import { readBytes } from '../data/node/files.ts';
import { ConfigError } from '../errors.ts';
import { isObject, parseJsonObject } from '../formats/json.ts';
import { findPreset } from '../memory/presets.ts';

/**
 * Reads a memory configuration.
 * @param name of a preset, or path of a file that ends in `.json`
 * @returns the configuration, unchecked, and the name that error messages give it
 * @throws ConfigError, DataError
 */
export async function readMemory(name: string): Promise<{ input: object; where: string }> {
  if (!/\.json$/i.test(name)) return { input: findPreset(name).memory, where: 'memory' };
  const content = parseJsonObject(await readBytes(name), name, { error: ConfigError });
  const input = 'memory' in content ? content.memory : content;
  if (!isObject(input)) throw new ConfigError(`${name}: memory: no object; midas memory show prints an example`);
  return { input, where: `${name}: memory` };
}
