/** Reads the configuration of an experiment from a file. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { ConfigError, DataError } from '../errors.ts';
import { ExperimentConfig } from '../experiments/config.ts';
import { PRESETS } from '../experiments/presets.ts';
import { isObject, parseJsonObject } from '../formats/json.ts';
import { schemaMessage } from '../schema_message.ts';

/**
 * Reads a configuration, whole or in part, from a file of its own, or from the folder, the config.json or the results.json of a
 * run.
 * @returns its fields, each of which except `data` is valid by itself, and the names of the networks that the run was given
 * @throws DataError if the file cannot be read or is the damaged file of a run, ConfigError with the path in it if it holds no
 *   such configuration
 */
export function readConfig(path: string): { fields: Record<string, unknown>; networks: readonly string[] } {
  const file = existsSync(join(path, 'config.json')) ? join(path, 'config.json') : path;
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    throw new DataError(
      `${path}: cannot be read; give a preset (${Object.keys(PRESETS).join(', ')}), a JSON file or the folder of a run`,
      { cause },
    );
  }
  // Nobody writes the file of a run by hand: if it is no JSON, it is damaged.
  const top = parseJsonObject(bytes, file, { error: file === path ? ConfigError : DataError });
  const holder = isObject(top.manifest) ? top.manifest : top;
  const held = configOf(holder, path);
  const fields = held ?? top;
  const networks = held && isObject(holder.networks) ? Object.keys(holder.networks) : [];
  // Flags may complete the data, so they are validated after the flags were applied.
  const { data = {}, ...rest } = fields;
  if (!isObject(data)) throw new ConfigError(`${path}: data: no object; give its kind`);
  const schema = v.partial(ExperimentConfig);
  const result = v.safeParse(schema, rest);
  if (result.success) return { fields, networks };
  const [issue] = result.issues;
  const place = [path, v.getDotPath(issue)].filter(Boolean).join(': ');
  throw new ConfigError(`${place}: ${schemaMessage(schema, issue)}`);
}

/** The field `config` of a run's files; undefined if there is none. */
function configOf(holder: Record<string, unknown>, path: string): Record<string, unknown> | undefined {
  if (!('config' in holder)) return undefined;
  if (!isObject(holder.config)) throw new ConfigError(`${path}: config: no object; give the configuration of a run`);
  return holder.config;
}
