/** The lists of all defences, one line each. The rest of the program uses these lists. */
import { BIDO } from './bido.ts';
import type { ReleaseDefence, TrainingDefence } from './defence.ts';
import { DP_SGD } from './dp_sgd.ts';
import { ERROR_TRAINING } from './error_training.ts';
import { LABEL_SMOOTHING } from './label_smoothing.ts';
import { MID } from './mid.ts';
import { OUTPUT_NOISE } from './output_noise.ts';
import { RANDOM_ERASING } from './random_erasing.ts';
import { ROUNDING } from './rounding.ts';
import { TOP_K } from './top_k.ts';
import { WEIGHT_CLIPPING } from './weight_clipping.ts';

// Each kind of configuration belongs to its own defence, which the type of a list cannot express.
export const RELEASE_DEFENCES = [ROUNDING, TOP_K, OUTPUT_NOISE] as unknown as readonly ReleaseDefence[];

export const TRAINING_DEFENCES = [
  WEIGHT_CLIPPING,
  ERROR_TRAINING,
  LABEL_SMOOTHING,
  RANDOM_ERASING,
  DP_SGD,
  BIDO,
  MID,
] as unknown as readonly TrainingDefence[];

/** The defence of a kind. @throws Error for an unknown kind, which the schema should have refused */
export function releaseDefence(kind: string): ReleaseDefence {
  const found = RELEASE_DEFENCES.find((defence) => defence.kind === kind);
  if (!found) throw new Error(`no defence ${kind}`);
  return found;
}
