/** `midas plan` as a user meets it. */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { midas } from '../support/command_line.ts';

describe('the plan of the deep experiment', () => {
  const options = ['--adapter', 'software', '--quiet'];

  it('the plan has parameters, memory, operations and time of both networks', async () => {
    const { code, stdout, stderr } = await midas('plan', 'deep', '--preset', 'paper', '--json', ...options);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const answer = JSON.parse(stdout);
    expect(answer).toMatchObject({
      people: 530,
      adapter: { software: true },
      victim: { model: 'yang-classifier 64x64, ndf 128, nz 530', parameters: 51025344, images: 17340 },
      inversion: { model: 'yang-inversion 64x64, ngf 128, nz 530', parameters: 19701377 },
    });
    expect(answer.gemm512Gflops).toBeGreaterThan(0);
    expect(answer.limits.maxBufferSize).toBeGreaterThanOrEqual(2 ** 28);
    expect(answer.victim.beyondDefaults).toContainEqual({ label: 'parameters', bytes: answer.victim.parameterBytes });
    expect(answer.seconds).toBeCloseTo(answer.victim.seconds + answer.inversion.seconds, 3);
  });

  it('the plan is printed as a table without --json', async () => {
    const { code, stdout } = await midas('plan', 'deep', '--people', '12', '--images', '100', ...options);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^victim +yang-classifier 32x32, ndf \d+, nz 12$/m);
    expect(stdout).toMatch(/^device memory +[\d.]+ MiB while it is trained$/m);
    expect(stdout).toMatch(/^training of 2 networks: about /m);
    expect(stdout).not.toContain('requested');
  });

  it('the plan of a network that is trained already counts no training of it', async () => {
    const victim = fileURLToPath(new URL('../fixtures/networks/lenet.onnx', import.meta.url));
    const { code, stdout } = await midas('plan', 'shallow', '--victim', victim, '--json', ...options);
    expect(code).toBe(0);
    const answer = JSON.parse(stdout);
    expect(answer.victim).toEqual({
      name: 'victim',
      model: expect.stringMatching(/^lenet, /),
      given: true,
      parameters: expect.any(Number),
      parameterBytes: expect.any(Number),
      largestTensor: expect.anything(),
      inferenceFlops: expect.any(Number),
    });
    expect(answer.seconds).toBe(0);
  });

  it.each([
    ['one person', ['--people', '1'], /--people 1: a classifier needs at least 2/],
    ['no images', ['--public-images', '0'], /--public-images 0: there is nothing to train on/],
    ['an unknown preset', ['--preset', 'huge'], /--preset huge: choose one of tiny, small, paper/],
  ] as const)('the plan refuses %s', async (_, args, message) => {
    const result = await midas('plan', 'deep', ...args, ...options);
    expect(result.stderr).toMatch(message);
    expect(result.code).toBe(2);
    expect(result.stdout).toBe('');
  });
});
