/** Schemas and helpers that the other schemas of this folder are composed of. */
import * as v from 'valibot';

/**
 * A schema with a description, which the JSON Schema of a configuration shows. Its type is that of the schema: a description changes
 * no values, and would triple the type declarations.
 */
export function described<const Schema extends v.GenericSchema>(schema: Schema, text: string): Schema {
  return v.pipe(schema, v.description(text)) as unknown as Schema;
}

/** A whole number. */
export const whole: v.GenericSchema<number> = v.pipe(v.number('must be a number'), v.integer('must be a whole number'));

/** A probability, 0..1. */
export const Rate: v.GenericSchema<number> = v.pipe(
  v.number('must be a number'),
  v.minValue(0, 'a rate lies in 0..1'),
  v.maxValue(1, 'a rate lies in 0..1'),
);
