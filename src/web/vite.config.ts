import { defineConfig } from 'vite';

/** Builds the page as static files for any host and path. Paths are relative to this folder. */
export default defineConfig({
  base: './',
  // Checkpoints and shaders are outside this folder.
  server: { fs: { allow: ['../..'] } },
  worker: { format: 'es' },
  build: {
    outDir: '../../dist/web',
    emptyOutDir: true,
    target: 'es2023',
    // Checkpoints must not be inlined as base64.
    assetsInlineLimit: 0,
  },
});
