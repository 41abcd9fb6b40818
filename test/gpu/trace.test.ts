import { describe, expect, test } from 'vitest';
import { Trace, type TraceEvent } from '../../src/gpu/trace.ts';

const eventsOf = (trace: Trace): TraceEvent[] => JSON.parse(trace.toJson()).traceEvents;

describe('a trace of a run', () => {
  test('spans of the host have their names, and times in microseconds from the beginning of the trace', () => {
    const before = performance.now();
    const trace = new Trace();
    trace.host('phase', 'train', before + 5, before + 7.5);
    trace.overlapping('compile', 'gemm/gemm_nt.wgsl', before + 1, before + 3);
    const [phase, begin, end] = eventsOf(trace).filter(({ ph }) => ph !== 'M');
    expect(phase).toMatchObject({ name: 'train', ph: 'X', cat: 'phase', pid: 1 });
    expect(phase.dur).toBeCloseTo(2500, 6);
    expect(phase.ts! - begin.ts!).toBeCloseTo(4000, 6);
    expect([begin.ph, end.ph, begin.id === end.id]).toEqual(['b', 'e', true]);
    expect(end.ts! - begin.ts!).toBeCloseTo(2000, 6);
  });

  test('passes follow the submit to which they belong, whatever the clock of the GPU says, and keep their distances', () => {
    const trace = new Trace();
    const now = performance.now();
    const kernels = [
      { shader: 'gemm/gemm_nt', label: 'fc1 forward' },
      { shader: 'loss/mse', label: 'mse' },
    ];
    // The second run waits 1 ms for the GPU after its submit; the clock of the GPU began an hour earlier.
    const hour = 3_600_000_000_000n;
    trace.passes(now, kernels, new BigUint64Array([hour, hour + 2_000_000n, hour + 2_000_000n, hour + 2_500_000n]));
    trace.passes(
      now + 1,
      kernels,
      new BigUint64Array([2_000_000n, 3_000_000n, 3_000_000n, 3_100_000n].map((t) => hour + t)),
    );
    const passes = eventsOf(trace).filter(({ cat }) => cat === 'kernel');
    expect(passes.map(({ name, args }) => `${args!.shader} ${name}`)).toEqual([
      'gemm/gemm_nt fc1 forward',
      'loss/mse mse',
      'gemm/gemm_nt fc1 forward',
      'loss/mse mse',
    ]);
    trace.host('submit', 'step', now, now);
    const submit = eventsOf(trace).find(({ cat }) => cat === 'submit')!;
    const starts = passes.map(({ ts }) => ts! - submit.ts!);
    for (const [i, expected] of [0, 2000, 2000, 3000].entries()) expect(starts[i]).toBeCloseTo(expected, 0);
    expect(passes.map(({ dur }) => dur)).toEqual([2000, 500, 1000, 100]);
  });

  test('a clock that was set back gives no negative duration', () => {
    const trace = new Trace();
    trace.passes(performance.now(), [{ shader: 's', label: 'l' }], new BigUint64Array([5000n, 4000n]));
    expect(eventsOf(trace).find(({ cat }) => cat === 'kernel')!.dur).toBe(0);
  });

  test('a trace that is full says so and takes no more', () => {
    const trace = new Trace();
    for (let i = 0; i < 200_001; i++) trace.host('submit', 'step', 0, 1);
    expect(trace.isFull).toBe(true);
    const { traceEvents, otherData } = JSON.parse(trace.toJson());
    expect(otherData).toEqual({ truncated: true });
    expect(traceEvents).toHaveLength(200_004);
  });
});
