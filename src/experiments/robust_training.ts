/** Training for memory that errs, as the configurations of both experiments have it. */
import * as v from 'valibot';
import { NumberFormat, Rate } from '../memory/config.ts';

/** Keys of a classifier's training; what they mean is said in src/models/trainer.ts. */
export const ROBUST_TRAINING = {
  weightClip: v.optional(v.pipe(v.number('must be a number'), v.minValue(1e-6), v.maxValue(1e6))),
  errors: v.optional(
    v.strictObject({
      format: v.optional(NumberFormat, { kind: 'fixed' }),
      bitErrorRate: Rate,
      rampEpochs: v.optional(v.pipe(v.number(), v.integer('must be a whole number'), v.minValue(0)), 0),
      layers: v.optional(v.array(v.string())),
    }),
  ),
};

/** The same as a user may give them. */
export interface RobustTraining {
  readonly weightClip?: number;
  readonly errors?: { readonly format?: object; readonly bitErrorRate: number; readonly rampEpochs: number };
}
