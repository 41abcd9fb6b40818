import { ShaderError } from '../errors.ts';
import { STRUCTS } from './structs.ts';

/** Reads .wgsl files from the file system of a clone or from a bundle. Paths are relative to shaders/. */
export interface ShaderSource {
  read(path: string): Promise<string>;
}

/** Value of one prelude constant. Whole numbers become u32; wrap other numbers in {@link f32}. */
export type ShaderConstant = boolean | number | { readonly f32: number };

/** Marks a constant as f32. @throws ShaderError for NaN and infinities, which WGSL rejects in constants. */
export function f32(value: number): ShaderConstant {
  const rounded = Math.fround(value);
  if (!Number.isFinite(rounded)) throw new ShaderError(`a shader constant must be finite, got ${value}`);
  return { f32: rounded };
}

/** The key of one compiled shader: its file, its constants, and the files chosen for its `#include <slot>` lines. */
export interface ShaderRequest {
  readonly path: string;
  readonly constants?: Readonly<Record<string, ShaderConstant>>;
  readonly includes?: Readonly<Record<string, string>>;
}

/** A line of a composed shader and where it was written. */
interface Line {
  readonly text: string;
  readonly from: string;
}

/** A composed shader; `origin(line)` turns a 1-based line of `text` into `shaders/<file>:<line>`. */
export interface ComposedShader {
  readonly text: string;
  origin(line: number): string;
}

/** Prefix of includes that name a layout of src/gpu/structs.ts instead of a file. */
const STRUCT = 'struct/';
const INCLUDE = /^\s*#include\s+(?:"([^"]+)"|<([^>]+)>)\s*$/;
/** Directives of WGSL, which must precede every declaration and therefore the prelude, whichever file contains them. */
const DIRECTIVE = /^(?:enable|requires|diagnostic)\b/;

/**
 * Joins a shader file with the files it includes, each file once, after a prelude of `const` lines; directives (`enable`,
 * `diagnostic`) of any file come before the prelude. `#include "common/hash.wgsl"` names a file and `#include "struct/step"`
 * a layout of src/gpu/structs.ts. `#include <fetch>` is a slot that `request.includes` fills; it lets a pipeline be built
 * for exact or for approximate memory without a branch in the shader.
 * @throws ShaderError with `shaders/file:line:` for a missing file, an unfilled slot or a cycle.
 */
export async function composeShader(source: ShaderSource, request: ShaderRequest): Promise<ComposedShader> {
  const directives: Line[] = [];
  const lines: Line[] = [];
  const finished = new Set<string>();
  for (const [name, value] of Object.entries(request.constants ?? {})) {
    lines.push({ text: constantLine(name, value), from: `shaders/${request.path} (prelude, ${name})` });
  }
  const append = async (path: string, stack: readonly string[], from: string): Promise<void> => {
    if (stack.includes(path)) throw new ShaderError(`${from}: include cycle: ${[...stack, path].join(' -> ')}`);
    if (finished.has(path)) return;
    const isStruct = path.startsWith(STRUCT);
    const text = isStruct ? structText(path, from) : await readShader(source, path, from);
    for (const [index, line] of text.split('\n').entries()) {
      const here = isStruct ? `src/gpu/structs.ts (${path})` : `shaders/${path}:${index + 1}`;
      const include = INCLUDE.exec(line);
      if (include) {
        const target = include[1] ?? request.includes?.[include[2]];
        if (!target) throw new ShaderError(`${here}: nothing was chosen for #include <${include[2]}>`);
        await append(target, [...stack, path], here);
      } else if (line.trimStart().startsWith('#')) {
        throw new ShaderError(`${here}: unknown directive "${line.trim()}"; only #include "file" and #include <slot>`);
      } else {
        (DIRECTIVE.test(line) ? directives : lines).push({ text: line, from: here });
      }
    }
    finished.add(path);
  };
  await append(request.path, [], `shaders/${request.path}`);
  const all = [...directives, ...lines];
  return {
    text: all.map(({ text }) => text).join('\n'),
    origin: (line) => all[line - 1]?.from ?? `shaders/${request.path}`,
  };
}

async function readShader(source: ShaderSource, path: string, from: string): Promise<string> {
  try {
    return await source.read(path);
  } catch (cause) {
    throw new ShaderError(`${from}: cannot read shaders/${path}`, { cause });
  }
}

function structText(path: string, from: string): string {
  const text = STRUCTS[path.slice(STRUCT.length)];
  if (text === undefined) throw new ShaderError(`${from}: src/gpu/structs.ts has no ${path}`);
  return text;
}

function constantLine(name: string, value: ShaderConstant): string {
  if (typeof value === 'boolean') return `const ${name}: bool = ${value};`;
  if (typeof value === 'object') {
    const text = String(value.f32);
    return `const ${name}: f32 = ${/[.e]/.test(text) ? text : `${text}.0`};`;
  }
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
    throw new ShaderError(`constant ${name} = ${value} is not a u32; wrap fractions in f32()`);
  }
  return `const ${name}: u32 = ${value}u;`;
}
