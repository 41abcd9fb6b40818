/// <reference types="@webgpu/types" preserve="true" />
/**
 * `midas-webgpu/node`: the library for Node. Its `openGpu` opens a device on Dawn (the npm package `webgpu`) instead of a
 * browser's WebGPU; everything else is the same as in `midas-webgpu`.
 */

export { type NodeGpuOptions, openNodeGpu as openGpu } from './gpu/node.ts';
export * from './index.ts';
