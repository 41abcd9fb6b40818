/** Builds the engine's layers from the description of a network: their order, their shapes, and which of them become one. */
import { ConfigError } from '../errors.ts';
import type { Activation } from '../kernels/activation.ts';
import { type LayerSpec, outputShape } from '../layers/kinds.ts';
import { type ImageShape, sizeOf, vectorShape } from '../layers/layer.ts';
import { flatten } from '../layers/reshape.ts';
import type { ModelSpec } from './model_spec.ts';
import type { LayerDescription, NetworkDescription } from './network_description.ts';

/** Names of layers that a description cannot give: the input as images, and normalised. */
const IMAGE = 'input/image';
const NORMALISED = 'input/normalised';

/** Kinds that become the activation of the layer before them, where nothing else reads that layer. */
const FUSED: Partial<Record<LayerDescription['kind'], Activation>> = {
  relu: 'relu',
  relu6: 'relu6',
  tanh: 'tanh',
  sigmoid: 'sigmoid',
};
/** Kinds that can have an activation. */
const FUSING: readonly LayerSpec['kind'][] = ['dense', 'conv2d', 'conv_transpose2d', 'batch_norm', 'max_pool', 'add'];
/** Kinds that treat every value alike, so that the order of the values does not matter to them. */
const ELEMENTWISE: readonly LayerDescription['kind'][] = [
  'relu',
  'relu6',
  'clip',
  'leaky_relu',
  'tanh',
  'sigmoid',
  'dropout',
];

/** A layer of a description with the layers that it reads, all by name. */
interface Node {
  readonly layer: LayerDescription;
  readonly inputs: readonly string[];
}

/** A value of the network while it is built. */
interface Value {
  /** The layer that returns it. */
  readonly layer: string;
  readonly shape: ImageShape;
  /** For a vector in the engine's order of values: the image that it was. PyTorch would have its channels first. */
  readonly flattened?: ImageShape;
}

/**
 * A classifier by its description.
 * @throws ConfigError as {@link networkLayers}, and for an output that is no vector, or another number of class names
 * @throws ShapeError if windows do not fit
 */
export function describedNetwork(description: NetworkDescription): ModelSpec {
  const layers = networkLayers(description);
  const shape = outputShape(layers[layers.length - 1]);
  const { input, classNames } = description;
  if (shape.height * shape.width !== 1) {
    const text = `${shape.channels} x ${shape.height} x ${shape.width}`;
    const name = outputOf(sorted(description)).layer.name;
    throw new ConfigError(`${name}: the last layer returns ${text}; a classifier returns one value per class`);
  }
  if (classNames && classNames.length !== shape.channels) {
    throw new ConfigError(`classNames: ${classNames.length} names, but the network has ${shape.channels} outputs`);
  }
  return {
    description,
    inputs: sizeOf(input),
    outputs: shape.channels,
    layers,
    encoderLayers: 0,
    decoder: [],
    keys: {},
  };
}

/**
 * The layers of a description, ready for the engine. A last softmax or log_softmax is left out: the engine works with the
 * logits, and attackers see the softmax of them in any case.
 * @throws ConfigError naming the layer: a name that is used twice or not at all, a cycle, several outputs, another number of
 *   inputs than the kind takes
 * @throws ShapeError if windows do not fit
 */
export function networkLayers(description: NetworkDescription): LayerSpec[] {
  const nodes = sorted(description);
  const output = outputOf(nodes);
  const released = output.layer.kind === 'softmax' || output.layer.kind === 'log_softmax';
  return new Builder(description, released ? nodes.filter((node) => node !== output) : nodes).build();
}

/** The layers in an order in which each comes after those that it reads; their own order where that is one. */
function sorted({ layers }: NetworkDescription): Node[] {
  const nodes = layers.map((layer, i): Node => {
    return { layer, inputs: layer.inputs ?? [i === 0 ? 'input' : layers[i - 1].name] };
  });
  const names = new Set(['input']);
  for (const { name } of layers) {
    if (names.has(name))
      throw new ConfigError(`${name}: two layers have this name; give each its own (input is taken)`);
    names.add(name);
  }
  for (const { layer, inputs } of nodes) {
    const unknown = inputs.find((name) => !names.has(name));
    if (unknown !== undefined)
      throw new ConfigError(`${layer.name}: it reads ${unknown}, but there is no layer of this name`);
    const most = layer.kind === 'add' || layer.kind === 'concat' ? [2, Number.POSITIVE_INFINITY] : [1, 1];
    if (inputs.length < most[0] || inputs.length > most[1]) {
      throw new ConfigError(
        `${layer.name}: ${layer.kind} reads ${most[0] === 1 ? 'one layer' : 'two layers or more'}, not ${inputs.length}`,
      );
    }
  }
  const done = new Set(['input']);
  const order: Node[] = [];
  let waiting = nodes;
  while (waiting.length > 0) {
    const ready = waiting.find(({ inputs }) => inputs.every((name) => done.has(name)));
    if (!ready)
      throw new ConfigError(`${cycleOf(waiting)}: these layers read each other in a circle; a network has none`);
    order.push(ready);
    done.add(ready.layer.name);
    waiting = waiting.filter((node) => node !== ready);
  }
  return order;
}

/** Names of layers that read each other in a circle, the first again at the end. */
function cycleOf(waiting: readonly Node[]): string {
  const byName = new Map(waiting.map((node) => [node.layer.name, node]));
  const path: string[] = [];
  let name = waiting[0].layer.name;
  while (!path.includes(name)) {
    path.push(name);
    name = byName.get(name)!.inputs.find((input) => byName.has(input))!;
  }
  return [...path.slice(path.indexOf(name)), name].reverse().join(' -> ');
}

function outputOf(nodes: readonly Node[]): Node {
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  const unread = nodes.filter(({ layer }) => !read.has(layer.name));
  if (unread.length > 1) {
    const names = unread.map(({ layer }) => layer.name).join(', ');
    throw new ConfigError(`${names}: no layer reads these; a classifier has one output, so remove the others`);
  }
  return unread[0];
}

class Builder {
  readonly #description: NetworkDescription;
  readonly #nodes: readonly Node[];
  readonly #readers = new Map<string, Node[]>();
  readonly #values = new Map<string, Value>();
  readonly #layers: LayerSpec[] = [];

  constructor(description: NetworkDescription, nodes: readonly Node[]) {
    this.#description = description;
    this.#nodes = nodes;
    for (const node of nodes) {
      for (const name of new Set(node.inputs)) this.#readers.set(name, [...(this.#readers.get(name) ?? []), node]);
    }
  }

  build(): LayerSpec[] {
    this.#values.set('input', this.#input());
    for (const node of this.#nodes) {
      const fused = this.#fuse(node);
      this.#values.set(node.layer.name, fused ?? this.#append(node));
    }
    // A network without any layer on the device, such as one that only flattens, returns its input.
    const last = this.#values.get(this.#nodes[this.#nodes.length - 1].layer.name)!;
    if (this.#layers.length === 0) {
      const shape = last.shape;
      this.#layers.push({ kind: 'reshape', name: IMAGE, input: shape, output: shape });
    }
    return this.#layers;
  }

  /** The input as the first layers read it: pixels in rows of images, normalised. */
  #input(): Value {
    const { height, width, channels, mean = [0], deviation = [1] } = this.#description.input;
    const shape = { height, width, channels };
    const vector = vectorShape(sizeOf(shape));
    for (const [name, values] of Object.entries({ mean, deviation })) {
      if (values.length !== 1 && values.length !== channels) {
        throw new ConfigError(
          `input.${name}: ${values.length} values for ${channels} channels; give one, or one a channel`,
        );
      }
    }
    const normalises = mean.some((value) => value !== 0) || deviation.some((value) => value !== 1);
    const flattens = this.#readersOf('input').every(
      ({ layer }) => layer.kind === 'flatten' && this.#isUnordered(layer.name),
    );
    const isVector = height * width === 1;
    if ((flattens || isVector) && !normalises) return { layer: 'input', shape };
    this.#layers.push({ kind: 'reshape', name: IMAGE, input: vector, output: shape });
    if (!normalises) return { layer: IMAGE, shape };
    const each = (values: readonly number[]) => Array.from({ length: channels }, (_, i) => values[i] ?? values[0]);
    this.#layers.push({
      kind: 'normalise',
      name: NORMALISED,
      input: shape,
      mean: each(mean),
      deviation: each(deviation),
    });
    return { layer: NORMALISED, shape };
  }

  #readersOf(name: string): readonly Node[] {
    return this.#readers.get(name) ?? [];
  }

  /** True if the values of a flattened image may stay in the engine's order: only dense layers see which is which. */
  #isUnordered(name: string): boolean {
    const readers = this.#readersOf(name);
    return (
      readers.length > 0 &&
      readers.every(({ layer }) => {
        if (layer.kind === 'dense') return true;
        return (ELEMENTWISE.includes(layer.kind) || layer.kind === 'flatten') && this.#isUnordered(layer.name);
      })
    );
  }

  /** Makes an activation part of the layer before it, if nothing else reads that layer. */
  #fuse({ layer, inputs }: Node): Value | undefined {
    const activation = FUSED[layer.kind];
    const value = this.#values.get(inputs[0])!;
    const at = this.#layers.findIndex(({ name }) => name === value.layer);
    const before = this.#layers[at];
    if (!activation || !before || this.#readersOf(inputs[0]).length > 1) return undefined;
    if (!FUSING.includes(before.kind) || !('activation' in before) || before.activation !== 'none') return undefined;
    this.#layers[at] = { ...before, activation };
    return value;
  }

  #append({ layer, inputs }: Node): Value {
    const values = inputs.map((name) => this.#values.get(name)!);
    const [{ shape: input, flattened }] = values;
    const { name } = layer;
    // A layer that does nothing passes its input on.
    if (layer.kind === 'flatten') return this.#flatten(name, values[0]);
    if (layer.kind === 'reshape') {
      const [a, height = 1, width = 1] = layer.shape;
      return this.#reshape(name, values[0], { height, width, channels: a });
    }
    const spec = this.#spec(layer, values);
    const before = this.#layers[this.#layers.length - 1]?.name ?? 'input';
    const from = values.map((value) => value.layer);
    const isNext = from.length === 1 && from[0] === before;
    this.#layers.push(isNext ? spec : { ...spec, from });
    const kept = flattened && ELEMENTWISE.includes(layer.kind) ? flattened : undefined;
    return { layer: name, shape: ELEMENTWISE.includes(layer.kind) ? input : outputShape(spec), flattened: kept };
  }

  #flatten(name: string, value: Value): Value {
    const { shape } = value;
    const vector = vectorShape(sizeOf(shape));
    if (shape.height * shape.width === 1) return value;
    if (!this.#isUnordered(name)) return this.#reshape(name, value, vector);
    // The input is a vector in memory already.
    if (value.layer === 'input') return { layer: 'input', shape: vector, flattened: shape };
    this.#push(flatten(name, shape), value);
    return { layer: name, shape: vector, flattened: shape };
  }

  #reshape(name: string, value: Value, output: ImageShape): Value {
    const { shape: input } = value;
    if (sizeOf(input) !== sizeOf(output)) {
      const text = (shape: ImageShape) => `${shape.channels} x ${shape.height} x ${shape.width}`;
      throw new ConfigError(`${name}: ${text(input)} values cannot be reshaped to ${text(output)}`);
    }
    const same = input.height === output.height && input.width === output.width;
    if (same) return value;
    // Images of one channel, and vectors that become one, have the same order in PyTorch and in the engine.
    const ordered = (shape: ImageShape) => shape.channels === 1 || shape.height * shape.width === 1;
    const kind = ordered(input) && ordered(output) ? 'reshape' : 'reshape_channels_first';
    this.#push({ kind, name, input, output }, value);
    return { layer: name, shape: output };
  }

  #push(spec: LayerSpec, { layer }: Value): void {
    const before = this.#layers[this.#layers.length - 1]?.name ?? 'input';
    this.#layers.push(layer === before ? spec : { ...spec, from: [layer] });
  }

  /** The layer of a description on the shapes of its inputs. */
  #spec(layer: Exclude<LayerDescription, { kind: 'flatten' | 'reshape' }>, values: readonly Value[]): LayerSpec {
    const { name } = layer;
    const [{ shape: input, flattened }] = values;
    switch (layer.kind) {
      case 'conv2d':
      case 'conv_transpose2d': {
        const { inputs: _, stride = 1, padding = 0, ...rest } = layer;
        return { ...rest, input, stride, padding, activation: 'none' };
      }
      case 'dense': {
        if (input.height * input.width !== 1) {
          throw new ConfigError(
            `${name}: a dense layer reads a vector; put a flatten or global_avg_pool layer before it`,
          );
        }
        const { outputs, bias } = layer;
        return { kind: 'dense', name, inputs: input.channels, outputs, bias, activation: 'none', flattened };
      }
      case 'batch_norm':
        return { kind: 'batch_norm', name, input, epsilon: layer.epsilon, activation: 'none' };
      case 'relu':
      case 'relu6':
      case 'tanh':
      case 'sigmoid':
        return { kind: 'activation', name, input, function: layer.kind };
      case 'clip':
        return { kind: 'activation', name, input, function: { name: 'clip', low: layer.low, high: layer.high } };
      case 'leaky_relu':
        return { kind: 'activation', name, input, function: { name: 'leaky_relu', slope: layer.slope ?? 0.01 } };
      case 'softmax':
      case 'log_softmax':
        return { kind: layer.kind, name, input };
      case 'max_pool': {
        const { inputs: _, ...rest } = layer;
        return { ...rest, input, activation: 'none' };
      }
      case 'avg_pool': {
        const { inputs: _, ...rest } = layer;
        return { ...rest, input };
      }
      case 'global_avg_pool':
        return { kind: 'global_avg_pool', name, input };
      case 'add': {
        const other = values.find(({ shape }) => !sameShape(shape, input));
        if (other) throw new ConfigError(`${name}: ${textOf(input)} and ${textOf(other.shape)} cannot be added`);
        return { kind: 'add', name, input, count: values.length, activation: 'none' };
      }
      case 'concat': {
        const other = values.find(({ shape }) => shape.height !== input.height || shape.width !== input.width);
        if (other) throw new ConfigError(`${name}: ${textOf(input)} and ${textOf(other.shape)} cannot be joined`);
        return { kind: 'concat', name, inputs: values.map(({ shape }) => shape) };
      }
      case 'pad':
        return { kind: 'pad', name, input, padding: layer.padding, value: layer.value };
      case 'dropout':
        return { kind: 'dropout', name, input, rate: layer.rate, key: this.#nodes.findIndex((n) => n.layer === layer) };
    }
  }
}

function sameShape(a: ImageShape, b: ImageShape): boolean {
  return a.height === b.height && a.width === b.width && a.channels === b.channels;
}

/** In PyTorch's order, as messages give it. */
function textOf({ height, width, channels }: ImageShape): string {
  return height * width === 1 ? `${channels} values` : `${channels} x ${height} x ${width}`;
}
