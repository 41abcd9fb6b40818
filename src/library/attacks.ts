/** Attacks, as part of an experiment and for direct use against any victim. */
import type { InversionInput } from '../attacks/inversion_config.ts';
import type { MiFaceInput } from '../attacks/mi_face_config.ts';

export type {
  Attack,
  AttackContext,
  AttackedVictim,
  AttackOutput,
  AttackResult,
  BuiltAttack,
  PreparedAttack,
  Reconstruction,
} from '../attacks/attack.ts';
export {
  type Alignment,
  alignLogits,
  InversionAttack,
  type InversionAttacker,
  Predictor,
  type Reconstructions,
} from '../attacks/inversion.ts';
export type { InversionConfig } from '../attacks/inversion_config.ts';
export { MiFace, type MiFaceResult } from '../attacks/mi_face.ts';
export { type MiFaceConfig, type MiFaceInput, miFaceOptions } from '../attacks/mi_face_config.ts';
export { ATTACKS, type AttackConfig } from '../attacks/registry.ts';
export type { HeldReads, RepeatedReads } from '../attacks/repeated_reads.ts';
export type { SearchSpace } from '../attacks/search_space.ts';
export type { InversionInput };

/** An attack of an experiment: its kind, and any of its options. Omitted options get defaults that suit the images. */
export type AttackInput = { readonly kind: string } & Readonly<Record<string, unknown>>;

/** MI-Face (Fredrikson, Jha, Ristenpart, CCS 2015): changes the pixels until the victim is confident of the person. */
export function miFace(options: Partial<Omit<MiFaceInput, 'kind'>> = {}): AttackInput {
  return { kind: 'mi-face', ...options };
}

/** A network that inverts predictions (Yang, Zhang, Chang, Liang, CCS 2019), trained on the attacker's own faces. */
export function inversion(options: Partial<Omit<InversionInput, 'kind'>> = {}): AttackInput {
  return { kind: 'inversion', ...options };
}
