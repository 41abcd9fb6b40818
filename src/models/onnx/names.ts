/** Names of layers: those of the modules in PyTorch wherever the file still tells them. */
import type { OnnxNode } from '../../formats/onnx.ts';
import { WRAPPERS } from '../state_dict.ts';

/** The name of a parameter; exporters that fold a batch normalisation write `conv1.weight_bias` for the new bias. */
const PARAMETER = /^(?=.*[A-Za-z0-9])(.+)\.(?:weight|bias|running_mean|running_var|gamma|beta)(?:_\w+)?$/;

/** Where exporters of PyTorch write the modules of a node: a list of Python, from the network to the operator. */
const SCOPES = 'pkg.torch.onnx.name_scopes';

const LONGEST = 120;

/** Short names of layers, numbered, for files that tell nothing better. */
const SHORT: Readonly<Record<string, string>> = {
  conv2d: 'conv',
  conv_transpose2d: 'deconv',
  dense: 'fc',
  batch_norm: 'bn',
  max_pool: 'pool',
  avg_pool: 'pool',
  global_avg_pool: 'pool',
};

/** True for a name that PyTorch gave a parameter, such as `layers.0.conv1.weight`. */
export function isParameterName(name: string): boolean {
  return PARAMETER.test(name) && !name.includes('::') && !name.startsWith('/');
}

/** Gives layers names that are unique. */
export class LayerNames {
  readonly #taken = new Set(['input']);
  readonly #counts = new Map<string, number>();

  /**
   * The name of a layer with parameters: that of its module.
   * @param parameters names of its parameters in the file, as far as they have any
   */
  ofParameters(kind: string, node: OnnxNode, parameters: readonly (string | undefined)[]): string {
    const known = parameters.find((name) => name !== undefined && isParameterName(name));
    const module = known?.replace(WRAPPERS, '').replace(PARAMETER, '$1') ?? moduleOf(node);
    return this.#unique(cleaned(module) || this.#numbered(kind));
  }

  /** The name of a layer without parameters: its module and its kind, `layers.0.relu`; or its own, if it has one. */
  ofNode(kind: string, node: OnnxNode): string {
    const scope = moduleOf(node);
    const isOwn = scope === node.name;
    return this.#unique(cleaned(scope === '' || isOwn ? scope : `${scope}.${kind}`) || this.#numbered(kind));
  }

  /** The name of a layer that no node asks for. */
  ofKind(kind: string): string {
    return this.#unique(this.#numbered(kind));
  }

  #numbered(kind: string): string {
    const short = SHORT[kind] ?? kind;
    const count = (this.#counts.get(short) ?? 0) + 1;
    this.#counts.set(short, count);
    return `${short}${count}`;
  }

  #unique(name: string): string {
    let unique = name;
    for (let i = 2; this.#taken.has(unique); i++) unique = `${name}_${i}`;
    this.#taken.add(unique);
    return unique;
  }
}

/** The module that a node is in, `layers.0.conv1`; empty if its name does not tell. */
function moduleOf({ name, operator, metadata }: OnnxNode): string {
  const scopes = [...(metadata.get(SCOPES) ?? '').matchAll(/'([^']*)'/g)].map(([, scope]) => scope);
  if (scopes.length >= 2) return scopes[scopes.length - 2];
  const parts = name.split('/').filter((part) => part !== '');
  // `/layers/layers.0/conv1/Conv`: a child of a Sequential repeats the name of its parent.
  if (parts.length >= 2 || name.startsWith('/')) {
    const path: string[] = [];
    for (const part of parts.slice(0, -1)) {
      if (path.length > 0 && part.startsWith(`${path[path.length - 1]}.`)) path.pop();
      path.push(part);
    }
    return path.join('.');
  }
  // `Conv_12`, `node_conv2d_3` and `12` tell the operator only.
  const bare = name.replace(/^node_+/, '').replace(/[_:]*\d*$/, '');
  const isOperator = bare === '' || name.startsWith('node_') || bare.toLowerCase() === operator.toLowerCase();
  return isOperator ? '' : name;
}

/** Letters, digits, `_`, `-` and `.` only. */
function cleaned(name: string): string {
  return name
    .replace(/[^A-Za-z0-9_.-]+/g, '_')
    .replace(/^[_.]+|[_.]+$/g, '')
    .slice(0, LONGEST);
}
