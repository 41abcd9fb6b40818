/**
 * Replaces the calls of a file's own functions by their nodes. Exporters of PyTorch before 2.6 write modules and operators as
 * functions (FunctionProto in https://onnx.ai/onnx/repo-docs/IR.html).
 */
import { DataError } from '../../errors.ts';
import type { OnnxAttribute, OnnxFunction, OnnxGraph, OnnxModel, OnnxNode } from '../../formats/onnx.ts';
import { printable } from '../../printable.ts';

/** Nodes of a graph after all calls are replaced; functions that call one another often make exponentially many. */
const MAX_NODES = 100_000;

/** Where nodes stand: in the graph, in a function, or in a branch. */
interface Scope {
  /** The name in the graph of a value. */
  readonly nameOf: (value: string) => string;
  /** Attributes of the call of the function. */
  readonly attributes: ReadonlyMap<string, OnnxAttribute>;
  /** The functions around them. */
  readonly calls: readonly OnnxFunction[];
}

/**
 * The model without functions. Nodes with branches name the values of the graph that these read among their own inputs, after the
 * condition.
 * @param file name, for messages
 * @throws DataError for a function that calls itself, and for calls that make too many nodes
 */
export function inlineFunctions(model: OnnxModel, file: string): OnnxModel {
  const functions = new Map(model.functions.map((each) => [keyOf(each.domain, each.name), each]));
  let count = 0;
  let scopes = 0;

  const expand = (nodes: readonly OnnxNode[], scope: Scope): OnnxNode[] =>
    nodes.flatMap((node) => {
      count++;
      if (count > MAX_NODES)
        throw new DataError(`${file}: its functions make more than ${MAX_NODES} nodes; export it again`);
      const inputs = node.inputs.map(scope.nameOf);
      const outputs = node.outputs.map(scope.nameOf);
      const attributes = new Map(
        [...node.attributes.values()].flatMap((attribute) => {
          const own = attribute.reference === undefined ? attribute : scope.attributes.get(attribute.reference);
          if (!own) return [];
          const graph = own.graph && expandBranch(own.graph, scope);
          return [[attribute.name, { ...own, name: attribute.name, graph }] as const];
        }),
      );
      const called = functions.get(keyOf(node.domain, node.operator));
      if (!called) {
        const branches = [...attributes.values()].flatMap(({ graph }) => (graph ? readsOf(graph) : []));
        return [{ ...node, inputs: [...inputs, ...branches], outputs, attributes }];
      }
      if (scope.calls.includes(called)) {
        throw new DataError(`${file}: function ${printable(called.name, 60)} calls itself; export it again`);
      }
      return callOf(called, { ...node, inputs, outputs, attributes }, scope.calls);
    });

  /** The nodes of a function with the values and attributes of a call. */
  const callOf = (called: OnnxFunction, call: OnnxNode, calls: readonly OnnxFunction[]): OnnxNode[] => {
    const place = ++scopes;
    const names = new Map(called.inputs.map((name, i) => [name, call.inputs[i] ?? '']));
    // A result that is one of the inputs has two names in the graph.
    const passed = called.outputs.flatMap((name, i): OnnxNode[] => {
      const [input, output] = [names.get(name), call.outputs[i]];
      if (input === undefined || !output) return [];
      return [{ ...call, operator: 'Identity', domain: '', inputs: [input], outputs: [output], attributes: new Map() }];
    });
    called.outputs.forEach((name, i) => {
      if (!names.has(name) && call.outputs[i]) names.set(name, call.outputs[i]);
    });
    const inner = expand(called.nodes, {
      nameOf: (value) => (value === '' ? '' : (names.get(value) ?? `${value}/${place}`)),
      attributes: new Map([...called.defaults, ...call.attributes]),
      calls: [...calls, called],
    });
    return [...inner, ...passed];
  };

  /** A branch whose own values have names that no other branch has. */
  const expandBranch = ({ nodes, initializers, results }: OnnxGraph, scope: Scope): OnnxGraph => {
    const place = ++scopes;
    const own = new Set([...initializers.keys(), ...nodes.flatMap(({ outputs }) => outputs)]);
    const nameOf = (value: string) => (value !== '' && own.has(value) ? `${value}/${place}` : scope.nameOf(value));
    return {
      nodes: expand(nodes, { ...scope, nameOf }),
      initializers: new Map([...initializers].map(([name, tensor]) => [nameOf(name), tensor])),
      results: results.map(nameOf),
    };
  };

  const top: Scope = { nameOf: (value) => value, attributes: new Map(), calls: [] };
  return { ...model, nodes: expand(model.nodes, top), functions: [] };
}

const keyOf = (domain: string, name: string) => `${domain} ${name}`;

/** The values around a branch that its nodes read, as often as they do. */
function readsOf({ nodes, initializers, results }: OnnxGraph): string[] {
  const own = new Set([...initializers.keys(), ...nodes.flatMap(({ outputs }) => outputs)]);
  return [...nodes.flatMap(({ inputs }) => inputs), ...results].filter((name) => name !== '' && !own.has(name));
}
