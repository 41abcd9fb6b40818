/** Derives the conditions of a sweep from a configuration: the layers, the change of their weights, and its label. */
import { ConfigError } from '../errors.ts';
import { checkMemory } from '../injection/placement.ts';
import { productLayers } from '../layers/kinds.ts';
import { type LayerMemory, type MemoryConfigInput, parseMemoryConfig, uniformMemory } from '../memory/config.ts';
import { meanErrorRate } from '../memory/faults.ts';
import { formatName } from '../memory/format_name.ts';
import { PLANES, planeMemory } from '../memory/planes.ts';
import { modelLayout } from '../models/model_parameters.ts';
import type { ModelSpec } from '../models/model_spec.ts';
import { layerNames } from '../models/specs.ts';
import { type Condition, conditionKey, conditionLabel, formatPercent, matchedTo } from '../results/results.ts';
import type { NamedMemory, SweepConfig } from './config.ts';

/** The layers whose names a pattern matches, in which `*` stands for any text: `layers.0.*`. */
function matching(pattern: string, layers: readonly string[]): string[] {
  const parts = pattern.split('*').map((text) => text.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'));
  const expression = new RegExp(`^${parts.join('.*')}$`);
  return layers.filter((layer) => expression.test(layer));
}

/**
 * The layers that a set names: one such as `fc1`, several as in `fc1+fc2`, all whose names match as in `layers.0.*`, `all`, or
 * `both` in a model of two layers.
 * @throws ConfigError for any other name, and for a layer that is named twice
 */
export function layersOfSet(set: string, layers: readonly string[]): string[] {
  if (set === 'all' || (set === 'both' && layers.length === 2)) return [...layers];
  const members = set.split('+').flatMap((name) => (name.includes('*') ? matching(name, layers) : [name]));
  const repeated = members.find((layer, i) => members.indexOf(layer) !== i);
  if (repeated !== undefined) throw new ConfigError(`layers: "${set}" names ${repeated} twice`);
  if (members.length > 0 && members.every((layer) => layers.includes(layer))) return members;
  throw new ConfigError(
    `layers: "${set}" is neither a layer (${layers.join(', ')}) nor all${layers.length === 2 ? ' nor both' : ''}`,
  );
}

/** Rates by layer, from rates by layer or pattern. @throws ConfigError for an unknown layer, or one with two rates */
function ratesByLayer(rates: Readonly<Record<string, number>>, layers: readonly string[]): Record<string, number> {
  const result: Record<string, number> = {};
  for (const [name, rate] of Object.entries(rates)) {
    const members = matching(name, layers);
    if (members.length === 0)
      throw new ConfigError(`rateMaps: no layer "${name}"; this model has ${layers.join(', ')}`);
    for (const layer of members) {
      if (layer in result)
        throw new ConfigError(`rateMaps: "${name}" gives ${layer} a second rate; give each layer one`);
      result[layer] = rate;
    }
  }
  return result;
}

/** The name of a set of layers, the inverse of {@link layersOfSet}. */
function nameOfSet(members: readonly string[], layers: readonly string[]): string {
  if (members.length < layers.length) return members.join('+');
  return layers.length === 2 ? 'both' : 'all';
}

/**
 * All conditions except noise, which needs calibration: none, quantised, each set of layers at each rate, grid, rate maps,
 * one kind of bits alone, memories; then all of them again under each release.
 * @throws ConfigError for a layer that the model does not have, or an invalid memory
 */
export function plannedConditions(config: SweepConfig, spec: ModelSpec): Condition[] {
  const layers = layerNames(spec);
  const format = formatName(config.format);
  const common = { format, granularity: config.granularity };
  const bitErrors = (rates: Record<string, number>, set: string): Condition => ({
    kind: 'bit-error',
    ...common,
    rates,
    layers: set,
  });
  const equal = (members: readonly string[], rate: number) => Object.fromEntries(members.map((layer) => [layer, rate]));
  refuseEqualSets(config, layers);
  const rateMaps = config.rateMaps.map((rates) => ratesByLayer(rates, layers));
  const swept = new Set([
    ...config.sweeps.flatMap((sweep) => layersOfSet(sweep.layers, layers)),
    ...(config.grid.length > 0 ? layers.slice(0, 2) : []),
    ...rateMaps.flatMap((rates) => Object.keys(rates)),
  ]);
  const stored = layers.filter((layer) => swept.has(layer));
  const conditions: Condition[] = [{ kind: 'none', rates: {}, layers: 'none' }];
  if (stored.length > 0) {
    conditions.push({ kind: 'quantised', ...common, rates: equal(stored, 0), layers: nameOfSet(stored, layers) });
  }
  for (const sweep of config.sweeps) {
    const members = layersOfSet(sweep.layers, layers);
    for (const rate of sweep.rates) conditions.push(bitErrors(equal(members, rate), sweep.layers));
  }
  if (config.grid.length > 0) {
    if (layers.length < 2) throw new ConfigError('grid: the model has only one layer; use sweeps');
    const set = nameOfSet(layers.slice(0, 2), layers);
    for (const first of config.grid) {
      for (const second of config.grid) conditions.push(bitErrors({ [layers[0]]: first, [layers[1]]: second }, set));
    }
  }
  for (const rates of rateMaps) conditions.push(bitErrors(rates, nameOfSet(Object.keys(rates), layers)));
  for (const memory of [...(config.planes ? planeMemories(config, layers) : []), ...config.memories])
    conditions.push(memoryCondition(memory, config, spec));
  const layout = modelLayout(spec);
  for (const condition of conditions) {
    const where = condition.kind === 'memory' ? `memories.${condition.label}` : 'memory';
    const memory = parseMemoryConfig(memoryOf(condition, config), layers, where);
    checkMemory(memory, layout, config.draws, where);
    if (spec.decoder.length > 0 && Object.keys(memory.activations).length > 0) {
      throw new ConfigError(
        `${where}.activations: a DAE is attacked through its code, which is not an activation; leave them out`,
      );
    }
  }
  refuseUnknownNoise(config, layers);
  const seen = new Set<string>();
  const unique = conditions.filter((condition) => {
    const key = conditionKey(condition);
    return !seen.has(key) && seen.add(key);
  });
  refuseEqualLabels(unique);
  return released(unique, config);
}

/** @throws ConfigError where two names, such as `both` and `fc1+fc2`, are of the same layers, which would be measured twice */
function refuseEqualSets({ sweeps }: SweepConfig, layers: readonly string[]): void {
  const names = new Map<string, string>();
  for (const { layers: set } of sweeps) {
    const members = layersOfSet(set, layers).sort().join('+');
    const other = names.get(members);
    if (other !== undefined)
      throw new ConfigError(`sweeps: "${other}" and "${set}" are the same layers; name them once`);
    names.set(members, set);
  }
}

/** Noise is planned only when the bit errors were measured. @throws ConfigError for a layer that the model does not have */
function refuseUnknownNoise({ noise }: SweepConfig, layers: readonly string[]): void {
  if (noise.kinds.length === 0) return;
  for (const set of [...(noise.sets ?? []), noise.matched, noise.levels?.layers]) {
    if (set !== undefined) layersOfSet(set, layers);
  }
}

/** @throws ConfigError where the name of a memory is also that of another condition, in figures and tables */
function refuseEqualLabels(conditions: readonly Condition[]): void {
  const seen = new Map<string, Condition>();
  for (const condition of conditions) {
    const label = conditionLabel(condition);
    const other = seen.get(label);
    if (other && [other, condition].some(({ kind }) => kind === 'memory')) {
      throw new ConfigError(`memories: there are two conditions "${label}"; rename one`);
    }
    seen.set(label, condition);
  }
}

/**
 * The conditions as they are, then all of them again under each release.
 * @param matched conditions to which noise was matched: under a release, noise is matched to them under that release
 */
export function released(
  conditions: readonly Condition[],
  { releases }: Pick<SweepConfig, 'releases'>,
  matched: readonly Condition[] = [],
): Condition[] {
  const under = (release: SweepConfig['releases'][number]) =>
    conditions.map((condition): Condition => {
      const base = matched.find((each) => conditionKey(each) === matchedTo(condition));
      return { ...condition, ...(base && { matchedTo: conditionKey({ ...base, release }) }), release };
    });
  return [...conditions, ...releases.flatMap(under)];
}

/**
 * A memory configuration as a condition. Its rates are the mean over the bits of each layer's weights, and of each stored
 * activation, in the first specimen.
 */
export function memoryCondition(
  { name, setting, volts, memory }: NamedMemory,
  { seed }: SweepConfig,
  spec: ModelSpec,
): Condition {
  const where = `memories.${name}`;
  const layers = layerNames(spec);
  const parsed = parseMemoryConfig({ ...memory, seed }, layers, where, productLayers(spec.layers));
  const rates = Object.entries(parsed.layers).map(([layer, each]) => {
    const rate = each.kind === 'stored' ? meanErrorRate(each, parsed.chip, `${where}.layers.${layer}`) : 0;
    return [layer, rate];
  });
  for (const [of, each] of Object.entries(parsed.activations)) {
    const rate = meanErrorRate(each, parsed.chip, `${where}.activations.${of}`);
    rates.push([of === 'input' ? of : `${of} output`, rate]);
  }
  const named = layers.filter((layer) => Object.hasOwn(parsed.layers, layer));
  return {
    kind: 'memory',
    label: name,
    setting,
    ...(volts !== undefined && { volts }),
    granularity: parsed.granularity,
    rates: Object.fromEntries(rates),
    layers: named.length > 0 ? nameOfSet(named, layers) : 'none',
    memory: parsed,
  };
}

/** For every set of layers and every rate of the sweeps, errors in one kind of bits alone. */
function planeMemories({ sweeps, format, granularity, path }: SweepConfig, layers: readonly string[]): NamedMemory[] {
  return sweeps.flatMap((sweep) =>
    sweep.rates.flatMap((rate) =>
      PLANES.flatMap((plane) => {
        const memory = rate > 0 ? planeMemory(format, rate, plane) : undefined;
        if (!memory) return [];
        const stored = layersOfSet(sweep.layers, layers).map((layer) => [layer, memory]);
        const own = parseMemoryConfig({ granularity, path, layers: Object.fromEntries(stored) }, layers);
        const setting = `${plane} bits`;
        return [{ name: `Bit errors ${formatPercent(rate)} in ${setting}, ${sweep.layers}`, setting, memory: own }];
      }),
    ),
  );
}

/** The memory configuration of a condition. */
export function memoryOf(condition: Condition, config: SweepConfig): MemoryConfigInput {
  const { kind, rates } = condition;
  if (kind === 'memory') return { ...condition.memory, seed: config.seed };
  const layers: Record<string, LayerMemory> = {};
  for (const [layer, value] of Object.entries(rates)) {
    layers[layer] =
      kind === 'gaussian' || kind === 'laplacian' ? { kind, scale: value } : uniformMemory(config.format, value);
  }
  const noisy = kind === 'gaussian' || kind === 'laplacian';
  // Noise cannot differ per image: where bit errors are drawn per `inference`, noise is drawn per pass.
  const granularity = noisy && config.granularity === 'inference' ? 'pass' : config.granularity;
  return { seed: config.seed, granularity, path: noisy ? 'auto' : config.path, layers };
}
