/** `midas schema`: prints the JSON Schema of configurations and results, for editors and other programs. */
import { toJsonSchema } from '@valibot/to-json-schema';
import { ConfigError } from '../errors.ts';
import { ExperimentConfig } from '../experiments/config.ts';
import { memoryJsonSchema } from '../memory/schema.ts';
import { NetworkDescription } from '../models/network_description.ts';
import { resultsJsonSchema } from '../results/json_schema.ts';
import type { Session } from './session.ts';

const SCHEMAS: Readonly<Record<string, () => object>> = {
  experiment: () => toJsonSchema(ExperimentConfig, { typeMode: 'input', errorMode: 'ignore' }),
  memory: memoryJsonSchema,
  network: () => toJsonSchema(NetworkDescription, { typeMode: 'input', errorMode: 'ignore' }),
  results: resultsJsonSchema,
};

/** Prints the JSON Schema of `what`. @throws ConfigError if there is none */
export function schemaCommand(session: Session, what: string): void {
  const schema = Object.hasOwn(SCHEMAS, what) ? SCHEMAS[what] : undefined;
  if (!schema) throw new ConfigError(`schema ${what}: choose one of ${Object.keys(SCHEMAS).join(', ')}`);
  session.answerJson(schema());
}
