/** Runs whose outcome is planted: which photographs the victim knows, and on which pictures the evaluator recognises the person. */
import { type Condition, conditionKey, type Results, type Row, summarise } from '../../src/results/results.ts';
import { fakeResults, fakeRow } from './fake.ts';

export const PEOPLE = 40;
const IMAGES = 120;

/** Shares, 0..1, of a condition. */
export interface Planted {
  readonly accuracy: number;
  readonly recognised: number;
}

/** What is planted: `none` without a defence, bit errors by their strength, and the noise of the accuracy of `moderate`. */
export interface Plan {
  readonly none: Planted;
  readonly cheap: Planted;
  readonly moderate: Planted;
  readonly noise: Planted;
  readonly ruinous: Planted;
}

const bits = (rate: number): Condition => ({
  kind: 'bit-error',
  rates: { fc1: rate },
  layers: 'fc1',
  format: 'fixed12',
  granularity: 'load',
});

export const CONDITIONS: Readonly<Record<keyof Plan, Condition>> = {
  none: { kind: 'none', rates: {}, layers: 'none' },
  cheap: bits(2 ** -10),
  moderate: bits(2 ** -6),
  ruinous: bits(2 ** -3),
  noise: {
    kind: 'gaussian',
    rates: { fc1: 0.2 },
    granularity: 'load',
    layers: 'fc1',
    matchedTo: conditionKey(bits(2 ** -6)),
  },
};

/** `share` of `count` values are 1; in odd draws one of them is another, so that draws vary. */
function ones(share: number, count: number, draw: number): number[] {
  const known = Math.round(share * count);
  const isMoved = draw % 2 === 1 && known > 0 && known < count;
  return Array.from({ length: count }, (_, i) => (i < known - Number(isMoved) || (isMoved && i === count - 1) ? 1 : 0));
}

function rowOf(condition: Condition, draw: number, { accuracy, recognised }: Planted, attack: string): Row {
  const row = fakeRow(condition, draw, { accuracy, pcc: 0.6, lift: 0.2 }, PEOPLE, attack);
  const correct = ones(accuracy, IMAGES, draw);
  const identity = ones(recognised, PEOPLE, draw);
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    ...row,
    accuracy: mean(correct),
    correct: correct.join(''),
    identity: mean(identity),
    perIdentity: { ...row.perIdentity, identity },
  };
}

/** A run of one attack with a planted outcome. */
export function plantedRun(plan: Plan, { draws = 8, attack = 'mi-face mean', seed = 1 } = {}): Results {
  const rows = Object.entries(CONDITIONS).flatMap(([name, condition]) =>
    Array.from({ length: name === 'none' ? 1 : draws }, (_, draw) =>
      rowOf(condition, draw, plan[name as keyof Plan], attack),
    ),
  );
  const { manifest, schema, baselines } = fakeResults({ draws: 1, identities: 2 });
  const dataset = { ...manifest.dataset, classes: PEOPLE };
  const config = { ...manifest.config, victim: { kind: 'mlp' } };
  return { schema, manifest: { ...manifest, seed, dataset, config }, rows, summary: summarise(rows), baselines };
}

const [known, lost] = [0.9, 0.3];

/** Bit errors that cost nothing hide the people, and noise of equal accuracy hides fewer. */
export const PROTECTS: Plan = {
  none: { accuracy: 0.95, recognised: known },
  cheap: { accuracy: 0.95, recognised: lost },
  moderate: { accuracy: 0.8, recognised: lost },
  noise: { accuracy: 0.8, recognised: known },
  ruinous: { accuracy: 0.3, recognised: lost },
};

/** No bit errors hide anybody, whatever they cost, and noise of equal accuracy does. */
export const PROTECTS_NOBODY: Plan = {
  ...PROTECTS,
  cheap: { accuracy: 0.95, recognised: known },
  moderate: { accuracy: 0.8, recognised: known },
  noise: { accuracy: 0.8, recognised: lost },
  ruinous: { accuracy: 0.3, recognised: known },
};

/** People are hidden only where the accuracy is lost too, by noise as by bit errors. */
export const AT_A_PRICE: Plan = {
  ...PROTECTS,
  cheap: { accuracy: 0.95, recognised: known },
  noise: { accuracy: 0.8, recognised: lost },
};
