/** The list of all attacks, one line each. The schema, help texts, the sweep, the report and the page use it. */
import * as v from 'valibot';
import type { Attack } from './attack.ts';
import { GENERATIVE } from './generative.ts';
import { INVERSION } from './inversion_attack.ts';
import { LABEL_ONLY } from './label_only.ts';
import { MEMBERSHIP } from './membership.ts';
import { MI_FACE } from './mi_face_attack.ts';

const REGISTERED = [MI_FACE, GENERATIVE, INVERSION, LABEL_ONLY, MEMBERSHIP] as const;

/** The configuration of any attack. */
export type AttackConfig = (typeof REGISTERED)[number] extends infer A
  ? A extends Attack<infer C>
    ? C
    : never
  : never;

// Each kind of configuration belongs to its own attack, which the type of a list cannot express.
export const ATTACKS = REGISTERED as unknown as readonly Attack<AttackConfig>[];

/** The schemas that `v.variant` takes: of objects, as all attacks have them. */
type ObjectSchemas = Parameters<
  typeof v.variant<'kind', [v.StrictObjectSchema<{ kind: v.LiteralSchema<string, undefined> }, undefined>], undefined>
>[1];

/** Schema of the configuration of any attack. */
export const AttackSchema = v.variant(
  'kind',
  ATTACKS.map(({ schema }) => schema) as unknown as ObjectSchemas,
) as unknown as v.GenericSchema<unknown, AttackConfig>;

/** The attack of a kind. @throws Error for an unknown kind, which the schema should have refused */
export function attackOfKind(kind: string): Attack<AttackConfig> {
  const found = ATTACKS.find((attack) => attack.kind === kind);
  if (!found) throw new Error(`no attack ${kind}`);
  return found;
}
