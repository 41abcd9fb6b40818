/** Other adapters than the one that most tests run on: one of another compiler, and one that offers as little as WebGPU allows. */
import { type Gpu, openGpu } from '../../src/gpu/device.ts';
import { findNodeEntry, OPENGLES } from '../../src/gpu/node/software.ts';
import { fileShaderSource, openNodeGpu, rest } from '../../src/gpu/node.ts';

/** The limits that every adapter of the core has: the defaults of https://www.w3.org/TR/webgpu/#limits. */
const LIMITS: Partial<Record<keyof GPUSupportedLimits, number>> = {
  maxBufferSize: 256 * 2 ** 20,
  maxStorageBufferBindingSize: 128 * 2 ** 20,
  maxStorageBuffersPerShaderStage: 8,
  maxComputeWorkgroupStorageSize: 16 * 2 ** 10,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
};

/** Opens SwiftShader as if it offered no optional feature and no more than the default limits; Dawn refuses whatever needs more. */
export async function openPoorGpu(): Promise<Gpu> {
  const entry = await findNodeEntry('software');
  const adapter = (await entry.requestAdapter())!;
  const poor: Partial<GPUAdapter> = {
    features: new Set() as unknown as GPUSupportedFeatures,
    limits: LIMITS as unknown as GPUSupportedLimits,
    info: adapter.info,
    requestDevice: (descriptor) => adapter.requestDevice(descriptor),
  };
  return openGpu({ requestAdapter: async () => poor } as unknown as GPU, { shaders: fileShaderSource, rest });
}

/** Opens Mesa's llvmpipe through OpenGL ES; where it is not installed, prints so and returns undefined. */
export async function openOpenGlGpu(): Promise<Gpu | undefined> {
  try {
    return await openNodeGpu({ adapter: OPENGLES });
  } catch (error) {
    console.error(`a test on OpenGL ES skipped: ${(error as Error).message}`);
    return undefined;
  }
}
