import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { fileShaderSource } from '../../src/gpu/node.ts';
import { PipelineCache } from '../../src/gpu/pipelines.ts';
import { checkedKernels, type KernelCheck, selfCheck } from '../../src/verify/kernels.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();
const SHADERS = fileURLToPath(new URL('../../shaders/', import.meta.url));

const shaderFiles = readdirSync(SHADERS, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.wgsl'),
);

/** The given files and all files that they include, directly or through others. */
function withIncludes(files: Iterable<string>): Set<string> {
  const all = new Set(files);
  for (const file of all) {
    const text = readFileSync(join(SHADERS, file), 'utf8');
    for (const [, included] of text.matchAll(/^\s*#include "([^"]+\.wgsl)"/gm)) all.add(included);
  }
  return all;
}

describe('the self check of doctor', () => {
  let checks: KernelCheck[];
  const seen: string[] = [];
  beforeAll(async () => {
    checks = await selfCheck(device.gpu, { onCompiled: (kernel) => seen.push(kernel) });
  });

  it('the self check finds every kernel right', () => {
    expect(checks.filter(({ ok }) => !ok)).toEqual([]);
    for (const { kernel, maxError, tolerance } of checks) {
      expect(maxError, kernel).toBeGreaterThanOrEqual(0);
      expect(maxError, kernel).toBeLessThanOrEqual(tolerance);
    }
  });

  it('the self check covers every shader file: entry points, what fills their slots, and what they include', () => {
    expect(shaderFiles.length).toBeGreaterThan(40);
    const covered = withIncludes(checks.flatMap(({ shaders }) => [...shaders]));
    const unchecked = shaderFiles.filter((path) => !covered.has(path));
    expect(unchecked, 'add a check of these shaders to src/verify/kernels/').toEqual([]);
  });

  it('the self check reports each kernel once, in the order that it announces', () => {
    expect(checks.map(({ kernel }) => kernel)).toEqual(checkedKernels(device.gpu));
    expect(new Set(seen).size).toBe(checks.length);
    expect(seen.toSorted()).toEqual(checkedKernels(device.gpu).sort());
  });
});

describe('a kernel that is wrong', () => {
  const breakShader = (path: string, from: string, to: string) => {
    const read = async (wanted: string) => {
      const text = await fileShaderSource.read(wanted);
      if (wanted !== path) return text;
      expect(text).toContain(from);
      return text.replace(from, to);
    };
    Object.assign(device.gpu, { pipelines: new PipelineCache(device.gpu, { read }) });
  };
  const kernels = ['row_norm', 'sharpen', 'copy'];

  it('a wrong kernel fails with its error, and no other kernel fails', async () => {
    breakShader('image/sharpen.wgsl', 'AMOUNT * (', '1.001 * AMOUNT * (');
    const checks = await selfCheck(device.gpu, { kernels });
    expect(checks.map(({ kernel, ok }) => [kernel, ok])).toEqual([
      ['row_norm', true],
      ['sharpen', false],
      ['copy', true],
    ]);
    expect(checks[1].maxError).toBeGreaterThan(checks[1].tolerance);
  });

  it('a kernel fails when it forgets an element or writes into a pad', async () => {
    breakShader('image/sharpen.wgsl', 'y[i] = 0.0;', 'y[i] = 1e-30;');
    expect((await selfCheck(device.gpu, { kernels }))[1]).toMatchObject({ ok: false, tolerance: 0 });
    breakShader('image/sharpen.wgsl', 'let left =', 'if (pixel == 40u) { return; } let left =');
    const forgotten = (await selfCheck(device.gpu, { kernels }))[1];
    expect(forgotten.ok).toBe(false);
    expect(forgotten.maxError).toBeGreaterThan(90);
  });

  it('a kernel that does not compile fails with the message of the compiler', async () => {
    breakShader('image/sharpen.wgsl', 'let left =', 'let left: f32 =');
    const checks = await selfCheck(device.gpu, { kernels });
    expect(checks.map(({ ok }) => ok)).toEqual([true, false, true]);
    expect(checks[1].failure).toMatch(/^shaders\/image\/sharpen\.wgsl:\d+: /);
    expect(checks[1].maxError).toBeNaN();
  });
});
