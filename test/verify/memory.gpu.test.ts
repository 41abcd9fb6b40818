import { expect, it } from 'vitest';
import { proveMemory } from '../../src/verify/memory.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();

it('every claim about the memory holds, over a tensor of 2^16 weights', { timeout: 120_000 }, async () => {
  const proofs = [];
  for await (const proof of proveMemory(device.gpu, { rows: 16, bits: 1e6 })) proofs.push(proof);
  expect(proofs.filter(({ ok }) => !ok)).toEqual([]);
  expect(proofs.length).toBeGreaterThan(30);
  expect(new Set(proofs.map(({ claim }) => claim)).size).toBe(proofs.length);
  for (const { pValue } of proofs) if (pValue !== undefined) expect(pValue).toBeGreaterThan(0);
});
