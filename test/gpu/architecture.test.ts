import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

// The allowed dependencies between folders. A new one is decided in the design first and then added to these tables.

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

function filesIn(folder: string, extension: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(extension))
    .map((name) => join(folder, name));
}

const textOf = (file: string) => readFileSync(join(ROOT, file), 'utf8');

/** The text without comments, so that words in prose do not count as code. Good enough for our own sources. */
const codeOf = (file: string) =>
  textOf(file)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|[^:'"`])\/\/.*$/gm, '$1');

interface Import {
  readonly from: string;
  /** A file of the project, relative to its root, or a package. */
  readonly to: string;
  readonly isPackage: boolean;
}

function importsOf(file: string): Import[] {
  const found = codeOf(file).matchAll(/(?:\bfrom\s+|\bimport\s+|\bimport\s*\(\s*)['"]([^'"]+)['"]/g);
  // Vite's `?url` asks for a file's address.
  const pathOf = (specifier: string) => relative(ROOT, join(ROOT, dirname(file), specifier.replace(/\?url$/, '')));
  return Array.from(found, ([, specifier]) => {
    const isPackage = !specifier.startsWith('.');
    return { from: file, to: isPackage ? specifier : pathOf(specifier), isPackage };
  });
}

const sources = filesIn('src', '.ts');
const imports = sources.flatMap(importsOf);
const folderOf = (file: string) => /^src\/([^/]+)\//.exec(file)?.[1];
const describeImport = ({ from, to }: Import) => `${from} imports ${to}`;

const LEAVES = ['gpu', 'memory', 'metrics', 'formats'];
const ENGINE = [...LEAVES, 'data', 'kernels', 'layers', 'injection', 'models'];
const SHELL = [...ENGINE, 'attacks', 'defences', 'results', 'experiments', 'reference', 'verify'];

/**
 * Folder -> other folders from which it may import: `gpu, memory <- kernels <- layers <- injection <- models <- attacks <-
 * experiments <- cli, web`, with `data` and `results` above the leaves and `verify` beside the experiments.
 */
const ARROWS: Record<string, readonly string[]> = {
  gpu: [],
  memory: [],
  metrics: [],
  formats: [],
  // Procedural faces are rendered by a shader, and their recipes use the project's only hash.
  data: LEAVES,
  // The tables of measured voltages are in memory.
  results: ['memory', 'metrics', 'formats'],
  // Number formats and hashes are in memory; kernels, layers and models use its types and functions.
  kernels: ['gpu', 'memory'],
  layers: ['kernels', 'gpu', 'memory'],
  injection: ['layers', 'kernels', 'gpu', 'memory'],
  // Models are trained on data sets and saved as safetensors; the evaluator's features are read by a discriminant.
  models: ['injection', 'layers', 'kernels', 'gpu', 'memory', 'data', 'formats', 'metrics'],
  attacks: ['models', 'layers', 'kernels', 'gpu'],
  defences: ['models', 'kernels', 'gpu', 'memory'],
  experiments: [...ENGINE, 'attacks', 'defences', 'results'],
  // The float64 references take the kernels' options and shapes.
  reference: ['kernels', 'gpu', 'memory'],
  // The checks of an adapter by doctor and the page: every kernel against its reference, and the proof of the memory.
  verify: [...ENGINE, 'reference'],
  cli: SHELL,
  web: SHELL,
  // The namespaces of the package.
  library: [...ENGINE, 'attacks', 'defences', 'experiments', 'results'],
};

/** Files that every folder may import. They import only each other. */
const COMMON = ['src/errors.ts', 'src/image_size.ts', 'src/printable.ts', 'src/random.ts', 'src/schema_message.ts'];

/** Files that other projects import: the namespaces, and how devices are opened. */
const LIBRARY = ['src/index.ts', 'src/node.ts', 'src/software.ts'];

/** Files that the page ships in addition to its code: the networks of the demo, and package.json for the version. */
const SHIPPED = /^(data\/deep-tiny\/.*\.safetensors|package\.json)$/;

it('every folder of the sources has an entry in the table of dependencies', () => {
  expect(sources.length).toBeGreaterThan(40);
  expect(imports.length).toBeGreaterThan(100);
  expect(sources.map(folderOf).filter((folder) => folder && !Object.hasOwn(ARROWS, folder))).toEqual([]);
});

it('dependencies between folders point one way', () => {
  const forbidden = imports.filter(({ from, to, isPackage }) => {
    if (isPackage || COMMON.includes(to)) return false;
    const [source, target] = [folderOf(from), folderOf(to)];
    if (source && target && (source === target || ARROWS[source].includes(target))) return false;
    if (LIBRARY.includes(from)) return !(LIBRARY.includes(to) || target === 'library' || target === 'gpu');
    // The bundler leaves out the packages that package.json lists as optional.
    if (from === 'src/vite.config.ts') return to !== 'package.json';
    return !(from === 'src/web/worker.ts' && SHIPPED.test(to));
  });
  expect(forbidden.map(describeImport)).toEqual([]);
});

/** Groups of files that import each other in a loop, types included (Tarjan's strongly connected components). */
function circlesOf(all: readonly Import[]): string[][] {
  const targets = new Map<string, string[]>();
  for (const { from, to, isPackage } of all) if (!isPackage) targets.set(from, [...(targets.get(from) ?? []), to]);
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const open: string[] = [];
  const circles: string[][] = [];
  const visit = (file: string) => {
    order.set(file, order.size);
    lowest.set(file, order.get(file)!);
    open.push(file);
    for (const target of targets.get(file) ?? []) {
      if (!order.has(target)) visit(target);
      if (open.includes(target)) lowest.set(file, Math.min(lowest.get(file)!, lowest.get(target)!));
    }
    if (lowest.get(file) !== order.get(file)) return;
    const circle = open.splice(open.indexOf(file)).sort();
    if (circle.length > 1) circles.push(circle);
  };
  for (const file of targets.keys()) if (!order.has(file)) visit(file);
  return circles;
}

it('no files import each other in a circle', () => {
  expect(circlesOf(imports)).toEqual([]);
  // The search does find a circle.
  const arrow = (from: string, to: string): Import => ({ from, to, isPackage: false });
  const three = [arrow('a', 'b'), arrow('b', 'c'), arrow('c', 'a'), arrow('c', 'd'), arrow('d', 'e')];
  expect(circlesOf(three)).toEqual([['a', 'b', 'c']]);
});

it('sources import nothing from tests or benchmarks', () => {
  expect(imports.filter(({ to }) => /^(test|bench)\//.test(to)).map(describeImport)).toEqual([]);
});

it('imports name existing files with their extension', () => {
  const missing = imports.filter(({ to, isPackage }) => !isPackage && !existsSync(join(ROOT, to)));
  expect(missing.map(describeImport)).toEqual([]);
});

it('the library makes a page load four small packages only', () => {
  const reached = new Set([LIBRARY[0]]);
  const packages = new Set<string>();
  for (const file of reached) {
    for (const { to, isPackage } of imports.filter(({ from }) => from === file)) {
      if (isPackage) packages.add(to);
      else reached.add(to);
    }
  }
  expect([...packages].sort()).toEqual(['fflate', 'gl-matrix', 'pbf', 'valibot']);
});

it('modules of Node are imported only in files that a browser never loads', () => {
  const node = imports.filter(({ to }) => to.startsWith('node:'));
  expect(node.length).toBeGreaterThan(0);
  const misplaced = node.filter(
    ({ from }) => !/^src\/(gpu\/node(\.ts$|\/)|cli\/|data\/node\/|prune_declarations\.ts$)/.test(from),
  );
  expect(misplaced.map(describeImport)).toEqual([]);
});

it('built-in modules of Node are written with their prefix', () => {
  const bare = imports.filter(({ to }) => /^(fs|path|os|url|util|module|crypto|zlib|child_process)(\/|$)/.test(to));
  expect(bare.map(describeImport)).toEqual([]);
});

it('only the command line and the page use unseeded randomness or the date', () => {
  const unseeded = sources
    .filter((file) => folderOf(file) !== 'cli' && folderOf(file) !== 'web')
    .filter((file) => /\bMath\.random\b|\bnew Date\b|\bDate\.|\bDate\(/.test(codeOf(file)));
  expect(unseeded).toEqual([]);
});

const shaders = filesIn('shaders', '.wgsl');

it('only the workgroup-memory GEMM has barriers', () => {
  expect(shaders.length).toBeGreaterThan(20);
  const withBarriers = shaders.filter((file) =>
    /\b(workgroup|storage|texture)Barrier\b|\bworkgroupUniformLoad\b/.test(codeOf(file)),
  );
  expect(withBarriers).toEqual(['shaders/gemm/gemm_shared.wgsl']);
});

it('every shader begins with a comment that says what it is', () => {
  expect(shaders.filter((file) => !/^\/\/ \S/.test(textOf(file)))).toEqual([]);
});
