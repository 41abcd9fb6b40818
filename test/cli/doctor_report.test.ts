import { expect, it } from 'vitest';
import { type DoctorReport, reportLines } from '../../src/cli/doctor.ts';

const report: DoctorReport = {
  adapter: { name: 'some GPU', vendor: '', architecture: '', software: false },
  limits: {},
  features: [],
  kernels: [{ kernel: 'row_norm', maxError: 0, tolerance: 0, ok: true }],
  fmaCeilingGflops: 30,
  copyGbps: 2.4,
  hashDrawsPerSecond: 1e8,
  gemm512Gflops: 12,
  demoSecondsEstimate: 90,
};

it('the report prints both ceilings and the intensity at which they meet', () => {
  const value = (name: string) => {
    const line = reportLines(report).find((text) => text.startsWith(`${name} `));
    return line?.slice(name.length).trim();
  };
  expect(value('FMA ceiling')).toBe('30 GFLOP/s');
  expect(value('copy')).toBe('2.4 GB/s');
  expect(value('ridge point')).toBe('12.5 FLOP per byte, where these two meet');
  expect(value('GEMM 512^3')).toBe('12 GFLOP/s, 40 % of the FMA ceiling');
});
