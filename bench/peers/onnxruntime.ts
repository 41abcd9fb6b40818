/** onnxruntime-web in WebAssembly, its default without a browser's WebGPU, with as many threads as the machine has cores. */
import { availableParallelism } from 'node:os';
import { type Case, exportedFile, exportedImages } from './cases.ts';
import type { Engine, Runnable } from './engine.ts';

/** The part of the package's types that is used; it is not installed where the project is compiled. */
interface OrtTensor {
  readonly data: Float32Array;
}
interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}
interface Ort {
  readonly env: { readonly versions: { readonly web: string }; readonly wasm: { numThreads: number } };
  readonly InferenceSession: { create(bytes: Uint8Array): Promise<Session> };
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => OrtTensor;
}

/** @param adapter name to give; WebAssembly uses none */
export async function openOnnxruntime(adapter: string): Promise<Engine> {
  const name: string = 'onnxruntime-web';
  const ort = ((await import(name)) as { default: Ort }).default;
  ort.env.wasm.numThreads = availableParallelism();
  return { version: ort.env.versions.web, adapter, build: (compared) => build(ort, compared) };
}

async function build(ort: Ort, compared: Case): Promise<Runnable> {
  if (compared.kind !== 'exported') throw new Error('only networks in ONNX files are compared with onnxruntime-web');
  const session = await ort.InferenceSession.create(exportedFile(compared));
  const images = exportedImages(compared);
  const feeds = { [session.inputNames[0]]: new ort.Tensor('float32', images.values, images.shape) };
  return {
    results: async () => (await session.run(feeds))[session.outputNames[0]].data,
    run: () => session.run(feeds),
    async idle() {},
    free: () => void session.release(),
  };
}
