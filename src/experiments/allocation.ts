/** The search of a memory for every layer: the least cost within a budget of accuracy, by measurements alone. */
import { ConfigError } from '../errors.ts';

/** The number of the option that each layer gets; 0 is the one without errors. */
export type Choice = readonly number[];

export interface Outcome {
  /** 0..1. */
  readonly accuracy: number;
  /** What is to be small; null where it could not be measured, and then never chosen. */
  readonly cost: number | null;
}

/** Most combinations that are compared by their predictions. */
export const MOST_CHOICES = 200_000;

/** Choices that are measured because they are predicted to be best. */
const TRIED = 4;

/**
 * Finds a choice of low cost. Every option of every layer is measured alone; effects are predicted to add up, and the best
 * predictions within the budget are measured; from the best measured choice, one layer at a time is changed as long as
 * that lowers the cost. Only measured choices are returned, so a wrong prediction costs time, not truth. Where effects do
 * add up, it is the best choice of all.
 * @param options number of options of each layer, at least 1
 * @param measure called once per choice if it remembers; the same choice must have the same outcome
 * @param leastAccuracy 0..1
 * @returns undefined if no measured choice keeps the accuracy
 * @throws ConfigError for more than {@link MOST_CHOICES} combinations
 */
export async function leastCost(
  options: readonly number[],
  measure: (choice: Choice) => Promise<Outcome>,
  leastAccuracy: number,
): Promise<Choice | undefined> {
  const count = options.reduce((product, each) => product * each, 1);
  if (count > MOST_CHOICES) {
    throw new ConfigError(
      `there are ${count} combinations, at most ${MOST_CHOICES} are compared; give fewer rates or memories`,
    );
  }
  const none = options.map(() => 0);
  let best: { choice: Choice; cost: number } | undefined;
  const consider = async (choice: Choice): Promise<Outcome> => {
    const outcome = await measure(choice);
    const { accuracy, cost } = outcome;
    if (cost !== null && accuracy >= leastAccuracy && (!best || cost < best.cost)) best = { choice, cost };
    return outcome;
  };
  const changed = (choice: Choice, layer: number, option: number) => choice.with(layer, option);

  const base = await consider(none);
  const effects: Outcome[][] = [];
  for (const [layer, each] of options.entries()) {
    effects.push([base]);
    for (let option = 1; option < each; option++) effects[layer].push(await consider(changed(none, layer, option)));
  }
  if (base.cost !== null) {
    for (const choice of predictedBest(effects, leastAccuracy)) await consider(choice);
  }
  for (let before: Choice | undefined; best && before !== best.choice; ) {
    before = best.choice;
    for (const [layer, each] of options.entries()) {
      for (let option = 0; option < each; option++) await consider(changed(best.choice, layer, option));
    }
  }
  return best?.choice;
}

/** The choices with the least predicted costs among those that are predicted to keep the accuracy. */
function predictedBest(effects: readonly (readonly Outcome[])[], leastAccuracy: number): Choice[] {
  let partial: { choice: number[]; accuracy: number; cost: number }[] = [{ choice: [], accuracy: 0, cost: 0 }];
  const [{ accuracy, cost }] = effects[0];
  for (const layer of effects) {
    partial = partial.flatMap((before) =>
      layer.flatMap((own, option) =>
        own.cost === null
          ? []
          : [
              {
                choice: [...before.choice, option],
                accuracy: before.accuracy + own.accuracy - accuracy,
                cost: before.cost + own.cost - cost!,
              },
            ],
      ),
    );
  }
  // Sums that are equal on paper differ in their last bits.
  const kept = partial.filter((each) => each.accuracy >= leastAccuracy - accuracy - 1e-9);
  return kept
    .sort((a, b) => a.cost - b.cost)
    .slice(0, TRIED)
    .map(({ choice }) => choice);
}
