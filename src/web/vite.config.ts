import { defineConfig } from 'vite';

/** The page: static files for any host, at any path of it. Paths are relative to this folder. */
export default defineConfig({
  base: './',
  // Checkpoints and shaders lie beside the page's own sources.
  server: { fs: { allow: ['../..'] } },
  worker: { format: 'es' },
  build: {
    outDir: '../../dist/web',
    emptyOutDir: true,
    target: 'es2023',
    // Of the checkpoints nothing is to become base64.
    assetsInlineLimit: 0,
  },
});
