/** A memory configuration: plain data, validated once, written unchanged into every result's manifest. */
import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import { schemaMessage } from '../schema_message.ts';
import { MAPPING_NAMES, MAPPINGS } from './addresses.ts';
import { checkRegions, REGION } from './allocation.ts';
import { behaviourOf, FaultModel } from './faults/registry.ts';
import { described, whole } from './fields.ts';
import { FIXED_ENCODINGS, FIXED_REPRESENTATIONS } from './fixed_point.ts';
import { FLOAT_KINDS, NON_FINITE_POLICIES } from './floating_point.ts';
import { INTEGER_KINDS } from './integer.ts';

export { FaultModel } from './faults/registry.ts';
export { Rate } from './fields.ts';

/** The events at which new faults can be drawn. */
export const GRANULARITIES = ['chip', 'load', 'pass', 'inference'] as const;
export type Granularity = (typeof GRANULARITIES)[number];

/** How kernels read weights. */
export const FETCH_PATHS = ['auto', 'materialised', 'fused'] as const;

/** Additive noise that can take the place of faults. */
export const NOISE_KINDS = ['gaussian', 'laplacian'] as const;
export type NoiseKind = (typeof NOISE_KINDS)[number];

export const NUMBER_FORMAT_KINDS = ['fixed', ...INTEGER_KINDS, ...FLOAT_KINDS] as const;

export const FixedFormat = described(
  v.strictObject({
    kind: described(v.literal('fixed'), 'Selects fixed point.'),
    bits: v.optional(
      described(
        v.pipe(whole, v.minValue(2, 'must be in 2..16'), v.maxValue(16, 'must be in 2..16')),
        'Bits of a code; the highest is the sign.',
      ),
      12,
    ),
    exponent: v.optional(
      described(
        v.union([
          v.picklist(['per-tensor', 'shared']),
          v.strictObject({
            layer: described(v.string('must be the name of a layer'), 'Name of the layer, such as fc1 as published.'),
          }),
          v.pipe(v.number(), v.integer(), v.minValue(-60, 'must be in -60..60'), v.maxValue(60, 'must be in -60..60')),
        ]),
        'One unit of a code is worth 2^exponent: fitted to each tensor, to all tensors together (shared) or to the ' +
          'weights of one layer, or given.',
      ),
      'per-tensor',
    ),
    headroom: v.optional(
      described(
        v.pipe(whole, v.minValue(0, 'must be in 0..8'), v.maxValue(8, 'must be in 0..8')),
        'Bits that a fitted exponent leaves free above the largest weight.',
      ),
      0,
    ),
    encoding: v.optional(
      described(
        v.picklist(FIXED_ENCODINGS),
        'corrected rounds to the nearest value and saturates; faithful truncates and wraps around, as the published ' +
          'code does.',
      ),
      'corrected',
    ),
    representation: v.optional(
      described(
        v.picklist(FIXED_REPRESENTATIONS),
        "How a negative value is stored: its magnitude with a sign bit (default), or two's complement. The values are the same; " +
          'what a flip does to them is not.',
      ),
    ),
  }),
  "Fixed point, in sign-magnitude or two's complement.",
);
export type FixedFormat = v.InferOutput<typeof FixedFormat>;

const IntegerFormat = described(
  v.strictObject({
    kind: described(v.picklist(INTEGER_KINDS), 'Width of the integers.'),
    scale: v.optional(
      described(
        v.picklist(['per-tensor', 'per-channel']),
        'per-tensor: one scale for a tensor; per-channel: one for every row of its matrix, which is an output channel.',
      ),
      'per-tensor',
    ),
  }),
  "Integers in two's complement, symmetric about zero.",
);

const FloatFormat = described(
  v.strictObject({
    kind: described(v.picklist(FLOAT_KINDS), 'IEEE 754 binary32 or binary16, or bfloat16.'),
    nonFinite: v.optional(
      described(
        v.picklist(NON_FINITE_POLICIES),
        'The value read for a code that a flip made infinite or NaN: itself (propagate), zero, or the largest finite ' +
          'value with its sign (saturate).',
      ),
      'propagate',
    ),
  }),
  'Floating point.',
);

export const NumberFormat = v.variant('kind', [FixedFormat, IntegerFormat, FloatFormat]);
export type NumberFormat = v.InferOutput<typeof NumberFormat>;

export const Ecc = described(
  v.strictObject({
    code: v.optional(described(v.literal('secded'), 'SECDED(72,64): 8 check bits for every 64 bits.'), 'secded'),
    detected: v.optional(
      described(
        v.picklist(['zero', 'pass']),
        'The value read for a word with a detected but uncorrected error: zero, or the word as it is (pass).',
      ),
      'zero',
    ),
    scrub: v.optional(
      described(
        v.boolean(),
        'If true, errors that are drawn once per load are corrected right after loading, before reads add more.',
      ),
      false,
    ),
  }),
  'An error correcting code. Its check bits lie in the same memory and fail as often as the data.',
);
export type Ecc = v.InferOutput<typeof Ecc>;

const StoredMemory = described(
  v.strictObject({
    kind: described(v.literal('stored'), 'Selects a memory with faults.'),
    format: v.optional(described(NumberFormat, 'How values are encoded.'), { kind: 'fixed' }),
    faults: v.optional(described(v.array(FaultModel), 'Fault models; a cell fails if any of them makes it fail.'), []),
    protectedBits: v.optional(
      described(
        v.pipe(whole, v.minValue(0, 'must be in 0..32'), v.maxValue(32, 'must be in 0..32')),
        'Number of the highest bits of every code that lie in memory without errors.',
      ),
      0,
    ),
    ecc: v.optional(Ecc),
    inverted: v.optional(
      described(
        v.boolean(),
        'If true, the bits of every 16 codes are stored inverted where this puts fewer cells into the state that fails more ' +
          'often on the chip. The flag, one bit for 16 codes, lies in memory without errors; its bytes count as read.',
      ),
    ),
    reordered: v.optional(
      described(
        v.boolean(),
        'If true, the bits of a code are stored in the order of how often their places fail: the most significant bit in ' +
          'the best place. All faults must be of the model bit-plane, which knows the places.',
      ),
    ),
  }),
  'Approximate memory, from which weights and biases are read with faults.',
);
export type StoredMemory = v.InferOutput<typeof StoredMemory>;

const noiseMemory = (kind: NoiseKind) =>
  described(
    v.strictObject({
      kind: described(v.literal(kind), `Selects ${kind} noise.`),
      scale: described(
        v.pipe(v.number('must be a number'), v.finite('must be finite'), v.minValue(0, 'a noise scale is >= 0')),
        kind === 'gaussian'
          ? 'Standard deviation, in the units of the weights.'
          : 'Scale b of the density exp(-|x| / b) / (2 b), in the units of the weights.',
      ),
    }),
    'Additive noise on weights and biases, for comparison with faults.',
  );

/** The errors of one layer's weights and biases at each fetch: faults of a memory, or additive noise instead. */
const layerMemory = v.variant('kind', [StoredMemory, ...NOISE_KINDS.map(noiseMemory)]);
type LayerMemoryType = typeof layerMemory;
/** The type of the schema, which has a name so that declarations of other types do not repeat it. */
export interface LayerMemorySchema extends LayerMemoryType {}
export const LayerMemory: LayerMemorySchema = layerMemory;
export type LayerMemory = v.InferOutput<LayerMemorySchema>;

const ActivationMemory = described(
  v.strictObject({
    ...StoredMemory.entries,
    range: v.optional(
      described(
        v.pipe(v.number('must be a number'), v.finite('must be finite'), v.minValue(2 ** -60)),
        'Largest magnitude that the format must hold; larger values saturate. Default: 1 for the input, and in experiments, for ' +
          'a layer, the largest on the training photographs.',
      ),
    ),
  }),
  'Approximate memory that values between layers are written to and read from.',
);
export type ActivationMemory = v.InferOutput<typeof ActivationMemory>;

const powerOfTwo = v.check((n: number) => Number.isInteger(Math.log2(n)), 'must be a power of two');

/** The default is 2 GiB, the size of the DIMMs of the voltage table. */
export const Geometry = described(
  v.strictObject({
    banks: v.optional(
      described(
        v.pipe(whole, v.minValue(1, 'must be in 1..64'), v.maxValue(64, 'must be in 1..64'), powerOfTwo),
        'Number of banks, a power of two.',
      ),
      8,
    ),
    rows: v.optional(described(v.pipe(whole, v.minValue(1, 'must be at least 1')), 'Rows per bank.'), 32768),
    rowBytes: v.optional(
      described(
        v.pipe(whole, v.minValue(64, 'must be in 64..65536'), v.maxValue(65536, 'must be in 64..65536'), powerOfTwo),
        'Bytes per row, a power of two.',
      ),
      8192,
    ),
    channels: v.optional(
      described(
        v.pipe(whole, v.minValue(1, 'must be in 1..8'), v.maxValue(8, 'must be in 1..8'), powerOfTwo),
        'Number of channels, a power of two, each with such banks; default: 1.',
      ),
    ),
    mapping: v.optional(
      described(
        v.picklist(MAPPING_NAMES, `must be one of ${MAPPING_NAMES.join(', ')}`),
        `The fields of an address from its highest bits to its lowest; default: row-interleaved. ${Object.entries(
          MAPPINGS,
        )
          .map(([name, fields]) => `${name}: ${fields}`)
          .join('. ')}.`,
      ),
    ),
  }),
  'Layout of addresses. Models with lines place the memory image at address 0, row-interleaved in one channel; the models ' +
    'rows and latency at the pages that place names.',
);
export type Geometry = v.InferOutput<typeof Geometry>;

export const ChosenFlip = described(
  v.strictObject({
    parameter: described(
      v.pipe(v.string(), v.regex(/.\.(weight|bias)$/, 'must be a parameter such as fc1.weight')),
      'Name of the parameter: that of its layer, a point, and weight or bias.',
    ),
    index: described(
      v.pipe(whole, v.minValue(0, 'must be at least 0')),
      "Position of the value in the flattened tensor, in PyTorch's order.",
    ),
    bit: described(
      v.pipe(whole, v.minValue(0, 'must be in 0..31'), v.maxValue(31, 'must be in 0..31')),
      'Bit of the stored code, 0 for the lowest.',
    ),
  }),
  'One stored bit that reads inverted.',
);
export type ChosenFlip = v.InferOutput<typeof ChosenFlip>;

const memoryConfig = described(
  v.strictObject({
    seed: v.optional(
      described(v.pipe(v.number(), v.safeInteger(), v.minValue(0)), 'Seed of all random numbers of the memory.'),
      1,
    ),
    chip: v.optional(
      described(
        v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xffffffff)),
        'Number of the chip or DIMM; at granularity chip, the number of the first draw.',
      ),
      0,
    ),
    granularity: v.optional(
      described(
        v.picklist(GRANULARITIES),
        'When new faults are drawn: once for a chip (chip; every draw is another chip), at every load of the model ' +
          '(load), at every pass over a batch (pass), or for every image (inference).',
      ),
      'load',
    ),
    path: v.optional(
      described(
        v.picklist(FETCH_PATHS),
        'materialised writes the flipped weights to a buffer; fused flips bits as kernels read. The results are the ' +
          'same. auto is fused for granularity inference and materialised otherwise.',
      ),
      'auto',
    ),
    geometry: v.optional(Geometry, {}),
    place: v.optional(
      described(
        v.record(
          v.string(),
          described(
            v.pipe(v.string(), v.regex(REGION, 'must be anywhere, bank:0,2, rows:good or rows:bad')),
            'Region of the layer.',
          ),
        ),
        'Where layers with the fault models rows and latency lie, by name; * stands for the others: anywhere, in banks ' +
          '(bank:0,2), or in rows that are good or bad in this draw (rows:good, rows:bad). A region is filled page by page ' +
          'from a random one on. Default: all layers together anywhere.',
      ),
    ),
    layers: described(
      v.record(v.string(), LayerMemory),
      'Memory of each layer by its name; * stands for all layers without an entry of their own, in experiments only for ' +
        'the dense and convolutional ones. Other layers are exact.',
    ),
    activations: v.optional(
      described(
        v.record(v.string(), ActivationMemory),
        'Memory of the input, or of the output of a layer by its name; * stands for all layers without an entry of their own, in ' +
          'experiments only for the dense and convolutional ones. Other activations are exact.',
      ),
      {},
    ),
    flips: v.optional(
      described(
        v.array(ChosenFlip),
        'Bits that are inverted once the weights are stored, chosen one by one instead of drawn, as by an attacker who can ' +
          'write to the memory; midas flips finds the most damaging ones. Faults are added at every read.',
      ),
    ),
  }),
  'The parts of a network that lie in approximate memory, and the errors of that memory.',
);
type MemoryConfigType = typeof memoryConfig;
/** The type of the schema, which has a name so that declarations of other types do not repeat it. */
export interface MemoryConfigSchema extends MemoryConfigType {}
export const MemoryConfig: MemoryConfigSchema = memoryConfig;
export type MemoryConfig = v.InferOutput<MemoryConfigSchema>;
export type MemoryConfigInput = v.InferInput<typeof MemoryConfig>;

/** Named memory configurations, each of which is a condition of an experiment (src/experiments/config.ts). */
export const NamedMemories = v.array(
  v.strictObject({
    name: described(
      v.pipe(v.string(), v.regex(/^[^\p{Cc}\p{Cs}\p{Cn}]+$/u, 'must be a name of printable characters')),
      'Name of the condition.',
    ),
    setting: described(v.string(), 'Name shared by memories that differ only in the strength of their errors.'),
    volts: v.optional(described(v.number('must be a number'), 'Supply voltage, for a sweep over it.')),
    memory: MemoryConfig,
  }),
);

/** A memory in which every bit flips at the same rate; experiments sweep this rate. */
export function uniformMemory(format: NumberFormat, bitErrorRate: number): StoredMemory {
  const faults: FaultModel[] = [{ kind: 'uniform', bitErrorRate, drawn: 'read' }];
  return { kind: 'stored', format, faults, protectedBits: 0 };
}

/**
 * Validates a memory configuration against the layers of its model; `*` is replaced by the layers that it stands for.
 * @param starred layers for which `*` can stand, all by default; experiments give the dense and convolutional layers
 * @throws ConfigError naming the path in the configuration and, for an unknown layer, the layers of the model
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
    const place = [where, v.getDotPath(issue)].filter(Boolean).join('.');
    throw new ConfigError(`${place}: ${schemaMessage(MemoryConfig, issue)}`);
  }
  const named = <T>({ '*': others, ...own }: Readonly<Record<string, T>>): Record<string, T> => {
    const rest = others ? starred.filter((layer) => !Object.hasOwn(own, layer)).map((layer) => [layer, others]) : [];
    return { ...own, ...Object.fromEntries(rest) };
  };
  const { layers: weights, activations } = result.output;
  const config: MemoryConfig = { ...result.output, layers: named(weights), activations: named(activations) };
  for (const [layer, memory] of Object.entries(config.layers)) {
    if (!layers.includes(layer)) {
      throw new ConfigError(`${where}.layers.${layer}: no such layer; this model has ${layers.join(', ')}`);
    }
    if (memory.kind === 'stored') {
      checkRepresentation(memory, `${where}.layers.${layer}`);
      const exponent = memory.format.kind === 'fixed' ? memory.format.exponent : undefined;
      if (typeof exponent === 'object' && !layers.includes(exponent.layer)) {
        throw new ConfigError(
          `${where}.layers.${layer}.format.exponent: no layer ${exponent.layer}; this model has ${layers.join(', ')}`,
        );
      }
    } else if (config.path === 'fused' || config.granularity === 'inference') {
      throw new ConfigError(
        `${where}.layers.${layer}: ${memory.kind} noise needs path auto or materialised and granularity chip, load or pass`,
      );
    }
  }
  checkPlaces(config, where);
  for (const [name, memory] of Object.entries(config.activations)) {
    const path = `${where}.activations.${name}`;
    if (name !== 'input' && !layers.includes(name)) {
      throw new ConfigError(`${path}: no such layer; give input or one of ${layers.join(', ')}`);
    }
    checkRepresentation(memory, path);
    const { format } = memory;
    if (memory.faults.some((model) => behaviourOf(model).needsAddresses?.(model))) {
      throw new ConfigError(`${path}.faults: activations have no addresses, so no model can fail cells by line`);
    }
    if ('nonFinite' in format) continue;
    if ('scale' in format && format.scale === 'per-channel')
      throw new ConfigError(`${path}.format.scale: use per-tensor`);
    if (format.kind === 'fixed' && format.exponent !== 'per-tensor') {
      throw new ConfigError(`${path}.format.exponent: for activations it is fitted to the range; leave it out`);
    }
  }
  if (config.path === 'materialised' && config.granularity === 'inference') {
    throw new ConfigError(`${where}.path: granularity inference draws faults per image and cannot be materialised`);
  }
  return config;
}

/** @throws ConfigError for the published code, which knows sign-magnitude only, in two's complement */
function checkRepresentation({ format }: StoredMemory, path: string): void {
  if (format.kind !== 'fixed' || format.representation !== 'twos-complement' || format.encoding !== 'faithful') return;
  throw new ConfigError(`${path}.format.representation: the faithful encoding is sign-magnitude; use corrected`);
}

/** Checks that every place belongs to a layer whose faults depend on it, and that no two overlap. @throws ConfigError */
function checkPlaces({ place, layers, geometry }: MemoryConfig, where: string): void {
  if (!place) return;
  const depends = (memory: LayerMemory | undefined) =>
    memory?.kind === 'stored' && memory.faults.some((model) => behaviourOf(model).placed);
  for (const layer of Object.keys(place)) {
    if (layer === '*' ? Object.values(layers).some(depends) : depends(layers[layer])) continue;
    throw new ConfigError(
      `${where}.place.${layer}: no faults depend on where it lies; give the layer the fault model rows or latency`,
    );
  }
  checkRegions(place, geometry, `${where}.place`);
}
