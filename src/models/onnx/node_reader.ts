/** A node of an ONNX graph with the values that it reads, and the errors about it. */
import { DataError } from '../../errors.ts';
import type { OnnxAttribute, OnnxNode } from '../../formats/onnx.ts';
import { nodeText } from './graph.ts';
import { isParameterName } from './names.ts';
import { type Activation, type Constant, numbersOf, type Value } from './values.ts';

/** Why a node is not supported; caught where nodes are converted, so that all of them are told together. */
export class UnsupportedNode extends Error {
  constructor(
    /** What is not supported, where it is not the operator as such. */
    readonly problem: string,
    /** What would do instead. */
    readonly instead: string,
    readonly node: OnnxNode,
  ) {
    super(problem);
  }
}

export class NodeReader {
  readonly operator: string;
  readonly outputs: readonly string[];

  /**
   * @param values what its inputs are known to be; undefined for an optional input that is left out
   * @param readers the nodes that read each value of the graph
   */
  constructor(
    readonly node: OnnxNode,
    readonly values: readonly (Value | undefined)[],
    readonly opset: number,
    readonly readers: ReadonlyMap<string, readonly OnnxNode[]>,
    readonly file: string,
  ) {
    this.operator = node.operator;
    this.outputs = node.outputs;
  }

  input(i: number): Value | undefined {
    return this.values[i];
  }

  attribute(name: string): OnnxAttribute | undefined {
    return this.node.attributes.get(name);
  }

  int(name: string): number | undefined {
    return this.attribute(name)?.int;
  }

  float(name: string): number | undefined {
    return this.attribute(name)?.float;
  }

  text(name: string): string | undefined {
    return this.attribute(name)?.text;
  }

  ints(name: string): readonly number[] | undefined {
    return this.attribute(name)?.ints;
  }

  /** Axes by attribute, or from opset 13 or 18 on by an input. */
  axes(input: number): readonly number[] | undefined {
    return this.ints('axes') ?? numbersOf(this.input(input));
  }

  /** The parts of axes that Slice takes: by attributes before opset 10. @returns undefined if they are not known */
  slices(rank: number): { axis: number; start: number; end: number; step: number }[] | undefined {
    const starts = this.ints('starts') ?? numbersOf(this.input(1));
    const ends = this.ints('ends') ?? numbersOf(this.input(2));
    const axes = this.ints('axes') ?? (this.input(3) ? numbersOf(this.input(3)) : starts?.map((_, i) => i));
    const steps = this.input(4) ? numbersOf(this.input(4)) : starts?.map(() => 1);
    if (!starts || !ends || !axes || !steps || starts.length > rank) return undefined;
    if (![ends, axes, steps].every(({ length }) => length === starts.length)) return undefined;
    return starts.map((start, i) => ({ start, end: ends[i], axis: axes[i], step: steps[i] }));
  }

  /** The input that must be the result of a layer. */
  activation(i: number): Activation {
    const value = this.input(i);
    if (value?.kind === 'activation') return value;
    return this.unsupported('of constants', 'export the network with constants folded');
  }

  /** The input that must be weights of the file. @param what for the message: "weights" */
  constant(i: number, what: string): Constant {
    const value = this.input(i);
    if (value?.kind === 'constant') return value;
    return this.unsupported(`whose ${what} are computed from the image`, 'use a layer with fixed weights');
  }

  /** The name of its result if that is a parameter's, else another name. */
  parameterName(other: string | undefined): string | undefined {
    return isParameterName(this.outputs[0]) ? this.outputs[0] : other;
  }

  /** The only node that reads its result. */
  get soleReader(): OnnxNode | undefined {
    const readers = this.readers.get(this.outputs[0]) ?? [];
    return readers.length === 1 ? readers[0] : undefined;
  }

  /** How many nodes read one of its inputs. */
  readersOf(i: number): number {
    return this.readers.get(this.node.inputs[i])?.length ?? 0;
  }

  /** @param problem after the operator: "of two activations"; empty if no use of the operator is supported */
  unsupported(problem: string, instead: string): never {
    throw new UnsupportedNode(problem, instead, this.node);
  }

  /** @throws DataError about this node */
  wrong(problem: string): never {
    throw new DataError(`${this.file}: ${nodeText(this.node)}: ${problem}`);
  }
}
