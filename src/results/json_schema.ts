import { toJsonSchema } from '@valibot/to-json-schema';
import { ResultsSchema } from './schema.ts';

/**
 * JSON Schema (draft 7) of `results.json`, for editors and other languages. It is weaker than the reader's own validation: it
 * does not say that numbers are finite, nor that the lists of one row have one length.
 */
export function resultsJsonSchema(): object {
  return toJsonSchema(ResultsSchema, { typeMode: 'input', errorMode: 'ignore' });
}
