/** A network of layers on the device: the plan of its buffers, and the recording of its passes. */
import { type Arena, firstRows, type Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { type Activation, recordActivationBackward } from '../kernels/activation.ts';
import { recordAdd } from '../kernels/add.ts';
import { batchNormEpilogue } from './batch_norm.ts';
import { inputShape, kindOf, type LayerSpec, outputShape, productLayers } from './kinds.ts';
import { INFERENCE, type Mode, type Saved } from './layer.ts';
import type { FlatParameters } from './parameters.ts';
import { ALWAYS, type Place, Pool } from './pool.ts';
import { readWeights, type WeightsOf } from './weights.ts';

/** What a plan can compute after the forward pass. */
export interface Gradients {
  /** The gradient with respect to the input, as an attack needs it. */
  readonly input?: boolean;
  /** The gradients of the parameters, as training needs them. */
  readonly parameters?: boolean;
}

export interface GraphOptions {
  /** Default: inference. */
  readonly mode?: Mode;
  /** Default: none. */
  readonly gradients?: Gradients;
  /** Buffer of the last layer's result; default: a new one. */
  readonly output?: Matrix;
  /** True if something other than the next layers reads the output of a layer while the pass runs; default: always false. */
  readonly keeps?: (layer: string) => boolean;
  /** True if something reads the output of a layer again when the gradient of it is complete; default: always false. */
  readonly rereads?: (layer: string) => boolean;
}

/**
 * The planned buffers of a network for a batch. Value 0 is the input, value i + 1 the output of layer i; values that are never
 * needed at the same time share a buffer. A convolution that shares its output with the batch normalisation after it
 * applies the normalisation as its epilogue.
 */
export interface GraphPlan {
  /** Number of images. */
  readonly batch: number;
  readonly mode: Mode;
  /** For every layer the numbers of the values that it reads. */
  readonly sources: readonly (readonly number[])[];
  readonly values: readonly Matrix[];
  readonly saved: readonly Saved[];
  /** Gradients with respect to the values; undefined where none is needed. The loss must write that of the last value. */
  readonly gradients: readonly (Matrix | undefined)[];
  /**
   * The gradient from which a layer propagates back: with respect to its output before the activation, or the gradient of its
   * value if it has no activation or differentiates it itself.
   */
  readonly preactivations: readonly (Matrix | undefined)[];
  /** For every layer and input: its part of a gradient that another part is in already, to which it is added. */
  readonly parts: readonly (readonly (Matrix | undefined)[])[];
  /** Bytes of all values and gradients, and what they would take without sharing buffers. */
  readonly bytes: { readonly shared: number; readonly alone: number };
}

/** What a backward pass reads of a layer's forward pass, unless its kind says less. */
const EVERYTHING = { x: true, y: true };
const NOTHING = { x: false, y: false };

/** For every layer the numbers of the values that it reads. @throws Error for a name that is no earlier layer */
function sourcesOf(specs: readonly LayerSpec[]): number[][] {
  const known = new Map([['input', 0]]);
  return specs.map(({ name, from }, i) => {
    const sources = from?.map((source) => {
      const value = known.get(source);
      if (value === undefined) throw new Error(`${name} reads ${source}, which is no layer before it`);
      return value;
    });
    known.set(name, i + 1);
    return sources ?? [i];
  });
}

/** For every value the layers that read it, in order. */
function readersOf(sources: readonly (readonly number[])[]): number[][] {
  const readers: number[][] = Array.from({ length: sources.length + 1 }, () => []);
  for (const [layer, values] of sources.entries()) for (const value of new Set(values)) readers[value].push(layer);
  return readers;
}

/** The activation that a backward pass must differentiate before the layer's own backward pass. */
function separateActivation(spec: LayerSpec): Activation {
  return 'activation' in spec && !kindOf(spec).differentiatesActivation ? spec.activation : 'none';
}

/** True if the layers are a convolution and a batch normalisation by running statistics that can be its epilogue. */
function isNormalised(layer: LayerSpec | undefined, next: LayerSpec): boolean {
  if (next.kind !== 'batch_norm') return false;
  return (layer?.kind === 'conv2d' || layer?.kind === 'conv_transpose2d') && layer.activation === 'none';
}

/** For every value whether its gradient is needed. */
function neededGradients(
  specs: readonly LayerSpec[],
  sources: number[][],
  { input, parameters }: Gradients,
): boolean[] {
  const needed = [input ?? false];
  for (const [i, spec] of specs.entries()) {
    const learns = parameters === true && kindOf(spec).parameters(spec).length > 0;
    needed.push(learns || sources[i].some((value) => needed[value]));
  }
  return needed;
}

/**
 * Names of the layers, in order, whose outputs a dense layer or a convolution reads and depend on parameters: the hidden
 * values of a network.
 */
export function hiddenLayers(specs: readonly LayerSpec[]): string[] {
  const sources = sourcesOf(specs);
  const learned = neededGradients(specs, sources, { parameters: true });
  const products = new Set(productLayers(specs));
  const read = new Set(specs.flatMap(({ name }, i) => (products.has(name) ? sources[i] : [])));
  return specs.flatMap(({ name }, i) => (read.has(i + 1) && learned[i + 1] ? [name] : []));
}

/**
 * Plans the buffers of a network.
 * @param specs in an order in which every layer comes after those that it reads
 * @param x a batch of inputs, one per row; images are flattened
 * @throws LimitError
 */
export function planGraph(
  arena: Arena,
  specs: readonly LayerSpec[],
  x: Matrix,
  { mode = INFERENCE, gradients: wanted = {}, output, keeps = () => false, rereads = () => false }: GraphOptions = {},
): GraphPlan {
  const batch = x.rows;
  const count = specs.length;
  const sources = sourcesOf(specs);
  const readers = readersOf(sources);
  const needed = neededGradients(specs, sources, wanted);
  const pool = new Pool(batch);
  const shapeOf = (value: number) => (value === 0 ? inputShape(specs[0]) : outputShape(specs[value - 1]));
  const nameOf = (value: number) => specs[value - 1]?.name ?? 'input';
  // Layer i runs forward in step i and backward in step 2 count - i; between them, in step `count`, the loss runs.
  const turn = (layer: number) => 2 * count - layer;
  const reads = (layer: number) => {
    if (!needed[layer + 1]) return NOTHING;
    const spec = specs[layer];
    const own = kindOf(spec).backwardReads?.(spec, wanted.parameters === true) ?? EVERYTHING;
    return separateActivation(spec) === 'none' ? own : { ...own, y: true };
  };
  const isLast = (value: number) => value === count;
  const lastRead = (value: number) => {
    const ends = readers[value].map((layer) => (reads(layer).x ? turn(layer) : layer));
    const isRead = value > 0 && (reads(value - 1).y || rereads(specs[value - 1].name));
    if (value > 0) ends.push(isRead ? turn(value - 1) : value - 1);
    return isLast(value) ? Number.POSITIVE_INFINITY : Math.max(...ends);
  };

  // The gradients of parameters need the input of a batch normalisation, which its convolution would overwrite.
  const normalises = !mode.training && !wanted.parameters;
  const values: Place[] = [pool.given(x)];
  for (const [i, spec] of specs.entries()) {
    const [source] = sources[i];
    const alone = readers[source].length === 1;
    const before = specs[source - 1];
    const step = { first: i, last: lastRead(i + 1) };
    if (isLast(i + 1) && output) values.push(pool.given(output));
    else if (normalises && isNormalised(before, spec) && alone && !keeps(before.name)) {
      values.push(pool.view(values[source], step, (matrix) => matrix));
    } else {
      const asView = alone || !keeps(spec.name) ? kindOf(spec).view : undefined;
      const view = asView && ((matrix: Matrix) => asView(spec, matrix, batch, mode));
      values.push(
        (view && pool.tryView(values[source], step, view)) ??
          pool.value(`${spec.name} output`, shapeOf(i + 1), isLast(i + 1) ? { ...step, first: ALWAYS } : step),
      );
    }
  }

  const gradients: (Place | undefined)[] = [];
  for (const [value, isNeeded] of needed.entries()) {
    if (!isNeeded) {
      gradients.push(undefined);
      continue;
    }
    const spec = specs[value - 1];
    const step = {
      first: isLast(value) || value === 0 ? ALWAYS : turn(Math.max(...readers[value])),
      last: isLast(value) || value === 0 ? Number.POSITIVE_INFINITY : turn(value - 1),
    };
    // The gradient can be that of an input, in another shape, if no other layer adds to that one.
    const source = sources[value - 1]?.find((each) => gradients[each] && readers[each].length === 1);
    const target = source === undefined ? undefined : gradients[source];
    const { view, sharesGradient } = spec ? kindOf(spec) : {};
    const to = sharesGradient?.(spec)
      ? (matrix: Matrix) => matrix
      : view && ((m: Matrix) => view(spec, m, batch, mode));
    gradients.push(
      (target && to && pool.tryView(target, step, to)) ?? pool.value(`${nameOf(value)} gradient`, shapeOf(value), step),
    );
  }
  const preactivations = specs.map((spec, i) => {
    if (separateActivation(spec) === 'none' || !needed[i + 1]) return gradients[i + 1];
    const step = { first: turn(i), last: turn(i) };
    return pool.value(`${spec.name} preactivation gradient`, shapeOf(i + 1), step);
  });
  // In the backward pass the last reader of a value comes first and writes its gradient; the others write parts of it.
  const parts = specs.map((spec, i) =>
    sources[i].map((value, k) => {
      const isFirst = Math.max(...readers[value]) === i && sources[i].indexOf(value) === k;
      if (isFirst || !needed[value] || !needed[i + 1]) return undefined;
      const step = { first: turn(i), last: turn(i) };
      return pool.value(`part of the gradient of ${nameOf(value)} from ${spec.name}`, shapeOf(value), step);
    }),
  );
  const before = arena.bytes;
  const matrixOf = pool.allocate(arena);
  const bytes = { shared: arena.bytes - before, alone: pool.bytesAlone };
  return {
    batch,
    mode,
    sources,
    values: values.map(matrixOf),
    saved: specs.map((spec) => kindOf(spec).save?.(arena, spec, batch) ?? {}),
    gradients: gradients.map((place) => place && matrixOf(place)),
    preactivations: preactivations.map((place) => place && matrixOf(place)),
    parts: parts.map((ofLayer) => ofLayer.map((place) => place && matrixOf(place))),
    bytes,
  };
}

/** The parts of the buffers that hold the first `images` images of a planned batch. */
export function firstImages(plan: GraphPlan, images: number): GraphPlan {
  const { batch, values, gradients, preactivations, parts } = plan;
  const first = (matrix: Matrix) => firstRows(matrix, (matrix.rows / batch) * images);
  const ifAny = (matrix: Matrix | undefined) => matrix && first(matrix);
  return {
    ...plan,
    batch: images,
    values: values.map(first),
    gradients: gradients.map(ifAny),
    preactivations: preactivations.map(ifAny),
    parts: parts.map((ofLayer) => ofLayer.map(ifAny)),
  };
}

/**
 * Records the forward pass.
 * @param onLayerOutput called after the kernels of a layer are recorded, to record kernels that change its output
 * @throws ShapeError
 */
export function recordForward(
  recorder: Recorder,
  arena: Arena,
  specs: readonly LayerSpec[],
  weights: WeightsOf,
  { batch, mode, sources, values, saved }: GraphPlan,
  onLayerOutput?: (layer: string, output: Matrix) => void,
): void {
  const readers = readersOf(sources);
  for (const [i, spec] of specs.entries()) {
    const xs = sources[i].map((value) => values[value]);
    const y = values[i + 1];
    const read = (layer: string) => readWeights(recorder, weights, layer, batch);
    const [reader] = readers[i + 1];
    const next = specs[reader];
    const epilogue =
      next?.kind === 'batch_norm' && y.buffer === values[reader + 1].buffer
        ? () => batchNormEpilogue(next, read(next.name))
        : undefined;
    const run = { recorder, arena, spec, batch, mode, x: xs[0], xs, y, saved: saved[i] };
    kindOf(spec).forward({ ...run, weights: () => read(spec.name), epilogue });
    onLayerOutput?.(spec.name, y);
  }
}

/**
 * Records the backward pass from the gradient of the last value, as it was planned.
 * @param learned buffer of the gradients of the parameters; needed if they were planned
 * @param onGradient called when the gradient of a layer's output is complete, to record kernels that change it
 * @throws ShapeError
 */
export function recordBackward(
  recorder: Recorder,
  arena: Arena,
  specs: readonly LayerSpec[],
  weights: WeightsOf,
  { batch, mode, sources, values, saved, gradients, preactivations, parts }: GraphPlan,
  learned?: FlatParameters,
  onGradient?: (layer: string, gradient: Matrix) => void,
): void {
  for (let i = specs.length - 1; i >= 0; i--) {
    const [gradOutput, dy] = [gradients[i + 1], preactivations[i]];
    if (!gradOutput || !dy) continue;
    const spec = specs[i];
    onGradient?.(spec.name, gradOutput);
    const kind = kindOf(spec);
    const xs = sources[i].map((value) => values[value]);
    const y = values[i + 1];
    const activation = separateActivation(spec);
    if (activation !== 'none') recordActivationBackward(recorder, { activation, output: y, gradOutput, gradInput: dy });
    const run = { recorder, arena, spec, batch, mode, x: xs[0], xs, y, saved: saved[i] };
    const targets = sources[i].map((value) => gradients[value]);
    const dxs = targets.map((target, k) => parts[i][k] ?? target);
    const parameters =
      learned && kind.parameters(spec).length > 0
        ? {
            weight: learned.matrix(`${spec.name}.weight`),
            bias: learned.layout.has(`${spec.name}.bias`) ? learned.matrix(`${spec.name}.bias`) : undefined,
          }
        : undefined;
    kind.backward(
      { ...run, weights: () => readWeights(recorder, weights, spec.name, batch) },
      { dy, dx: dxs[0], dxs, parameters },
    );
    for (const [k, part] of parts[i].entries()) {
      if (part) recordAdd(recorder, { inputs: [targets[k]!, part], output: targets[k]! });
    }
  }
}
