import { defineConfig, type Plugin, runnerImport } from 'vite';

/**
 * Finishes index.html. Opened from a file, the page then still has its style, which browsers refuse with `crossorigin`; and where
 * MIDAS_PAGE_URL says where the page will be, the preview image has the absolute address that social networks ask for.
 */
const finish: Plugin = {
  name: 'finish-index',
  enforce: 'post',
  transformIndexHtml: (html) => {
    const plain = html.replaceAll(' crossorigin', '');
    const url = process.env.MIDAS_PAGE_URL;
    if (!url) return plain;
    return plain.replace(/(property="og:image" content=")([^"]+)/, (_, start, path) => start + new URL(path, url));
  },
};

/** Leaves the comments of shaders out, a tenth of what the page loads. Lines stay where they are, for messages of the compiler. */
const shaders: Plugin = {
  name: 'shaders-without-comments',
  // The text is a string of JavaScript here, whose lines end in a backslash and an n.
  transform: (code, id) => (id.endsWith('.wgsl?raw') ? code.replace(/ *\/\/.*?\\n/g, '\\n') : undefined),
};

/** True for what JSON keeps as it is. */
function isPlain(value: unknown): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (Array.isArray(value)) return value.every(isPlain);
  return (
    typeof value === 'object' &&
    Object.getPrototypeOf(value) === Object.prototype &&
    Object.values(value).every((each) => each === undefined || isPlain(each))
  );
}

/** Replaces choices.ts by its values, so that the page does not load the registries of the engine. */
const choices: Plugin = {
  name: 'choices',
  async load(id) {
    if (!id.endsWith('/src/web/choices.ts')) return undefined;
    const { module } = await runnerImport<Record<string, unknown>>(id);
    const lines = Object.entries(module).map(([name, value]) => {
      if (!isPlain(value)) throw new Error(`choices.ts: ${name} is no plain value`);
      return `export const ${name} = ${JSON.stringify(value)};`;
    });
    return lines.join('\n');
  },
};

/** Builds the page as static files for any host and any path. Paths are relative to this folder. */
export default defineConfig({
  base: './',
  plugins: [finish, shaders, choices],
  // Checkpoints and shaders are outside this folder.
  server: { fs: { allow: ['../..'] } },
  // The engine, and with it the shaders, runs in a worker.
  worker: { format: 'es', plugins: () => [shaders] },
  build: {
    outDir: '../../dist/web',
    emptyOutDir: true,
    target: 'es2023',
    // Checkpoints and pictures must not be inlined as base64, which a strict Content-Security-Policy refuses.
    assetsInlineLimit: 0,
  },
});
