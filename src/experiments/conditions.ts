/** The conditions of a sweep, from a configuration: what is done to the weights of which layers, and how to say so. */
import { ConfigError } from '../errors.ts';
import type { FixedFormat, LayerMemory, MemoryConfigInput } from '../memory/config.ts';
import type { Condition } from './results.ts';
import type { ShallowConfig } from './shallow_config.ts';

/** For example `fixed12`, `fixed12+3` with headroom, `fixed12 fitted to fc1 faithful`. */
export function formatName({ bits, exponent, headroom, encoding }: FixedFormat): string {
  const parts = [`fixed${bits}${headroom > 0 ? `+${headroom}` : ''}`];
  if (typeof exponent === 'number') parts.push(`2^${exponent}`);
  else if (typeof exponent === 'object') parts.push(`fitted to ${exponent.layer}`);
  else if (exponent === 'shared') parts.push(exponent);
  if (encoding === 'faithful') parts.push('faithful');
  return parts.join(' ');
}

/** The layers a set names. @throws ConfigError for a name that is neither a layer nor `both` nor `all` */
export function layersOfSet(set: string, layers: readonly string[]): string[] {
  if (set === 'all' || (set === 'both' && layers.length === 2)) return [...layers];
  if (layers.includes(set)) return [set];
  throw new ConfigError(
    `layerSets: "${set}" is neither a layer (${layers.join(', ')}) nor all${layers.length === 2 ? ' nor both' : ''}`,
  );
}

/** Everything but the noise, which is calibrated first: none, quantised, each set at each rate, grid, rate maps. */
export function bitErrorConditions(config: ShallowConfig, layers: readonly string[]): Condition[] {
  const format = formatName(config.format);
  const common = { format, granularity: config.granularity };
  const bitErrors = (rates: Record<string, number>, set: string): Condition => ({
    kind: 'bit-error',
    ...common,
    rates,
    layers: set,
  });
  const all = layers.length === 2 ? 'both' : 'all';
  const conditions: Condition[] = [
    { kind: 'none', rates: {}, layers: 'none' },
    { kind: 'quantised', ...common, rates: Object.fromEntries(layers.map((layer) => [layer, 0])), layers: all },
  ];
  for (const set of config.layerSets) {
    const members = layersOfSet(set, layers);
    for (const rate of config.rates) {
      conditions.push(bitErrors(Object.fromEntries(members.map((layer) => [layer, rate])), set));
    }
  }
  if (config.grid.length > 0) {
    if (layers.length < 2) throw new ConfigError('grid: the model has one layer; use rates');
    for (const first of config.grid) {
      for (const second of config.grid) conditions.push(bitErrors({ [layers[0]]: first, [layers[1]]: second }, all));
    }
  }
  for (const rates of config.rateMaps) {
    for (const layer of Object.keys(rates)) {
      if (!layers.includes(layer)) {
        throw new ConfigError(`rateMaps: no layer "${layer}"; this model has ${layers.join(', ')}`);
      }
    }
    const members = Object.keys(rates);
    conditions.push(bitErrors(rates, members.length === layers.length ? all : members.join('+')));
  }
  const seen = new Set<string>();
  return conditions.filter((condition) => {
    const key = JSON.stringify([condition.kind, condition.rates, condition.layers]);
    return !seen.has(key) && seen.add(key);
  });
}

/** The memory configuration of a condition. */
export function memoryOf(condition: Condition, config: ShallowConfig): MemoryConfigInput {
  const { kind, rates } = condition;
  const layers: Record<string, LayerMemory> = {};
  for (const [layer, value] of Object.entries(rates)) {
    layers[layer] =
      kind === 'gaussian' || kind === 'laplacian'
        ? { kind, scale: value }
        : { kind: 'uniform', format: config.format, bitErrorRate: value };
  }
  const noisy = kind === 'gaussian' || kind === 'laplacian';
  // Noise has no map an image: against `inference` it is redrawn every pass.
  const granularity = noisy && config.granularity === 'inference' ? 'pass' : config.granularity;
  return { seed: config.seed, granularity, path: noisy ? 'auto' : config.path, layers };
}
