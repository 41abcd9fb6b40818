import { type Arena, type Matrix, ROW_ALIGNMENT, roundUp } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Initialization } from '../kernels/initialize.ts';

/** One tensor of a model as its layer declares it: a matrix, or a vector as a matrix with one row. */
export interface ParameterDeclaration {
  /** `<layer>.weight` or `<layer>.bias`; for batch normalisation also `<layer>.running_mean` and `<layer>.running_var`. */
  readonly name: string;
  readonly layer: string;
  readonly rows: number;
  readonly columns: number;
  /** Shape in PyTorch and in files. */
  readonly shape: readonly number[];
  /**
   * For convolutions, and for dense layers after an image: the columns of a row are height x width taps of `channels`
   * channels each, padded to columns / (height width). PyTorch orders them channels x height x width.
   */
  readonly taps?: { readonly height: number; readonly width: number; readonly channels: number };
  /** True for a transposed convolution, whose rows are input channels. */
  readonly transposed?: true;
  readonly initialization: Initialization;
  /** False for statistics, which are stored and read like weights but not updated by the optimiser. */
  readonly trainable?: false;
}

/** The bias of a layer, one value per output, zero at first by default; nothing for a layer without one. */
export function biasParameter(
  layer: string,
  outputs: number,
  has = true,
  initialization: Initialization = { kind: 'constant', value: 0 },
): ParameterDeclaration[] {
  return has ? [{ name: `${layer}.bias`, layer, rows: 1, columns: outputs, shape: [outputs], initialization }] : [];
}

/** A parameter's place in the flat buffers. Offsets and sizes are in f32 elements. */
export interface ParameterSlice extends ParameterDeclaration {
  /** Position in the model: the tensor number in the keys of the random faults. */
  readonly index: number;
  readonly stride: number;
  readonly offset: number;
  readonly length: number;
}

/** Every slice starts on a multiple of this many f32: 512 bytes, which every adapter accepts as the offset of a binding. */
const SLICE_ALIGNMENT = 128;

/**
 * The layout of all parameters of a model in one flat buffer, so that the optimiser is one dispatch and saving is one copy.
 * Rows are padded with zeros to 16 elements and matrices to 4 rows, so that no kernel tests a bound in its inner loop.
 * Parameters that are not trained come after the trained ones.
 */
export class ParameterLayout {
  /** In the model's order. */
  readonly slices: readonly ParameterSlice[];
  /** Number of f32 elements of a flat buffer. */
  readonly length: number;

  constructor(declarations: readonly ParameterDeclaration[]) {
    let offset = 0;
    const slices = new Array<ParameterSlice>(declarations.length);
    for (const trained of [true, false]) {
      for (const [index, declaration] of declarations.entries()) {
        if ((declaration.trainable ?? true) !== trained) continue;
        const stride = roundUp(declaration.columns, ROW_ALIGNMENT);
        const length = roundUp(declaration.rows, declaration.rows === 1 ? 1 : 4) * stride;
        slices[index] = { ...declaration, index, stride, offset, length };
        offset += roundUp(length, SLICE_ALIGNMENT);
      }
    }
    this.slices = slices;
    this.length = offset;
  }

  /** Number of parameters without padding, statistics included. */
  get count(): number {
    return this.slices.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0);
  }

  /** Names of the layers, in order of their first parameter. */
  get layers(): string[] {
    return [...new Set(this.slices.map(({ layer }) => layer))];
  }

  /** Returns the slice of a parameter. @throws Error if there is none of this name */
  find(name: string): ParameterSlice {
    const slice = this.slices.find((candidate) => candidate.name === name);
    if (!slice) throw new Error(`the model has no parameter ${name}`);
    return slice;
  }

  has(name: string): boolean {
    return this.slices.some((candidate) => candidate.name === name);
  }

  /** Copies values from PyTorch's order into the padded layout `flat`. It moves bits, so that NaN payloads survive. */
  pack(slice: ParameterSlice, values: Uint32Array, flat: Uint32Array): void {
    forEachElement(slice, (from, to) => {
      flat[to] = values[from];
    });
  }

  /** The inverse of {@link pack}: the values of one parameter in PyTorch's order. */
  unpack(slice: ParameterSlice, flat: Uint32Array): Uint32Array<ArrayBuffer> {
    const values = new Uint32Array(slice.shape.reduce((product, n) => product * n, 1));
    forEachElement(slice, (to, from) => {
      values[to] = flat[from];
    });
    return values;
  }
}

/** Calls `visit` with the index of every element in PyTorch's order and in the flat buffer. */
function forEachElement(slice: ParameterSlice, visit: (packed: number, flat: number) => void): void {
  const { rows, columns, stride, offset } = slice;
  const { height, width, channels } = slice.taps ?? { height: 1, width: 1, channels: columns };
  const padded = columns / (height * width);
  let packed = 0;
  for (let row = 0; row < rows; row++) {
    for (let channel = 0; channel < channels; channel++) {
      for (let tap = 0; tap < height * width; tap++) {
        visit(packed++, offset + row * stride + tap * padded + channel);
      }
    }
  }
}

/** Number of values of a parameter, without padding. */
export function valueCount({ shape }: ParameterDeclaration): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** The position, in the padded layout of a parameter, of value `index` of its flattened tensor in PyTorch's order. */
export function positionOf(slice: ParameterSlice, index: number): number {
  const { channels, taps, padded } = rowOf(slice);
  const inRow = index % (channels * taps);
  const row = Math.floor(index / (channels * taps));
  return row * slice.stride + (inRow % taps) * padded + Math.floor(inRow / taps);
}

/** The inverse of {@link positionOf}. @param position of a value, not of a pad */
export function indexOf(slice: ParameterSlice, position: number): number {
  const { channels, taps, padded } = rowOf(slice);
  const column = position % slice.stride;
  const row = Math.floor(position / slice.stride);
  return row * channels * taps + (column % padded) * taps + Math.floor(column / padded);
}

function rowOf({ columns, taps }: ParameterSlice): { channels: number; taps: number; padded: number } {
  const { height, width, channels } = taps ?? { height: 1, width: 1, channels: columns };
  return { channels, taps: height * width, padded: columns / (height * width) };
}

/** A flat buffer in a model's layout: parameters, gradients, optimiser state, or the result of a read of memory. */
export class FlatParameters {
  readonly layout: ParameterLayout;
  readonly view: BufferView;

  constructor(arena: Arena, label: string, layout: ParameterLayout) {
    this.layout = layout;
    this.view = arena.allocate(label, layout.length * 4);
  }

  /** The part of the buffer that holds one parameter. @throws Error if there is none of this name */
  matrix(name: string): Matrix {
    const { rows, columns, stride, offset, length } = this.layout.find(name);
    return { buffer: this.view.buffer, offset: offset * 4, size: length * 4, rows, columns, stride };
  }
}
