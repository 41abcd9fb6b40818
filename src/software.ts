/// <reference types="@webgpu/types" preserve="true" />
/** `midas-webgpu/software`: opens WebGPU on a software adapter in any Node program, without the rest of this library. */

export { AdapterError } from './errors.ts';
export { openSoftwareWebGpu } from './gpu/node/software.ts';
