/** Finds a memory for every layer of a victim: rates, formats and places with the least leak or energy for a loss of accuracy. */
import { ConfigError } from '../errors.ts';
import type { Gpu } from '../gpu/device.ts';
import { productLayers } from '../layers/kinds.ts';
import { type LayerMemory, type MemoryConfig, type MemoryConfigInput, parseMemoryConfig } from '../memory/config.ts';
import { type Balance, balances } from '../results/leak.ts';
import { type Condition, conditionLabel, type Row, summarise } from '../results/results.ts';
import type { AllocateOptions } from './allocate_options.ts';
import { type Choice, leastCost, type Outcome } from './allocation.ts';
import { checkExperiment } from './check.ts';
import { memoryCondition, memoryOf } from './conditions.ts';
import type { ExperimentConfig } from './config.ts';
import type { ExperimentData } from './faces.ts';
import type { RunContext } from './store.ts';
import { Sweep } from './sweep.ts';
import { Testbed } from './testbed.ts';

/** A mean with its 95 % interval, null where it could not be computed. */
type Measure = Balance['leak'] | Balance['worst']['accuracy'];

/** One memory in one set of draws. */
export interface Weighed {
  readonly accuracy: Measure;
  /** Lift of the attacker with the largest one. */
  readonly leak: Measure;
  readonly attack: string;
  /** Energy of reading all weights by the square of the voltage, divided by that of exact weights. */
  readonly energy: number;
}

/** The answer to one budget. */
export interface Allocation {
  readonly budget: number;
  /** Name of the condition whose memory each layer got, or `exact`. */
  readonly layers: Readonly<Record<string, string>>;
  /** In the draws of the search, which chose it and so flatter it. */
  readonly searched: Weighed;
  /** In as many other draws, and the model without errors there. */
  readonly confirmed: Weighed;
  readonly undefended: Weighed;
  /** True if the loss of accuracy in the other draws is within the budget, too. */
  readonly holds: boolean;
  readonly memory: MemoryConfigInput;
}

/** All answers. */
export interface AllocateReport {
  readonly allocations: readonly Allocation[];
  /** Number of memories that the search measured. */
  readonly measured: number;
}

/** The memory that a layer may get. */
interface LayerOption {
  readonly name: string;
  /** Undefined for exact weights. */
  readonly memory?: LayerMemory;
  readonly place?: string;
}

/**
 * Trains or loads the victim, and searches. The memories among which every layer chooses are those that the planned conditions of
 * the configuration give it, and exact weights. Candidates are measured as a run would measure them, in `config.draws` draws.
 * @throws ConfigError, DataError, DeviceLostError, InterruptedError
 */
export async function allocateMemory(
  gpu: Gpu,
  data: ExperimentData,
  config: ExperimentConfig,
  run: RunContext,
  { least, budgets }: AllocateOptions,
): Promise<AllocateReport> {
  const planned = checkExperiment(config, data).filter(
    ({ kind, release }) => release === undefined && (kind === 'bit-error' || kind === 'memory'),
  );
  const testbed = await Testbed.build(gpu, data, config, run);
  try {
    const { spec } = testbed;
    const layers = productLayers(spec.layers);
    const memories = planned.map((condition) => ({
      name: conditionLabel(condition),
      memory: parseMemoryConfig(memoryOf(condition, config), testbed.layers),
    }));
    const common = commonOf(memories.map(({ memory }) => memory));
    const options = layers.map((layer) => optionsOf(layer, memories));
    const sweep = new Sweep(testbed, config, run);
    const inputOf = (choice: Choice): MemoryConfigInput => memoryInput(common, layers, options, choice);
    const conditionOf = (choice: Choice): Condition => {
      const name = choice.map((option, layer) => `${layers[layer]} ${options[layer][option].name}`).join('; ');
      if (choice.every((option) => option === 0)) return { kind: 'none', rates: {}, layers: 'none' };
      return memoryCondition({ name, setting: name, memory: inputOf(choice) as MemoryConfig }, config, spec);
    };
    const weigh = async (choice: Choice, first: number): Promise<Balance | undefined> => {
      const rows: Row[] = [];
      const condition = conditionOf(choice);
      for (let draw = first; draw < first + config.draws; draw++) {
        rows.push(...(await sweep.measure(condition, draw, () => run.progress.advance(0))).map(({ row }) => row));
      }
      return balances({ rows, summary: summarise(rows) }, testbed.outputs)[0];
    };
    const found = new Map<string, Promise<Balance | undefined>>();
    const known = (choice: Choice, first = 0) => {
      const key = `${first} ${choice.join()}`;
      let balance = found.get(key);
      if (!balance) {
        balance = weigh(choice, first).then((each) => {
          const text = each
            ? `accuracy ${each.worst.accuracy.mean.toFixed(3)}, lift ${each.leak.mean.toFixed(3)}`
            : 'no numbers';
          run.progress.advance(1, `${conditionLabel(conditionOf(choice))}: ${text}`);
          return each;
        });
        found.set(key, balance);
      }
      return balance;
    };
    const none = layers.map(() => 0);
    const singles = options.reduce((sum, each) => sum + each.length - 1, 1);
    run.progress.start('searching memories', 3 * singles);
    const exact = await known(none);
    if (!exact) throw new ConfigError('attacks: none could be measured on the model without errors; choose others');
    const outcome = async (choice: Choice): Promise<Outcome> => {
      const balance = await known(choice);
      if (!balance) return { accuracy: 0, cost: null };
      return { accuracy: balance.worst.accuracy.mean, cost: least === 'leak' ? balance.leak.mean : balance.energy! };
    };
    const counts = options.map(({ length }) => length);
    const allocations: Allocation[] = [];
    for (const budget of budgets) {
      const choice = (await leastCost(counts, outcome, exact.worst.accuracy.mean - budget)) ?? none;
      const [searched, confirmed, undefended] = [
        await known(choice),
        await known(choice, config.draws),
        await known(none, config.draws),
      ].map((balance) => weighed(balance!, exact.energy!));
      allocations.push({
        budget,
        layers: Object.fromEntries(choice.map((option, layer) => [layers[layer], options[layer][option].name])),
        ...{ searched, confirmed, undefended },
        holds: undefended.accuracy.mean! - confirmed.accuracy.mean! <= budget + 1e-9,
        memory: inputOf(choice),
      });
    }
    run.progress.done();
    return { allocations, measured: [...found.keys()].filter((key) => key.startsWith('0 ')).length };
  } finally {
    testbed.destroy();
  }
}

function weighed({ worst, leak, energy }: Balance, exact: number): Weighed {
  return { accuracy: worst.accuracy, leak, attack: worst.attack, energy: energy! / exact };
}

/** What all memories must have in common to be mixed. @throws ConfigError if there is none, or they differ */
function commonOf(memories: readonly MemoryConfig[]): Omit<MemoryConfigInput, 'layers'> {
  const parts = memories.map(({ seed, chip, granularity, path, geometry }) => ({
    seed,
    chip,
    granularity,
    path,
    geometry,
  }));
  if (parts.length === 0)
    throw new ConfigError('there is nothing to choose from; give --rates, --memory or --voltages');
  for (const [key, value] of Object.entries(parts[0])) {
    const other = parts.find((each) => JSON.stringify(each[key as keyof typeof each]) !== JSON.stringify(value));
    if (other)
      throw new ConfigError(
        `memories: they differ in ${key}; layers can be given different ones only if they share it`,
      );
  }
  if (memories.some(({ activations, flips }) => Object.keys(activations).length > 0 || flips)) {
    throw new ConfigError('memories: activations and flips belong to no single layer; leave them out');
  }
  return parts[0];
}

/** Exact weights, and every different memory that the conditions give a layer. */
function optionsOf(layer: string, memories: readonly { name: string; memory: MemoryConfig }[]): LayerOption[] {
  const options = new Map<string, LayerOption>();
  for (const { name, memory } of memories) {
    if (!Object.hasOwn(memory.layers, layer)) continue;
    const place = memory.place?.[layer] ?? memory.place?.['*'];
    const option = { memory: memory.layers[layer], ...(place !== undefined && { place }) };
    const key = JSON.stringify(option);
    if (!options.has(key)) options.set(key, { name, ...option });
  }
  return [{ name: 'exact' }, ...options.values()];
}

function memoryInput(
  common: Omit<MemoryConfigInput, 'layers'>,
  layers: readonly string[],
  options: readonly (readonly LayerOption[])[],
  choice: Choice,
): MemoryConfigInput {
  const chosen = choice.map((option, i) => ({ layer: layers[i], ...options[i][option] }));
  const places = chosen.filter(({ place }) => place !== undefined).map(({ layer, place }) => [layer, place]);
  return {
    ...common,
    ...(places.length > 0 && { place: Object.fromEntries(places) }),
    layers: Object.fromEntries(chosen.flatMap(({ layer, memory }) => (memory ? [[layer, memory]] : []))),
  };
}
