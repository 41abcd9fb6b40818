import { defineConfig } from 'vite';
import manifest from '../package.json' with { type: 'json' };

/** Packages that only Node needs; users of the command line install them. */
const optional = Object.keys(manifest.peerDependencies);

interface ModuleGraph {
  getModuleInfo(id: string): { readonly importers: readonly string[] } | null;
}

/** True if a module is imported, directly or through others, by the entry for pages. */
function isOfPages(id: string, graph: ModuleGraph, seen = new Set<string>()): boolean {
  if (id.endsWith('/src/index.ts')) return true;
  if (seen.has(id)) return false;
  seen.add(id);
  return graph.getModuleInfo(id)?.importers.some((importer) => isOfPages(importer, graph, seen)) ?? false;
}

/** Leaves the comments and the indentation of shaders out of the package: they are for readers of the sources. */
const shadersWithoutComments = {
  name: 'shaders-without-comments',
  transform(code: string, id: string) {
    const [, text] = /\.wgsl\?raw$/.test(id) ? (/^export default (".*");?$/s.exec(code.trim()) ?? []) : [];
    if (text === undefined) return undefined;
    const lines = (JSON.parse(text) as string)
      .split('\n')
      .map((line) => line.replace(/\/\/.*/, '').trim())
      .filter((line) => line !== '');
    return { code: `export default ${JSON.stringify(lines.join('\n'))}`, map: null };
  },
};

/**
 * Builds the package: the entry `index` for pages, bundled with its shaders and packages, and the entries for Node. Code
 * that they share is in chunks/, so that an error thrown in one entry is an instance of the class that another exports.
 */
export default defineConfig({
  plugins: [shadersWithoutComments],
  build: {
    outDir: 'dist/lib',
    target: 'es2022',
    minify: false,
    license: { fileName: 'THIRD_PARTY_LICENSES.md' },
    lib: {
      entry: { index: 'src/index.ts', node: 'src/node.ts', software: 'src/software.ts', midas: 'src/cli/bin.ts' },
      formats: ['es'],
    },
    rollupOptions: {
      external: (id) => id.startsWith('node:') || optional.some((name) => id === name || id.startsWith(`${name}/`)),
      output: {
        entryFileNames: '[name].js',
        chunkFileNames: 'chunks/[name].js',
        // The type declarations have the documentation comments; licence comments stay here.
        comments: { jsdoc: false },
        minify: {
          compress: true,
          mangle: { toplevel: true, keepNames: { class: true, function: false } },
          codegen: { removeWhitespace: true },
        },
        // A page without a bundler requests every file separately, so there are only two. `software` imports `errors` too.
        codeSplitting: {
          groups: [
            { name: 'errors', test: /\/src\/errors\.ts$/, priority: 1 },
            { name: (id, graph) => (isOfPages(id, graph) ? 'library' : null) },
          ],
        },
      },
    },
  },
});
