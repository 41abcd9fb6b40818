/**
 * The data of a run, in addition to its rows, from which pictures and the report can be made again without measuring: the files
 * `presentation.json` and `pictures/*.npy`.
 */
import * as v from 'valibot';
import { DataError } from '../errors.ts';
import { parseJson } from '../formats/json.ts';
import { AttackSchema, BaselinesSchema, EvaluatorsSchema, field, PrivacySchema } from './schema.ts';

export const PRESENTATION_FILE = 'presentation.json';

const number = v.pipe(v.number(), v.finite());
const count = v.pipe(v.number(), v.integer(), v.minValue(0));

const PresentationSchema = v.object({
  width: field(count, 'Width of every picture, pixels.'),
  height: field(count, 'Height of every picture, pixels.'),
  channels: v.optional(
    field(v.picklist([1, 3]), 'Values per pixel of every picture: 1 for gray (default), 3 for RGB.'),
  ),
  trainAccuracy: field(number, 'Accuracy of the error-free victim on its training images, 0..1.'),
  privacy: v.optional(PrivacySchema),
  evaluators: EvaluatorsSchema,
  procedural: field(v.boolean(), 'True if the faces are procedural.'),
  meanFaceOf: field(v.picklist(['public', 'training']), 'The faces whose mean the attacker has.'),
  attacks: field(
    v.array(
      v.object({
        ...AttackSchema.entries,
        photographs: field(
          v.boolean(),
          'True if its pictures show single photographs, false if they show persons in general.',
        ),
        shown: field(v.array(v.string()), 'Name of the person on each picture.'),
        truth: v.optional(
          field(v.string(), 'File of the true faces, in the order of the pictures; absent if the attack has none.'),
        ),
      }),
    ),
    'Every output of the attacks, with a description of its pictures.',
  ),
  baselines: v.optional(
    field(BaselinesSchema, 'Null baselines; absent in a shard that did not measure the undefended model.'),
  ),
  order: v.object({
    conditions: v.array(v.string()),
    together: v.array(count),
    draws: v.array(count),
    attacks: v.array(v.string()),
  }),
});
/** The content of `presentation.json`. */
export type Presentation = v.InferOutput<typeof PresentationSchema>;

/**
 * Reads `presentation.json`.
 *
 * @param name of the file, for messages
 * @throws DataError if it is not JSON, or does not match the schema
 */
export function parsePresentation(bytes: Uint8Array, name: string): Presentation {
  const advice = 'run again with --resume';
  const result = v.safeParse(PresentationSchema, parseJson(bytes, name, { advice }));
  if (result.success) return result.output;
  const issue = result.issues[0];
  throw new DataError(`${name}: ${v.getDotPath(issue)}: ${issue.message}; ${advice}`);
}

/** Caveats of the numbers of a run, one sentence each. */
export function caveatsOf(presentation: Presentation): string[] {
  const { evaluators, trainAccuracy, meanFaceOf, procedural, attacks } = presentation;
  const percent = (share: number, digits = 0) => `${(100 * share).toFixed(digits)} %`;
  return [
    `The linear evaluators recognise ${percent(evaluators.linear)} of the real photographs that they were not trained on` +
      (evaluators.convolutional === undefined ? '' : `, the convolutional ones ${percent(evaluators.convolutional)}`) +
      '; compare the recognition of reconstructions with these values.',
    ...(attacks.some(({ photographs }) => photographs)
      ? [
          'Reconstructions of held-out photographs invert a prediction; only those of training photographs show what the model ' +
            'has memorised.',
        ]
      : []),
    `The accuracy of the error-free victim on its training images is ${percent(trainAccuracy, 1)}.`,
    meanFaceOf === 'public'
      ? 'The mean face that attacks start from is the mean of the public faces.'
      : 'The mean face that attacks start from is the mean of the training photographs, which the attacker is given.',
    ...attacks.flatMap(({ title, prior }) =>
      prior
        ? [
            `The prior of “${title}” explains ${percent(prior.explained)} of the variance of ${prior.faces} public faces of people whom it ` +
              'was not trained on. What it draws without the victim shows nobody: compare it with that.',
          ]
        : [],
    ),
    ...(procedural
      ? [
          'The faces are procedural, drawn by a program: they show how attacks and defences behave, not how much real photographs would leak.',
        ]
      : []),
  ];
}
