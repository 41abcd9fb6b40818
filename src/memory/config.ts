/** A memory configuration: plain data, validated once, written unchanged into every result's manifest. */
import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import { behaviourOf, FaultModel } from './faults/registry.ts';
import { whole } from './fields.ts';

export { FaultModel } from './faults/registry.ts';
export { Rate } from './fields.ts';

const scale = v.pipe(v.number('must be a number'), v.finite('must be finite'), v.minValue(0, 'a noise scale is >= 0'));

/**
 * Sign-magnitude fixed point of n bits; `exponent` of one unit: fitted per tensor, shared by all, fitted to the weights of
 * one named layer (as published, to fc1), or given.
 */
export const FixedFormat = v.strictObject({
  kind: v.literal('fixed'),
  bits: v.optional(v.pipe(whole, v.minValue(2, '2..16 bits'), v.maxValue(16, '2..16 bits')), 12),
  exponent: v.optional(
    v.union([
      v.picklist(['per-tensor', 'shared']),
      v.strictObject({ layer: v.string('must be the name of a layer') }),
      v.pipe(v.number(), v.integer(), v.minValue(-60, '-60..60'), v.maxValue(60, '-60..60')),
    ]),
    'per-tensor',
  ),
  headroom: v.optional(v.pipe(whole, v.minValue(0, '0..8'), v.maxValue(8, '0..8')), 0),
  encoding: v.optional(v.picklist(['corrected', 'faithful']), 'corrected'),
});
export type FixedFormat = v.InferOutput<typeof FixedFormat>;

/** Two's complement, symmetric; one scale for a tensor, or for each row of its matrix: an output channel. */
const IntegerFormat = v.strictObject({
  kind: v.picklist(['int8', 'int4']),
  scale: v.optional(v.picklist(['per-tensor', 'per-channel']), 'per-tensor'),
});

/** IEEE 754 words. `nonFinite`: what a code becomes that a flip made infinite or not a number. */
const FloatFormat = v.strictObject({
  kind: v.picklist(['fp32', 'fp16', 'bf16']),
  nonFinite: v.optional(v.picklist(['propagate', 'zero', 'saturate']), 'propagate'),
});

export const NumberFormat = v.variant('kind', [FixedFormat, IntegerFormat, FloatFormat]);
export type NumberFormat = v.InferOutput<typeof NumberFormat>;

/**
 * SECDED(72,64): 8 check bits for every 64 bits, in memory as bad. A word with an error that is detected but not corrected
 * reads zero, or is passed on as it is. `scrub`: what fails once a load is corrected then, before further reads add to it.
 */
export const Ecc = v.strictObject({
  code: v.optional(v.literal('secded'), 'secded'),
  detected: v.optional(v.picklist(['zero', 'pass']), 'zero'),
  scrub: v.optional(v.boolean(), false),
});
export type Ecc = v.InferOutput<typeof Ecc>;

/** A layer whose weights and biases lie in approximate memory; a cell fails if any of the models fails it. */
const StoredMemory = v.strictObject({
  kind: v.literal('stored'),
  format: v.optional(NumberFormat, { kind: 'fixed' }),
  faults: v.optional(v.array(FaultModel), []),
  /** The highest bits of every code that lie in memory without errors. */
  protectedBits: v.optional(v.pipe(whole, v.minValue(0, '0..32'), v.maxValue(32, '0..32')), 0),
  ecc: v.optional(Ecc),
});
export type StoredMemory = v.InferOutput<typeof StoredMemory>;

/** What happens to one layer's weights and biases at each fetch: faults of a memory, or additive noise in its place. */
export const LayerMemory = v.variant('kind', [
  StoredMemory,
  v.strictObject({ kind: v.literal('gaussian'), scale }),
  v.strictObject({ kind: v.literal('laplacian'), scale }),
]);
export type LayerMemory = v.InferOutput<typeof LayerMemory>;

/**
 * What is written there between layers. `range`: the largest size of a value that the format must hold, for the input 1 by
 * default; larger ones saturate.
 */
const ActivationMemory = v.strictObject({
  ...StoredMemory.entries,
  range: v.optional(v.pipe(v.number('must be a number'), v.finite('must be finite'), v.minValue(2 ** -60))),
});
export type ActivationMemory = v.InferOutput<typeof ActivationMemory>;

const powerOfTwo = v.check((n: number) => Number.isInteger(Math.log2(n)), 'must be a power of two');

/**
 * Where addresses lie: the image fills a row of `rowBytes` of one bank after the other, then the next row. 2 GiB by
 * default, as the DIMMs of the voltage table.
 */
export const Geometry = v.strictObject({
  banks: v.optional(v.pipe(whole, v.minValue(1, '1..64'), v.maxValue(64, '1..64'), powerOfTwo), 8),
  rows: v.optional(v.pipe(whole, v.minValue(1, 'at least 1')), 32768),
  rowBytes: v.optional(v.pipe(whole, v.minValue(64, '64..65536'), v.maxValue(65536, '64..65536'), powerOfTwo), 8192),
});
export type Geometry = v.InferOutput<typeof Geometry>;

export const MemoryConfig = v.strictObject({
  seed: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0)), 1),
  chip: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xffffffff)), 0),
  granularity: v.optional(v.picklist(['chip', 'load', 'pass', 'inference']), 'load'),
  /** `auto`: fused for `inference`, materialised otherwise. */
  path: v.optional(v.picklist(['auto', 'materialised', 'fused']), 'auto'),
  geometry: v.optional(Geometry, {}),
  /** By name; `*` is every layer with products that has no entry of its own. */
  layers: v.record(v.string(), LayerMemory),
  /** The `input`, or what layers hand on by the layer's name; none by default. */
  activations: v.optional(v.record(v.string(), ActivationMemory), {}),
});
export type MemoryConfig = v.InferOutput<typeof MemoryConfig>;
export type MemoryConfigInput = v.InferInput<typeof MemoryConfig>;

/** A memory configuration with a name, as experiments sweep them: see NamedMemory in src/experiments/sweep.ts. */
export const NamedMemories = v.array(
  v.strictObject({
    name: v.string(),
    setting: v.string(),
    volts: v.optional(v.number('must be a number')),
    memory: MemoryConfig,
  }),
);

/** One uniform error rate on a number format: what the experiments sweep. */
export function uniformMemory(format: NumberFormat, bitErrorRate: number): StoredMemory {
  const faults: FaultModel[] = [{ kind: 'uniform', bitErrorRate, drawn: 'read' }];
  return { kind: 'stored', format, faults, protectedBits: 0 };
}

/**
 * Validates a memory configuration against the layers of the model it is for; `*` becomes the layers it stands for.
 * @param starred those that it can stand for, all by default: in experiments layers with products, not batch normalisation
 * @throws ConfigError naming the path in the configuration, and for an unknown layer the layers there are
 */
export function parseMemoryConfig(
  input: unknown,
  layers: readonly string[],
  where = 'memory',
  starred = layers,
): MemoryConfig {
  const result = v.safeParse(MemoryConfig, input);
  if (!result.success) {
    const issue = result.issues[0];
    throw new ConfigError(`${[where, v.getDotPath(issue)].filter(Boolean).join('.')}: ${issue.message}`);
  }
  const { '*': others, ...named } = result.output.layers;
  const rest = others ? starred.filter((layer) => !Object.hasOwn(named, layer)).map((layer) => [layer, others]) : [];
  const config: MemoryConfig = { ...result.output, layers: { ...named, ...Object.fromEntries(rest) } };
  for (const [layer, memory] of Object.entries(config.layers)) {
    if (!layers.includes(layer)) {
      throw new ConfigError(`${where}.layers.${layer}: no such layer; this model has ${layers.join(', ')}`);
    }
    if (memory.kind === 'stored') {
      const exponent = memory.format.kind === 'fixed' ? memory.format.exponent : undefined;
      if (typeof exponent === 'object' && !layers.includes(exponent.layer)) {
        throw new ConfigError(
          `${where}.layers.${layer}.format.exponent: no layer ${exponent.layer}; this model has ${layers.join(', ')}`,
        );
      }
    } else if (config.path === 'fused' || config.granularity === 'inference') {
      throw new ConfigError(
        `${where}.layers.${layer}: ${memory.kind} noise is materialised; use granularity chip, load or pass`,
      );
    }
  }
  for (const [name, memory] of Object.entries(config.activations)) {
    const path = `${where}.activations.${name}`;
    if (name !== 'input' && !layers.includes(name)) {
      throw new ConfigError(`${path}: no such layer; give input or one of ${layers.join(', ')}`);
    }
    const { format, range } = memory;
    if (memory.faults.some((model) => behaviourOf(model).needsAddresses?.(model))) {
      throw new ConfigError(`${path}.faults: activations have no addresses, and so no lines that could be bad`);
    }
    if ('nonFinite' in format) continue;
    if ('scale' in format && format.scale === 'per-channel')
      throw new ConfigError(`${path}.format.scale: use per-tensor`);
    if (format.kind === 'fixed' && format.exponent !== 'per-tensor') {
      throw new ConfigError(`${path}.format.exponent: an activation's is fitted to its range; leave it out`);
    }
    if (range === undefined && name !== 'input') {
      throw new ConfigError(`${path}.range: give the largest value that ${format.kind} must hold`);
    }
  }
  if (config.path === 'materialised' && config.granularity === 'inference') {
    throw new ConfigError(`${where}.path: granularity inference has a map an image and cannot be materialised`);
  }
  return config;
}
