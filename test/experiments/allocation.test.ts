import { describe, expect, it } from 'vitest';
import { type Choice, leastCost, MOST_CHOICES, type Outcome } from '../../src/experiments/allocation.ts';
import { Random } from '../../src/random.ts';

/** Every choice of as many options. */
function everyChoice(options: readonly number[]): number[][] {
  return options.reduce<number[][]>(
    (all, count) => all.flatMap((before) => Array.from({ length: count }, (_, option) => [...before, option])),
    [[]],
  );
}

/** The best of all choices, by trying them. */
function bestOf(options: readonly number[], objective: (choice: Choice) => Outcome, least: number): Choice | undefined {
  const kept = everyChoice(options).filter(
    (choice) => objective(choice).accuracy >= least && objective(choice).cost !== null,
  );
  return kept.sort((a, b) => objective(a).cost! - objective(b).cost!)[0];
}

/** Searches, and counts the measured choices. */
async function search(options: readonly number[], objective: (choice: Choice) => Outcome, least: number) {
  const measured = new Set<string>();
  const choice = await leastCost(
    options,
    async (asked) => {
      measured.add(asked.join());
      return objective(asked);
    },
    least,
  );
  return { choice, measured: measured.size };
}

const uniform = (random: Random) => random.nextU32() / 2 ** 32;

describe('the search of a memory for every layer', () => {
  it('the best choice of all is found where the effects of layers add up, with few measurements', async () => {
    const options = [4, 3, 5, 4];
    for (let seed = 0; seed < 20; seed++) {
      const random = new Random(seed, 1);
      const effects = options.map((count) =>
        Array.from({ length: count }, (_, option) =>
          option === 0 ? { loss: 0, gain: 0 } : { loss: 0.04 * uniform(random), gain: uniform(random) },
        ),
      );
      const objective = (choice: Choice) => {
        const chosen = choice.map((option, layer) => effects[layer][option]);
        const sum = (of: 'loss' | 'gain') => chosen.reduce((total, each) => total + each[of], 0);
        return { accuracy: 0.9 - sum('loss'), cost: 5 - sum('gain') };
      };
      for (const budget of [0.01, 0.03, 0.05]) {
        const { choice, measured } = await search(options, objective, 0.9 - budget);
        expect(choice).toEqual(bestOf(options, objective, 0.9 - budget));
        expect(measured).toBeLessThan(60);
      }
    }
  });

  it('a planted optimum is found that no layer shows alone', async () => {
    // The leak is that of the worse of two attackers, and effects of layers depend on each other.
    const options = [4, 4, 4];
    const planted = [2, 3, 1];
    const objective = (choice: Choice) => {
      const [a, b, c] = choice.map((option, layer) => option - planted[layer]);
      return {
        accuracy: 0.9 - 0.004 * (choice[0] + choice[1] + choice[2]),
        cost: Math.max(a * a + b * b + c * c + a * b, a * a + b * b + c * c - 0.8 * b * c),
      };
    };
    expect(bestOf(options, objective, 0.87)).toEqual(planted);
    expect((await search(options, objective, 0.87)).choice).toEqual(planted);
  });

  it('what cannot be measured is never chosen, and a budget of nothing keeps the exact memory', async () => {
    const objective = (choice: Choice) => ({
      accuracy: 0.9 - 0.1 * choice[0],
      cost: choice[1] === 1 ? null : 1 - choice[0] - choice[1],
    });
    expect((await search([2, 3], objective, 0.9)).choice).toEqual([0, 2]);
    expect((await search([2], ([a]) => ({ accuracy: 0.9 - 0.1 * a, cost: 1 - a }), 0.9)).choice).toEqual([0]);
    expect((await search([2], () => ({ accuracy: 0.5, cost: 1 }), 0.9)).choice).toBeUndefined();
  });

  it('more combinations than can be compared are refused before any measurement', async () => {
    const options = Array<number>(6).fill(9);
    let measured = 0;
    const measure = async () => ({ accuracy: 1, cost: measured++ });
    await expect(leastCost(options, measure, 0)).rejects.toThrow(`at most ${MOST_CHOICES} are compared`);
    expect(measured).toBe(0);
  });
});
