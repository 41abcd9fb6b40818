/** `midas attack`: an experiment with one memory and one attack. */
import { ConfigError } from '../errors.ts';
import type { ExperimentOptions } from './experiment_options.ts';

/**
 * The options of a run that measures one memory under one attack. Without a memory, rates or voltages, the run attacks the
 * undefended model.
 * @throws ConfigError for several attacks
 */
export function attackOptions(options: ExperimentOptions): ExperimentOptions {
  const { attack, memory, voltages, latency, activationRates, rates, draws = 1 } = options;
  if (attack && attack.length > 1) throw new ConfigError('--attack: give one; midas run takes several');
  const nothing = !memory && !voltages && !latency && !activationRates && !rates && !options.rateMap;
  return { ...options, draws, noise: [], ...(nothing && { rates: [], layers: options.layers ?? [] }) };
}
