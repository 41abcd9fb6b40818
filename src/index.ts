/// <reference types="@webgpu/types" preserve="true" />
/**
 * `midas-webgpu`: the library for other projects. {@link openGpu} opens a device, {@link experiments.run} runs a whole
 * experiment, and the other namespaces contain its parts. README.md has an example. In Node import `midas-webgpu/node`.
 */

export * from './errors.ts';
export { Arena, type Matrix } from './gpu/arena.ts';
export type { Gpu } from './gpu/device.ts';
export type { AdapterSummary, BufferView } from './gpu/guarded_device.ts';
export { openWebGpu as openGpu } from './gpu/web.ts';
export * as attacks from './library/attacks.ts';
export * as data from './library/data.ts';
export * as defences from './library/defences.ts';
export * as experiments from './library/experiments.ts';
export * as memory from './library/memory.ts';
export * as metrics from './library/metrics.ts';
export * as models from './library/models.ts';
export * as results from './library/results.ts';
