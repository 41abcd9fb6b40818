import { defineConfig } from 'vite';
import manifest from '../package.json' with { type: 'json' };

/** Packages that only Node needs; users of the command line install them. */
const optional = Object.keys(manifest.peerDependencies);

interface ModuleGraph {
  getModuleInfo(id: string): { readonly importers: readonly string[] } | null;
}

/** True if a page's code reaches a module. */
function isOfPages(id: string, graph: ModuleGraph, seen = new Set<string>()): boolean {
  if (id.endsWith('/src/index.ts')) return true;
  if (seen.has(id)) return false;
  seen.add(id);
  return graph.getModuleInfo(id)?.importers.some((importer) => isOfPages(importer, graph, seen)) ?? false;
}

/**
 * The package: `index` for pages, with its shaders and packages inside, and the entries for Node. What they share lies in
 * chunks/, so that an error thrown in one is an instance of the class exported by another.
 */
export default defineConfig({
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
        // Documentation comments are in the types; comments on licences stay.
        comments: { jsdoc: false },
        // A page without a bundler asks for every file separately: two are few. Errors are shared with `software` too.
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
