/** A memory configuration: plain data, validated once, written unchanged into every result's manifest. */
import * as v from 'valibot';
import { ConfigError } from '../errors.ts';

const rate = v.pipe(
  v.number('must be a number'),
  v.minValue(0, 'a bit error rate lies in 0..1'),
  v.maxValue(1, 'a bit error rate lies in 0..1'),
);
const scale = v.pipe(v.number('must be a number'), v.finite('must be finite'), v.minValue(0, 'a noise scale is >= 0'));

/**
 * Sign-magnitude fixed point of n bits; `exponent` of one unit: fitted per tensor, shared by all, fitted to the weights of
 * one named layer (as published, to fc1), or given.
 */
export const FixedFormat = v.strictObject({
  kind: v.literal('fixed'),
  bits: v.optional(
    v.pipe(v.number(), v.integer('must be a whole number'), v.minValue(2, '2..16 bits'), v.maxValue(16, '2..16 bits')),
    12,
  ),
  exponent: v.optional(
    v.union([
      v.picklist(['per-tensor', 'shared']),
      v.strictObject({ layer: v.string('must be the name of a layer') }),
      v.pipe(v.number(), v.integer(), v.minValue(-60, '-60..60'), v.maxValue(60, '-60..60')),
    ]),
    'per-tensor',
  ),
  headroom: v.optional(
    v.pipe(v.number(), v.integer('must be a whole number'), v.minValue(0, '0..8'), v.maxValue(8, '0..8')),
    0,
  ),
  encoding: v.optional(v.picklist(['corrected', 'faithful']), 'corrected'),
});
export type FixedFormat = v.InferOutput<typeof FixedFormat>;

/** What happens to one layer's weights and biases at each fetch. */
export const LayerMemory = v.variant('kind', [
  v.strictObject({ kind: v.literal('uniform'), format: FixedFormat, bitErrorRate: rate }),
  v.strictObject({ kind: v.literal('gaussian'), scale }),
  v.strictObject({ kind: v.literal('laplacian'), scale }),
]);
export type LayerMemory = v.InferOutput<typeof LayerMemory>;

export const MemoryConfig = v.strictObject({
  seed: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0)), 1),
  chip: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xffffffff)), 0),
  granularity: v.optional(v.picklist(['chip', 'load', 'pass', 'inference']), 'load'),
  /** `auto`: fused for `inference`, materialised otherwise. */
  path: v.optional(v.picklist(['auto', 'materialised', 'fused']), 'auto'),
  layers: v.record(v.string(), LayerMemory),
});
export type MemoryConfig = v.InferOutput<typeof MemoryConfig>;
export type MemoryConfigInput = v.InferInput<typeof MemoryConfig>;

/**
 * Validates a memory configuration against the layers of the model it is for.
 * @throws ConfigError naming the path in the configuration, and for an unknown layer the layers there are
 */
export function parseMemoryConfig(input: unknown, layers: readonly string[], where = 'memory'): MemoryConfig {
  const result = v.safeParse(MemoryConfig, input);
  if (!result.success) {
    const issue = result.issues[0];
    throw new ConfigError(`${[where, v.getDotPath(issue)].filter(Boolean).join('.')}: ${issue.message}`);
  }
  for (const [layer, memory] of Object.entries(result.output.layers)) {
    if (!layers.includes(layer)) {
      throw new ConfigError(`${where}.layers.${layer}: no such layer; this model has ${layers.join(', ')}`);
    }
    const exponent = memory.kind === 'uniform' ? memory.format.exponent : undefined;
    if (typeof exponent === 'object' && !layers.includes(exponent.layer)) {
      throw new ConfigError(
        `${where}.layers.${layer}.format.exponent: no layer ${exponent.layer}; this model has ${layers.join(', ')}`,
      );
    }
    const noisy = memory.kind !== 'uniform';
    if (noisy && (result.output.path === 'fused' || result.output.granularity === 'inference')) {
      throw new ConfigError(
        `${where}.layers.${layer}: ${memory.kind} noise is materialised; use granularity chip, load or pass`,
      );
    }
  }
  if (result.output.path === 'materialised' && result.output.granularity === 'inference') {
    throw new ConfigError(`${where}.path: granularity inference has a map an image and cannot be materialised`);
  }
  return result.output;
}
