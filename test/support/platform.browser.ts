/// <reference types="vite/client" />
/** The functions of the platform that tests need; in a browser this file replaces platform.ts. */
import { bundledShaders } from '../../src/gpu/web.ts';

export { openWebGpu as openTestGpu } from '../../src/gpu/web.ts';
export const shaderSource = bundledShaders!;

// Fixtures are fetched before any test is defined, because some tests are generated from their content.
const urls = import.meta.glob<string>(
  ['fixtures/*.{json,safetensors}', 'fixtures/networks/*.{json,safetensors,onnx}'],
  {
    query: '?url',
    import: 'default',
    eager: true,
  },
);
const files = new Map<string, Uint8Array>();
for (const [path, url] of Object.entries(urls)) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${answer.statusText}`);
  files.set(path.slice(path.lastIndexOf('fixtures/') + 'fixtures/'.length), new Uint8Array(await answer.arrayBuffer()));
}

/**
 * Reads a file of the folder that vitest.config.ts calls fixtures.
 * @throws Error when the folder has no such file
 */
export function readFixture(name: string): Uint8Array {
  const bytes = files.get(name);
  if (!bytes) throw new Error(`no fixture ${name} is among ${[...files.keys()].join(', ')}`);
  return bytes;
}
