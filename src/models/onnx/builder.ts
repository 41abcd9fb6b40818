/** Collects the layers of a network and their parameters while an ONNX graph is read. */
import type { OnnxNode } from '../../formats/onnx.ts';
import type { LazyTensor } from '../../formats/safetensors.ts';
import type { LayerDescription } from '../network_description.ts';
import { LayerNames } from './names.ts';
import type { NodeReader } from './node_reader.ts';
import { type Activation, type Affine, type Constant, computed, productOf, sameShape } from './values.ts';

/** A layer without its name and inputs. */
export type LayerBody = LayerDescription extends infer L
  ? L extends LayerDescription
    ? Omit<L, 'name' | 'inputs'>
    : never
  : never;

/** A result of a layer as it is: no view, no scale. */
export type Result = Pick<Activation, 'layer' | 'shape'>;

const IDENTITY: Affine = { scale: [1], shift: [0] };

export class NetworkBuilder {
  readonly layers: LayerDescription[] = [];
  readonly tensors = new Map<string, LazyTensor>();
  /** Element types of the parameters in the file. */
  readonly types = new Set<string>();
  readonly names = new LayerNames();
  /** Scale and shift of the image before the first layers read it. */
  normalisation: Affine | undefined;
  readonly #real = new WeakMap<Activation, Result>();
  /** Layers that scale and shift; views of a value share its affine. */
  readonly #scaled = new WeakMap<Affine, string>();
  readonly #byName = new Map<string, LayerDescription>();

  constructor(readonly file: string) {}

  /** Appends a layer. @returns its result as a value of the graph */
  add(name: string, body: LayerBody, reads: readonly string[], shape: readonly number[]): Activation {
    const before = this.layers.at(-1)?.name ?? 'input';
    const inputs = reads.length === 1 && reads[0] === before ? {} : { inputs: [...reads] };
    const { kind, ...rest } = body;
    const layer = { kind, name, ...inputs, ...rest } as LayerDescription;
    this.layers.push(layer);
    this.#byName.set(name, layer);
    return { kind: 'activation', layer: name, shape, view: shape };
  }

  /** Appends a layer without parameters, named by its node. */
  addPlain(node: OnnxNode, body: LayerBody, reads: readonly string[], shape: readonly number[]): Activation {
    return this.add(this.names.ofNode(body.kind, node), body, reads, shape);
  }

  /** Sets a parameter of a layer, which stays in the file until it is used. */
  setParameter(name: string, { dtype, shape, read }: Constant): void {
    this.types.add(dtype);
    this.tensors.set(name, {
      dtype: 'F32',
      shape: [...shape],
      get data() {
        return read() as Float32Array<ArrayBuffer>;
      },
      read: (begin, end) => read(begin, end) as Float32Array<ArrayBuffer>,
    });
  }

  /** The name of the layer whose result a value is, after its scale and shift. */
  read(value: Activation, node: NodeReader): string {
    const { layer, affine } = value;
    if (layer === 'input') return this.#readInput(value, node);
    if (!affine) return layer;
    return this.#scaledLayer(value, affine);
  }

  /** The layer of that name. */
  layer(name: string): LayerDescription | undefined {
    return this.#byName.get(name);
  }

  #readInput(value: Activation, node: NodeReader): string {
    const affine = value.affine ?? IDENTITY;
    this.normalisation ??= affine.scale.every((scale) => scale > 0) ? affine : IDENTITY;
    if (sameAffine(this.normalisation, affine)) return 'input';
    if (sameAffine(this.normalisation, IDENTITY)) return this.#scaledLayer(value, affine);
    return node.unsupported('of an image that another layer reads scaled otherwise', 'normalise the image once');
  }

  /** A batch normalisation that multiplies and adds: its mean is 0 and its variance 1. */
  #scaledLayer({ layer, shape, scaledBy }: Activation, affine: Affine): string {
    const known = this.#scaled.get(affine);
    if (known !== undefined) return known;
    const { scale, shift } = affine;
    const [channels] = shape;
    const name = this.names.ofNode('batch_norm', scaledBy!);
    const all = (values: readonly number[]) =>
      computed(
        Float32Array.from({ length: channels }, (_, c) => values[values.length === 1 ? 0 : c]),
        [channels],
      );
    this.setParameter(`${name}.weight`, all(scale));
    this.setParameter(`${name}.bias`, all(shift));
    this.setParameter(`${name}.running_mean`, all([0]));
    this.setParameter(`${name}.running_var`, all([1]));
    // So small that the variance stays 1 in float32.
    this.add(name, { kind: 'batch_norm', epsilon: 1e-12 }, [layer], shape);
    this.#scaled.set(affine, name);
    return name;
  }

  /** A value with the shape that the graph sees: views become layers. */
  real(value: Activation, node: NodeReader): Result {
    const known = this.#real.get(value);
    if (known) return known;
    const result = this.#makeReal(value, node);
    this.#real.set(value, result);
    return result;
  }

  #makeReal(value: Activation, node: NodeReader): Result {
    const { shape, view, order, viewedBy } = value;
    if (order && (view.length === 1 || !sameShape(shape, view) || order.some((axis, i) => axis !== i))) {
      return node.unsupported('of transposed values', 'leave the order of axes as it is');
    }
    const layer = this.read(value, node);
    if (sameShape(shape, view)) return { layer, shape };
    const nameOf = (kind: string) => (viewedBy ? this.names.ofNode(kind, viewedBy) : this.names.ofKind(kind));
    if (view.length === 1) return this.add(nameOf('flatten'), { kind: 'flatten' }, [layer], view);
    if (view.length === 3) {
      const [channels, height, width] = view;
      return this.add(nameOf('reshape'), { kind: 'reshape', shape: [channels, height, width] }, [layer], view);
    }
    return node.unsupported(`of values of shape [batch,${view}]`, 'keep images as [batch,channels,height,width]');
  }

  /** A value as an image. @returns its sizes, too */
  image(value: Activation, node: NodeReader): Result & { channels: number; height: number; width: number } {
    if (value.view.length !== 3) {
      node.unsupported(`of values of shape [batch,${value.view}]`, 'it takes [batch,channels,height,width]');
    }
    const { layer, shape } = this.real(value, node);
    const [channels, height, width] = shape;
    return { layer, shape, channels, height, width };
  }

  /** The values in their own order as a vector, for a layer that can take them in any order. */
  flat(value: Activation, node: NodeReader): Result {
    if (!value.order && value.view.length === 1) return this.real(value, node);
    return this.real({ ...value, view: [productOf(value.view)], order: undefined }, node);
  }
}

function sameAffine(a: Affine, b: Affine): boolean {
  const at = (values: readonly number[], i: number) => values[values.length === 1 ? 0 : i];
  const count = Math.max(a.scale.length, b.scale.length, a.shift.length, b.shift.length);
  return Array.from({ length: count }, (_, i) => i).every(
    (i) => at(a.scale, i) === at(b.scale, i) && at(a.shift, i) === at(b.shift, i),
  );
}

/** A constant that is there only because the operator needs one: it was computed, and is zero. */
export function isVoid({ name, read }: Constant): boolean {
  return name === undefined && read().every((value) => value === 0);
}
