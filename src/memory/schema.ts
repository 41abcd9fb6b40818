import { toJsonSchema } from '@valibot/to-json-schema';
import { MemoryConfig } from './config.ts';

/**
 * JSON Schema (draft 7) of a memory configuration as it is written, for editors and other languages. It is weaker than
 * the configuration's own validation: it does not say that banks and bytes of a row are powers of two, which it has no
 * words for, nor anything that depends on the model.
 */
export function memoryJsonSchema(): object {
  return toJsonSchema(MemoryConfig, { typeMode: 'input', errorMode: 'ignore' });
}
