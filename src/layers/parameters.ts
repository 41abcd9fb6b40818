import { type Arena, type Matrix, ROW_ALIGNMENT, roundUp } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/device.ts';

/** One tensor of a model as its layer declares it: a matrix, or a vector as a matrix of one row. */
export interface ParameterDeclaration {
  /** `<layer>.weight` (outputs x inputs, as PyTorch keeps it) or `<layer>.bias` (1 x outputs). */
  readonly name: string;
  readonly layer: string;
  readonly rows: number;
  readonly columns: number;
}

/** A parameter's place in the flat buffers. Offsets and sizes are in f32 elements. */
export interface ParameterSlice extends ParameterDeclaration {
  /** Position in the model: the tensor number that fault maps are keyed by. */
  readonly index: number;
  readonly stride: number;
  readonly offset: number;
  readonly length: number;
}

/** A slice starts on a multiple of this many f32: 512 bytes, so that its 16-bit codes start on 256 bytes too. */
const SLICE_ALIGNMENT = 128;

/**
 * Lays all parameters of a model out in one flat buffer: the optimiser is one dispatch, saving is one copy. Rows are
 * padded with zeros to 16 elements and matrices to 4 rows, so that no kernel tests a bound in its inner loop.
 */
export class ParameterLayout {
  readonly slices: readonly ParameterSlice[];
  /** Elements of a flat buffer. */
  readonly length: number;

  constructor(declarations: readonly ParameterDeclaration[]) {
    let offset = 0;
    this.slices = declarations.map((declaration, index) => {
      const stride = roundUp(declaration.columns, ROW_ALIGNMENT);
      const length = roundUp(declaration.rows, declaration.rows === 1 ? 1 : 4) * stride;
      const slice = { ...declaration, index, stride, offset, length };
      offset += roundUp(length, SLICE_ALIGNMENT);
      return slice;
    });
    this.length = offset;
  }

  /** Number of parameters without padding. */
  get count(): number {
    return this.slices.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  }

  /** Layers in order of their first parameter. */
  get layers(): string[] {
    return [...new Set(this.slices.map(({ layer }) => layer))];
  }

  find(name: string): ParameterSlice {
    const slice = this.slices.find((candidate) => candidate.name === name);
    if (!slice) throw new Error(`no parameter ${name}`);
    return slice;
  }

  /** Copies logical values into the padded layout. Bits are moved, never floats. */
  pack(slice: ParameterSlice, values: Uint32Array, flat: Uint32Array): void {
    for (let row = 0; row < slice.rows; row++) {
      const from = row * slice.columns;
      flat.set(values.subarray(from, from + slice.columns), slice.offset + row * slice.stride);
    }
  }

  /** The inverse of {@link pack}: rows x columns values of one parameter. */
  unpack(slice: ParameterSlice, flat: Uint32Array): Uint32Array<ArrayBuffer> {
    const values = new Uint32Array(slice.rows * slice.columns);
    for (let row = 0; row < slice.rows; row++) {
      const from = slice.offset + row * slice.stride;
      values.set(flat.subarray(from, from + slice.columns), row * slice.columns);
    }
    return values;
  }
}

/** A flat buffer in a model's layout: parameters, gradients, optimiser state, or what a read of memory returned. */
export class FlatParameters {
  readonly layout: ParameterLayout;
  readonly view: BufferView;

  constructor(arena: Arena, label: string, layout: ParameterLayout) {
    this.layout = layout;
    this.view = arena.allocate(label, layout.length * 4);
  }

  matrix(name: string): Matrix {
    const { rows, columns, stride, offset, length } = this.layout.find(name);
    return { buffer: this.view.buffer, offset: offset * 4, size: length * 4, rows, columns, stride };
  }
}
