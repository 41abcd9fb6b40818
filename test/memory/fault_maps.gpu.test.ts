import { expect, it } from 'vitest';
import { PRESETS } from '../../src/memory/presets.ts';
import { faultMapHashes } from '../support/fault_maps.ts';
import { useGpu } from '../support/gpu.ts';
import { readFixture } from '../support/platform.ts';

const device = useGpu();

it('the fault map of every preset has the same SHA-256 on every adapter', async () => {
  const hashes = await faultMapHashes(device.gpu);
  expect(Object.keys(hashes)).toEqual(PRESETS.map(({ name }) => name));
  // Different memories fail in different bits, except where none of these bits fails.
  expect(new Set(Object.values(hashes)).size).toBeGreaterThan(PRESETS.length / 2);
  expect(hashes).toEqual(JSON.parse(new TextDecoder().decode(readFixture('fault-maps.json'))));
}, 240_000);
