/** `midas memory verify`: tests every claim about the emulated memory on this adapter. */

import { InterruptedError, MidasError } from '../errors.ts';
import type { Proof } from '../verify/memory/proof.ts';
import { FULL_PROOF, proveMemory } from '../verify/memory.ts';
import { openCommandGpu } from './open_gpu.ts';
import type { Session } from './session.ts';

/** Number of claims in a whole proof, for the progress bar. */
const CLAIMS = 39;

/** The object that `midas memory verify --json` prints. */
export interface VerifyReport {
  readonly adapter: string;
  readonly proofs: readonly Proof[];
}

/**
 * Tests every claim and prints a {@link VerifyReport} or its table.
 * @throws MidasError with the number of failed claims, after the output; InterruptedError, DeviceLostError
 */
export async function memoryVerify(session: Session): Promise<void> {
  const { progress } = session;
  const gpu = await openCommandGpu(session);
  const proofs: Proof[] = [];
  try {
    progress.start('proving the memory', CLAIMS);
    for await (const proof of proveMemory(gpu, FULL_PROOF)) {
      if (session.signal.aborted) throw new InterruptedError('interrupted: no results were kept');
      proofs.push(proof);
      progress.advance(1, `${proof.ok ? 'ok' : 'FAILED'}: ${proof.claim}`);
    }
    progress.done();
  } finally {
    await gpu.close();
  }
  const { name } = gpu.adapter;
  const failed = proofs.filter(({ ok }) => !ok);
  const lines = proofs.flatMap(({ claim, measured, pValue, ok }) => [
    `${ok ? 'ok    ' : 'FAILED'}  ${claim}`,
    `        ${measured}${pValue === undefined ? '' : `; p = ${pValue.toPrecision(2)}`}`,
  ]);
  session.answer({ adapter: name, proofs } satisfies VerifyReport, [
    name,
    '',
    ...lines,
    '',
    `${proofs.length - failed.length} of ${proofs.length} claims hold; intervals are exact (Clopper-Pearson, 99.99 %)`,
    'this run checked one adapter only; it did not compare bits between adapters',
  ]);
  if (failed.length > 0) throw new MidasError(`${failed.length} claims about the memory do not hold on ${name}`);
}
