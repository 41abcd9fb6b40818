/// <reference types="@webgpu/types" preserve="true" />
/**
 * `midas-webgpu/node`: the same library in Node, where a device is opened on Dawn (the npm package `webgpu`) instead of a
 * browser's WebGPU. Everything else is the same as in `midas-webgpu`.
 */

export { type NodeGpuOptions, openNodeGpu as openGpu } from './gpu/node.ts';
export * from './index.ts';
