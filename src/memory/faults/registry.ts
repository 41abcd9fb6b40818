/** All fault models. To add one, add a file to this folder and a line to {@link FAULT_MODELS}. */
import * as v from 'valibot';
import { asymmetric } from './asymmetric.ts';
import { bitPlane } from './bit_plane.ts';
import { clustered } from './clustered.ts';
import { eden } from './eden.ts';
import { latency } from './latency.ts';
import type { FaultBehaviour } from './model.ts';
import { rows } from './rows.ts';
import { sramChip } from './sram_chip.ts';
import { stuckAt } from './stuck_at.ts';
import { uniform } from './uniform.ts';
import { voltage } from './voltage.ts';

/** All fault models, in the order in which errors and the JSON Schema name them. */
// biome-ignore format: one line per model
export const FAULT_MODELS = [
  uniform,
  asymmetric,
  stuckAt,
  bitPlane,
  eden,
  clustered,
  voltage,
  rows,
  latency,
  sramChip,
] as const;

/** A fault model as a configuration gives it. */
export const FaultModel = v.variant('kind', schemasOf(FAULT_MODELS));
export type FaultModel = v.InferOutput<typeof FaultModel>;

const BEHAVIOURS = new Map<string, FaultBehaviour<FaultModel>>(FAULT_MODELS.map((model) => [model.kind, model]));

/** The behaviour of a fault model, found by its kind. */
export function behaviourOf({ kind }: FaultModel): FaultBehaviour<FaultModel> {
  return BEHAVIOURS.get(kind)!;
}

type Schemas<Definitions> = {
  -readonly [K in keyof Definitions]: Definitions[K] extends { readonly schema: infer Schema } ? Schema : never;
};

function schemasOf<const Definitions extends readonly { readonly schema: v.GenericSchema }[]>(
  definitions: Definitions,
): Schemas<Definitions> {
  return definitions.map(({ schema }) => schema) as Schemas<Definitions>;
}
