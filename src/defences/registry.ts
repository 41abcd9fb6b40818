/** The lists of all defences, one line each. The rest of the program uses these lists. */
import { BIDO } from './bido.ts';
import type { ReleaseDefence, TrainingDefence } from './defence.ts';
import { ERROR_TRAINING } from './error_training.ts';
import { MID } from './mid.ts';
import { ROUNDING } from './rounding.ts';
import { WEIGHT_CLIPPING } from './weight_clipping.ts';

// Each kind of configuration belongs to its own defence, which the type of a list cannot express.
export const RELEASE_DEFENCES = [ROUNDING] as unknown as readonly ReleaseDefence[];

export const TRAINING_DEFENCES = [WEIGHT_CLIPPING, ERROR_TRAINING, BIDO, MID] as unknown as readonly TrainingDefence[];

/** The defence of a kind. @throws Error for an unknown kind, which the schema should have refused */
export function releaseDefence(kind: string): ReleaseDefence {
  const found = RELEASE_DEFENCES.find((defence) => defence.kind === kind);
  if (!found) throw new Error(`no defence ${kind}`);
  return found;
}
