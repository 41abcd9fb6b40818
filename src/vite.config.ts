import { defineConfig } from 'vite';

/** The library: one module with its shaders and packages inside, which a page imports with or without a bundler. */
export default defineConfig({
  build: {
    outDir: 'dist/lib',
    target: 'es2022',
    minify: false,
    lib: { entry: 'src/index.ts', formats: ['es'], fileName: 'index' },
  },
});
