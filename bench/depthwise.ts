/** The depthwise convolution that loads every weight and every pixel for itself, which the engine's kernel is compared with. */

import type { Matrix } from '../src/gpu/arena.ts';
import type { Gpu } from '../src/gpu/device.ts';
import { prepare } from '../src/gpu/dispatch.ts';
import { PipelineCache } from '../src/gpu/pipelines.ts';
import { Program, Recorder } from '../src/gpu/recorder.ts';
import { type ConvShape, convOutputSize } from '../src/kernels/conv_shape.ts';
import { edgesOf, pairOf } from '../src/kernels/geometry.ts';
import { flatGrid } from '../src/kernels/grid.ts';
import { benchShaderSource } from './shader_source.ts';

/** The forward pass with one pixel x 4 channels per invocation. */
export async function buildNaiveDepthwise(
  gpu: Gpu,
  shape: ConvShape,
  { x, weight, y }: { x: Matrix; weight: Matrix; y: Matrix },
): Promise<Program> {
  const { batch, height, width } = shape;
  const small = convOutputSize(shape);
  const [kernels, strides] = [shape.kernelSize, shape.stride].map(pairOf);
  const { top, left } = edgesOf(shape.padding);
  const { workgroups, constants } = flatGrid((y.rows * y.stride) / 4);
  const dispatch = {
    label: 'naive depthwise',
    workgroups,
    shader: {
      path: 'bench/conv2d_depthwise_naive.wgsl',
      constants: {
        ...constants,
        IMAGES: batch,
        A_HEIGHT: height,
        A_WIDTH: width,
        C_HEIGHT: small.height,
        C_WIDTH: small.width,
        KERNEL_Y: kernels[0],
        KERNEL_X: kernels[1],
        STRIDE_Y: strides[0],
        STRIDE_X: strides[1],
        PADDING_Y: top,
        PADDING_X: left,
        STRIDE_A: x.stride,
        STRIDE_B: weight.stride,
        STRIDE_C: y.stride,
      },
    },
    bindings: [
      ['read', x],
      ['read', weight],
      ['write', y],
    ],
  } as const;
  const command = await prepare(gpu, new PipelineCache(gpu, benchShaderSource), dispatch);
  return new Program(gpu, dispatch.label, new Recorder(gpu).step, [command], []);
}
