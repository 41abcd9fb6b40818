import type { Gpu } from '../../src/gpu/device.ts';
import type { BufferView } from '../../src/gpu/guarded_device.ts';
import { type Access, PipelineCache } from '../../src/gpu/pipelines.ts';
import { shaderSource } from './platform.ts';

/**
 * Runs a shader written in a test, which may include the project's own: `#include "common/hash.wgsl"`.
 *
 * @param bindings buffers in the order of @binding numbers
 */
export async function runShader(
  gpu: Gpu,
  text: string,
  bindings: readonly (readonly [Access, BufferView])[],
  workgroups: number,
): Promise<void> {
  const path = 'shader of a test.wgsl';
  const cache = new PipelineCache(gpu, { read: async (name) => (name === path ? text : shaderSource.read(name)) });
  const { pipeline, layout } = await cache.get(
    { path },
    bindings.map(([access]) => access),
  );
  const entries = bindings.map(([, { buffer, offset, size }], binding) => ({
    binding,
    resource: { buffer, offset, size },
  }));
  const encoder = gpu.device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, gpu.device.createBindGroup({ layout, entries }));
  pass.dispatchWorkgroups(workgroups);
  pass.end();
  gpu.submit(encoder);
}
