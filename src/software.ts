/// <reference types="@webgpu/types" preserve="true" />
/** `midas-webgpu/software`: WebGPU on a software adapter in any Node program, with nothing else of this library. */

export { AdapterError } from './errors.ts';
export { openSoftwareWebGpu } from './gpu/node/software.ts';
