/** Dispatches, as kernel launchers describe them, and commands: dispatches that are compiled and bound for a pass. */
import type { ShaderRequest } from './composer.ts';
import type { BufferView, GuardedDevice } from './guarded_device.ts';
import type { Access, PipelineCache } from './pipelines.ts';

/** One dispatch as a kernel launcher describes it. Bindings are in the order of the shader's @binding numbers. */
export interface Dispatch {
  readonly label: string;
  readonly shader: ShaderRequest;
  readonly bindings: readonly (readonly [Access, BufferView])[];
  /** Workgroups in x, y, z; each at most 65535. */
  readonly workgroups: readonly [number, number, number];
  /** Floating-point operations, for the profiler. */
  readonly flops?: number;
  /** Ways to compute the same bits, among which a {@link Tuner} may choose; `shader` and `workgroups` are the default. */
  readonly tuning?: DispatchTuning;
}

/** The variants of a dispatch. */
export interface DispatchTuning {
  /** The key of a choice: the operation, and the class of its shape. It does not affect results. */
  readonly key: string;
  /** The default first. */
  readonly variants: readonly DispatchVariant[];
}

export interface DispatchVariant extends Pick<Dispatch, 'shader' | 'workgroups'> {
  readonly name: string;
}

/** A dispatch that {@link encode} can put into a pass. */
export interface Command extends Dispatch {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
}

/** Compiles a dispatch and binds its buffers. @throws ShaderError when its kernel does not compile, DeviceLostError */
export async function prepare(
  { device }: Pick<GuardedDevice, 'device'>,
  pipelines: PipelineCache,
  dispatch: Dispatch,
): Promise<Command> {
  const { label, shader, bindings } = dispatch;
  const access = bindings.map(([use]) => use);
  const { pipeline, layout } = await pipelines.get(shader, access);
  const bindGroup = device.createBindGroup({
    label,
    layout,
    entries: bindings.map(([, { buffer, offset, size }], binding) => ({ binding, resource: { buffer, offset, size } })),
  });
  return { ...dispatch, pipeline, bindGroup };
}

/** Adds a command to a pass. */
export function encode(pass: GPUComputePassEncoder, command: Command): void {
  pass.setPipeline(command.pipeline);
  pass.setBindGroup(0, command.bindGroup);
  pass.dispatchWorkgroups(...(command.workgroups as [number, number, number]));
}
