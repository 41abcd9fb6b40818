import { describe, expect, test } from 'vitest';
import { profileLines } from '../../src/cli/profile.ts';
import type { KernelTime, PhaseProfile } from '../../src/gpu/profiler.ts';

const kernel = (label: string, rest: Partial<KernelTime> = {}): KernelTime => ({
  shader: 'gemm/gemm_nt',
  label,
  calls: 10,
  milliseconds: 20,
  gflops: 1.23456,
  share: 0.02,
  ...rest,
});
const phase = (kernels: readonly KernelTime[], rest: Partial<PhaseProfile> = {}): PhaseProfile => ({
  phase: 'train',
  seconds: 1,
  runs: 10,
  host: { milliseconds: 0.5, share: 0.005 },
  kernels,
  ...rest,
});

describe('the tables of a profile', () => {
  test('the tables are aligned, with the kernels as given, their sum and the host', () => {
    const kernels = [
      kernel('fc1 forward', { milliseconds: 123.45, share: 0.12345 }),
      kernel('sgd', { shader: 'optimizer/sgd', calls: 9, gflops: null, milliseconds: 1, share: 0.001 }),
      kernel('clip grid', { shader: 'optimizer/clip', calls: 1, milliseconds: 0.04, gflops: 120, share: 0 }),
    ];
    expect(profileLines([phase(kernels)])).toEqual([
      '',
      'train: 1.0 s elapsed, 10 submits',
      'kernel                        calls         ms  GFLOP/s   share',
      'gemm/gemm_nt  fc1 forward        10      123.5     1.23  12.3 %',
      'optimizer/sgd                     9        1.0        -   0.1 %',
      'optimizer/clip  grid              1        0.0      120   0.0 %',
      'all kernels                      20      124.5        -  12.4 %',
      'host: 0.50 ms per submit in JavaScript (encoding, submitting), 0.5 %',
    ]);
  });

  test('the tables stay within 100 columns, whatever the labels and the numbers', () => {
    const long = kernel('a layer with a very long name, weight gradient, corrections of stored weights', {
      calls: 123_456_789,
      milliseconds: 12_345_678,
      gflops: 12_345,
      share: 1,
    });
    for (const line of profileLines([phase([long], { runs: 123_456_789 })]))
      expect(line.length).toBeLessThanOrEqual(100);
  });

  test('the tables show the slowest kernels and the sum of the others', () => {
    const kernels = Array.from({ length: 20 }, (_, i) => kernel(`layer ${i}`, { milliseconds: 100 - i }));
    const lines = profileLines([phase(kernels)]);
    expect(lines.filter((line) => line.startsWith('gemm/gemm_nt'))).toHaveLength(16);
    expect(lines.find((line) => line.startsWith('4 more'))).toMatch(/^4 more +40 +330\.0 +- +8\.0 %$/);
    expect(lines.find((line) => line.startsWith('all kernels'))).toMatch(/^all kernels +200 +1810\.0 +- +40\.0 %$/);
  });

  test('the tables say what could not be measured, and leave out phases in which nothing ran', () => {
    const untimed = kernel('fc1 forward', { milliseconds: null, gflops: null, share: null });
    const lines = profileLines([phase([], { phase: 'prepare', runs: 0 }), phase([untimed], { host: null })]);
    expect(lines.join('\n')).not.toContain('prepare');
    expect(lines[1]).toBe('train: 1.0 s elapsed, 10 submits; not all kernels could be timed');
    expect(lines[3]).toMatch(/^gemm\/gemm_nt {2}fc1 forward +10 +- +- +-$/);
    expect(lines.at(-1)).toMatch(/^host: every submit was timed/);
  });
});
