/**
 * Proves the emulated memory: tests every claim about it by measurements on this adapter. Rates are counted over all bits of a
 * large tensor and tested against their exact binomial distribution; values that should be equal are compared bit for bit.
 * Seeds are fixed, so that the same adapter gives the same numbers.
 */
import type { Gpu } from '../gpu/device.ts';
import { batches, energy, fused, presetReferences } from './memory/engine.ts';
import { everyBit, independent, models, nested, nestedByVoltage, uniformRates } from './memory/faults.ts';
import { integerPredictions } from './memory/integer.ts';
import { corrected, lines } from './memory/lines.ts';
import { measured } from './memory/measured.ts';
import type { Proof, ProofSize } from './memory/proof.ts';
import { Specimen } from './memory/specimen.ts';
import { inverted, reordered } from './memory/stored.ts';

export const FULL_PROOF: ProofSize = { rows: 2048, bits: 1e8 };

/**
 * Tests the claims about the memory and yields one proof per claim. A caller that is interrupted stops between two claims.
 * @throws DeviceLostError
 */
export async function* proveMemory(gpu: Gpu, size: ProofSize = FULL_PROOF): AsyncGenerator<Proof> {
  const specimen = await Specimen.create(gpu, size.rows);
  yield* uniformRates(specimen, size);
  yield* nested(specimen);
  yield* independent(specimen);
  yield* models(specimen);
  yield* lines(specimen);
  yield* corrected(specimen);
  yield* inverted(specimen);
  yield* reordered(specimen);
  specimen.destroy();
  // Claims without chance, which need fewer bits: a read in which every bit errs takes seconds, and there are sixty of measured memory.
  const smaller = await Specimen.create(gpu, Math.min(size.rows, 512));
  yield* everyBit(smaller);
  yield* nestedByVoltage(smaller);
  smaller.destroy();
  yield* measured(gpu);
  yield await presetReferences(gpu);
  yield await fused(gpu);
  yield await batches(gpu);
  yield await integerPredictions(gpu);
  yield energy();
}
