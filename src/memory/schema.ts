import { toJsonSchema } from '@valibot/to-json-schema';
import { MemoryConfig } from './config.ts';

/**
 * JSON Schema (draft 7) of a memory configuration as users write it, for editors and other languages. It is weaker than
 * `parseMemoryConfig`: JSON Schema cannot express that `banks` and `rowBytes` are powers of two, and the schema contains
 * no rule that depends on the model.
 */
export function memoryJsonSchema(): object {
  return toJsonSchema(MemoryConfig, { typeMode: 'input', errorMode: 'ignore' });
}
