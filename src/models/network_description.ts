/**
 * The description of a network as data, as users write it in JSON and as importers produce it: layers by name, each with the
 * layers that it reads. Shapes follow from the input and are not repeated. src/models/network.ts builds the engine's layers.
 */
import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import { schemaMessage } from '../schema_message.ts';

// The type leaves the description out, which changes no values.
const described = <S extends v.GenericSchema>(text: string, schema: S): S =>
  v.pipe(schema, v.description(text)) as unknown as S;
const whole = (low: number, high = 1e9): v.GenericSchema<number> =>
  v.pipe(v.number('must be a number'), v.integer('must be a whole number'), v.minValue(low), v.maxValue(high));
const finite: v.GenericSchema<number> = v.pipe(v.number('must be a number'), v.finite('must be finite'));
const pair = (low: number) => v.union([whole(low, 65_535), v.strictTuple([whole(low, 65_535), whole(low, 65_535)])]);
const edge = whole(0, 65_535);
const padding = described(
  'Pixels added at the edges: one number, [vertical, horizontal], or [top, left, bottom, right]. Default 0.',
  v.union([edge, v.strictTuple([edge, edge]), v.strictTuple([edge, edge, edge, edge])]),
);

const common = {
  name: described(
    "Name of the layer, unique in the network: letters, digits, `_`, `-`, `.`. `input` is the network's input.",
    v.pipe(v.string(), v.regex(/^[A-Za-z0-9_.-]+$/, 'may have letters, digits, _ - and . only')),
  ),
  inputs: v.optional(
    described(
      'Names of the layers whose results it reads, or `input`; by default the layer before it.',
      v.pipe(v.array(v.string()), v.minLength(1, 'name at least one')),
    ),
  ),
};
const windows = {
  kernelSize: described('Height and width of a window, pixels.', pair(1)),
  stride: v.optional(described('Distance of neighbouring windows, pixels.', pair(1))),
  padding: v.optional(padding),
};
const convolution = {
  ...common,
  channels: described('Output channels.', whole(1, 1_000_000)),
  ...windows,
  dilation: v.optional(described('Distance of neighbouring taps of a kernel, pixels. Default 1.', pair(1))),
  groups: v.optional(
    described(
      'Groups of channels that are convolved separately; as many as input channels is depthwise. Default 1.',
      whole(1),
    ),
  ),
  bias: v.optional(described('Whether it adds a bias. Default true.', v.boolean())),
};

/** The kinds of layers of a description. Strides are 1 by default, those of pooling layers the window's size. */
export const LayerDescription = v.variant('kind', [
  v.strictObject({ kind: v.literal('conv2d'), ...convolution }),
  v.strictObject({
    kind: v.literal('conv_transpose2d'),
    ...convolution,
    outputPadding: v.optional(described('Pixels added to the result at bottom and right. Default 0.', pair(0))),
  }),
  v.strictObject({
    kind: v.literal('dense'),
    ...common,
    outputs: described('Width of the result.', whole(1, 10_000_000)),
    bias: v.optional(described('Whether it adds a bias. Default true.', v.boolean())),
  }),
  v.strictObject({
    kind: v.literal('batch_norm'),
    ...common,
    epsilon: v.optional(described('Added to the variance. Default 1e-5.', v.pipe(finite, v.gtValue(0)))),
  }),
  v.strictObject({ kind: v.literal('relu'), ...common }),
  v.strictObject({ kind: v.literal('relu6'), ...common }),
  v.strictObject({
    kind: v.literal('clip'),
    ...common,
    low: described('Least value of the result.', finite),
    high: described('Greatest value of the result.', finite),
  }),
  v.strictObject({
    kind: v.literal('leaky_relu'),
    ...common,
    slope: v.optional(
      described('Factor of values below 0, from 0 to 1. Default 0.01.', v.pipe(finite, v.minValue(0), v.maxValue(1))),
    ),
  }),
  v.strictObject({ kind: v.literal('tanh'), ...common }),
  v.strictObject({ kind: v.literal('sigmoid'), ...common }),
  v.strictObject({ kind: v.literal('softmax'), ...common }),
  v.strictObject({ kind: v.literal('log_softmax'), ...common }),
  v.strictObject({
    kind: v.literal('max_pool'),
    ...common,
    ...windows,
    ceilMode: v.optional(described('Whether a last window that only partly fits counts. Default false.', v.boolean())),
  }),
  v.strictObject({
    kind: v.literal('avg_pool'),
    ...common,
    ...windows,
    ceilMode: v.optional(described('Whether a last window that only partly fits counts. Default false.', v.boolean())),
    countIncludePad: v.optional(described('Whether padding counts in the mean. Default true.', v.boolean())),
  }),
  v.strictObject({ kind: v.literal('global_avg_pool'), ...common }),
  v.strictObject({ kind: v.literal('add'), ...common }),
  v.strictObject({ kind: v.literal('concat'), ...common }),
  v.strictObject({
    kind: v.literal('pad'),
    ...common,
    padding,
    value: v.optional(described('Value of the added pixels. Default 0.', finite)),
  }),
  v.strictObject({ kind: v.literal('flatten'), ...common }),
  v.strictObject({
    kind: v.literal('reshape'),
    ...common,
    shape: described(
      "Shape of the result without the batch, in PyTorch's order of values: [features], or [channels, height, width].",
      v.union([v.strictTuple([whole(1)]), v.strictTuple([whole(1), whole(1), whole(1)])]),
    ),
  }),
  v.strictObject({
    kind: v.literal('dropout'),
    ...common,
    rate: described(
      'Probability that a value is set to zero in training.',
      v.pipe(finite, v.minValue(0), v.ltValue(1)),
    ),
  }),
]);
export type LayerDescription = v.InferOutput<typeof LayerDescription>;

const channelValues = v.pipe(v.array(finite), v.minLength(1));

export const NetworkDescription = v.strictObject({
  kind: v.literal('network'),
  name: v.optional(described('Name of the network in messages and tables.', v.string())),
  input: described(
    'The images that the network takes.',
    v.strictObject({
      height: described('Height, pixels.', whole(1, 65_535)),
      width: described('Width, pixels.', whole(1, 65_535)),
      channels: described('1 for gray, 3 for RGB.', whole(1, 65_535)),
      mean: v.optional(
        described(
          'Mean by channel (or one for all) that is subtracted from the pixels, which are in 0..1. Default 0.',
          channelValues,
        ),
      ),
      deviation: v.optional(
        described(
          'Deviation by channel (or one for all) by which the difference is divided. Default 1.',
          channelValues,
        ),
      ),
    }),
  ),
  layers: described(
    'The layers; each comes after those that it reads. The last one returns one value per class; a softmax there is what the ' +
      'model releases, not a layer that an attacker has to differentiate.',
    v.pipe(v.array(LayerDescription), v.minLength(1, 'a network has at least one layer')),
  ),
  classNames: v.optional(described('Names of the classes, in the order of the outputs.', v.array(v.string()))),
});
/** A network as data. Pixels are in 0..1 before `mean` and `deviation`; parameters have PyTorch's names, shapes and order. */
export type NetworkDescription = v.InferOutput<typeof NetworkDescription>;

/** Validates a description. @param where its source, for messages. @throws ConfigError naming the path in it */
export function parseNetwork(input: unknown, where: string): NetworkDescription {
  const result = v.safeParse(NetworkDescription, input);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const place = [where, v.getDotPath(issue)].filter(Boolean).join(': ');
  throw new ConfigError(`${place}: ${schemaMessage(NetworkDescription, issue)}`);
}
