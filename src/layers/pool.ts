/** Plans the values of a network's passes, so that those which are never needed at the same time share a buffer. */
import { type Arena, type Matrix, ROW_ALIGNMENT, roundUp } from '../gpu/arena.ts';
import type { ImageShape } from './layer.ts';

/** The first step of a value that shares its buffer with no other one, because something outside the passes uses it. */
export const ALWAYS = Number.NEGATIVE_INFINITY;

/** The steps during which a value is needed: from the one that writes it to the last that reads it. */
export interface Steps {
  readonly first: number;
  readonly last: number;
}

/** A value in the plan of a pool. */
export interface Place {
  readonly root: Root;
  /** Its matrix, from that of the root. */
  readonly from: (root: Matrix) => Matrix;
}

interface Root {
  readonly label: string;
  readonly given?: Matrix;
  readonly rows: number;
  readonly columns: number;
  readonly stride: number;
  steps: Steps;
}

const bytesOf = ({ rows, stride }: Root) => rows * stride * 4;
const itself = (matrix: Matrix) => matrix;

/** The values of one batch. */
export class Pool {
  readonly #batch: number;
  readonly #roots: Root[] = [];

  constructor(batch: number) {
    this.#batch = batch;
  }

  /** A value whose buffer is there already. */
  given(matrix: Matrix): Place {
    const { rows, columns, stride } = matrix;
    const steps = { first: ALWAYS, last: Number.POSITIVE_INFINITY };
    return { root: { label: 'given', given: matrix, rows, columns, stride, steps }, from: itself };
  }

  /** A new value: one row per pixel, or one per image for vectors, whose rows are wider, as dense layers read them. */
  value(label: string, { height, width, channels }: ImageShape, steps: Steps): Place {
    const stride = roundUp(channels, height * width === 1 ? ROW_ALIGNMENT : 4);
    // Kernels write whole vec4, and leave further zeros at the end of a row as they are: such a value keeps its buffer.
    const alone = stride > roundUp(channels, 4);
    const root = {
      label,
      rows: this.#batch * height * width,
      columns: channels,
      stride,
      steps: alone ? { first: ALWAYS, last: Number.POSITIVE_INFINITY } : steps,
    };
    this.#roots.push(root);
    return { root, from: itself };
  }

  /** A value in the buffer of another one, which is then needed as long as both are. */
  view({ root, from }: Place, { first, last }: Steps, to: (matrix: Matrix) => Matrix): Place {
    const { steps } = root;
    root.steps = { first: Math.min(steps.first, first), last: Math.max(steps.last, last) };
    return { root, from: (matrix) => to(from(matrix)) };
  }

  /** The same, if `to` has a view of that layout; otherwise undefined. */
  tryView(place: Place, steps: Steps, to: (matrix: Matrix) => Matrix | undefined): Place | undefined {
    const { given, rows, columns, stride } = place.root;
    const standIn = given ?? ({ buffer: {}, offset: 0, size: 0, rows, columns, stride, zeroRow: rows } as Matrix);
    return to(place.from(standIn)) && this.view(place, steps, (matrix) => to(matrix)!);
  }

  /** Bytes that the values and their rows of zeros would take without sharing. */
  get bytesAlone(): number {
    return this.#roots.reduce((sum, root) => sum + bytesOf(root) + root.stride * 4, 0);
  }

  /**
   * Allocates all values. A value takes a buffer whose earlier values are no longer needed in its first step. Every buffer
   * ends in zeros, where all its values have their row of zeros.
   * @returns the matrix of a place
   * @throws LimitError
   */
  allocate(arena: Arena): (place: Place) => Matrix {
    const slots: { roots: Root[]; bytes: number; free: number }[] = [];
    for (const root of [...this.#roots].sort((a, b) => a.steps.first - b.steps.first)) {
      const bytes = bytesOf(root);
      // The smallest free buffer that is large enough, else the largest, which grows.
      const free = slots.filter((slot) => slot.free < root.steps.first).sort((a, b) => a.bytes - b.bytes);
      const slot = free.find((each) => each.bytes >= bytes) ?? free[free.length - 1];
      if (slot) {
        slot.roots.push(root);
        slot.bytes = Math.max(slot.bytes, bytes);
        slot.free = root.steps.last;
      } else slots.push({ roots: [root], bytes, free: root.steps.last });
    }
    const matrices = new Map<Root, Matrix>();
    for (const { roots, bytes } of slots) {
      roots.sort((a, b) => bytesOf(b) - bytesOf(a));
      const rowBytes = (root: Root) => root.stride * 4;
      // The row of zeros of a value is the first of its rows that begins behind all values.
      const zeroRow = (root: Root) => Math.ceil(bytes / rowBytes(root));
      const size = Math.max(...roots.map((root) => (zeroRow(root) + 1) * rowBytes(root)));
      const label = roots.length === 1 ? roots[0].label : `${roots[0].label} (with ${roots.length - 1} others)`;
      const { buffer, offset } = arena.allocate(label, size);
      for (const root of roots) {
        const { rows, columns, stride } = root;
        matrices.set(root, { buffer, offset, size: bytesOf(root), rows, columns, stride, zeroRow: zeroRow(root) });
      }
    }
    return ({ root, from }) => from(root.given ?? matrices.get(root)!);
  }
}
