/** The order of the nodes of an ONNX graph, and what it lacks. */
import { DataError } from '../../errors.ts';
import type { OnnxModel, OnnxNode } from '../../formats/onnx.ts';
import { listed, printable } from '../../printable.ts';

/** A node in words, for messages: its operator and its name, or the name of its result. */
export function nodeText({ operator, name, outputs }: OnnxNode): string {
  const known = name || outputs.find((output) => output !== '') || '';
  return `${printable(operator, 40)} (node ${printable(known, 60) || 'without a name'})`;
}

export interface OrderedGraph {
  /** The nodes that the result depends on; each comes after those that it reads. */
  readonly nodes: readonly OnnxNode[];
  /** The nodes among them that read each value; a node that reads a value twice is there twice. */
  readonly readers: ReadonlyMap<string, readonly OnnxNode[]>;
}

/**
 * The nodes on which a value depends, in an order in which they can be computed.
 * @param result name of the value
 * @param file name, for messages
 * @throws DataError for a circle of nodes, and a value that nothing makes; the nodes are named
 */
export function orderNodes({ nodes, initializers, inputs }: OnnxModel, result: string, file: string): OrderedGraph {
  const makers = new Map<string, OnnxNode>();
  const known = new Set([...initializers.keys(), ...inputs.map(({ name }) => name)]);
  for (const node of nodes) {
    for (const output of node.outputs) {
      if (output === '') continue;
      if (makers.has(output) || known.has(output)) {
        throw new DataError(
          `${file}: value ${printable(output, 60)} is made twice, the second time by ${nodeText(node)}; export it again`,
        );
      }
      makers.set(output, node);
    }
  }
  const ordered: OnnxNode[] = [];
  const state = new Map<OnnxNode, 'open' | 'done'>();
  const readers = new Map<string, OnnxNode[]>();
  // A stack instead of recursion: graphs are deeper than the stack of calls allows.
  const path: { readonly node: OnnxNode; next: number }[] = [];
  const missing: string[] = [];
  const enter = (value: string, reader: string) => {
    if (value === '' || known.has(value)) return;
    const maker = makers.get(value);
    if (!maker) {
      missing.push(`${reader} reads ${printable(value, 60)}`);
      known.add(value);
      return;
    }
    if (state.get(maker) === 'done') return;
    if (state.get(maker) === 'open') {
      const circle = path.slice(path.findIndex(({ node }) => node === maker)).map(({ node }) => nodeText(node));
      throw new DataError(`${file}: its nodes form a circle: ${listed(circle, 200)}; export it again`);
    }
    state.set(maker, 'open');
    path.push({ node: maker, next: 0 });
  };
  enter(result, 'the result');
  while (path.length > 0) {
    const top = path[path.length - 1];
    if (top.next < top.node.inputs.length) {
      const value = top.node.inputs[top.next++];
      const known = readers.get(value);
      if (known) known.push(top.node);
      else readers.set(value, [top.node]);
      enter(value, nodeText(top.node));
    } else {
      state.set(top.node, 'done');
      ordered.push(top.node);
      path.pop();
    }
  }
  if (missing.length > 0) {
    throw new DataError(
      `${file}: ${listed(missing, 200)}, which no node makes and no initializer holds; the file is incomplete, export it again`,
    );
  }
  // The order of the file is that of the network's code; files that are not sorted are sorted here.
  const live = nodes.filter((node) => state.has(node));
  return { nodes: isSorted(live, makers) ? live : ordered, readers };
}

function isSorted(nodes: readonly OnnxNode[], makers: ReadonlyMap<string, OnnxNode>): boolean {
  const done = new Set<OnnxNode>();
  return nodes.every((node) => {
    done.add(node);
    return node.inputs.every((value) => {
      const maker = makers.get(value);
      return maker === undefined || (maker !== node && done.has(maker));
    });
  });
}
