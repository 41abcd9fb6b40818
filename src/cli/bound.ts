/** `midas bound`: the error of reconstructing a training photograph that no attacker can fall below under random errors. */
import { join } from 'node:path';
import { writeFileAtomic } from '../data/node/files.ts';
import { ConfigError } from '../errors.ts';
import { type BoundReport, boundErrors, type LogError } from '../experiments/bound.ts';
import type { BoundOptions } from '../experiments/bound_options.ts';
import { InMemoryRunStore } from '../experiments/store.ts';
import type { Asked } from './asked_experiment.ts';
import { measuring } from './measuring.ts';
import type { Session } from './session.ts';

/**
 * Writes bound.json.
 * @throws ConfigError, DataError, AdapterError, LimitError, DeviceLostError, InterruptedError
 */
export async function boundCommand(session: Session, asked: Asked, wanted: BoundOptions): Promise<void> {
  if (wanted.replaced < 1) throw new ConfigError('--replaced: give at least 1');
  if (wanted.reads.some((reads) => reads < 1)) throw new ConfigError('--reads: give numbers of at least 1');
  const { progress, signal, options } = session;
  const run = { store: new InMemoryRunStore(), progress, signal };
  await measuring(session, asked, async (gpu, data, manifest) => {
    const rows = await boundErrors(gpu, data, asked.config, run, wanted);
    const result = { manifest: manifest(), ...wanted, rows };
    const path = join(options.out, 'bound.json');
    await writeFileAtomic(path, `${JSON.stringify(result, null, 1)}\n`);
    session.answer(result, [...boundLines(rows, wanted.secret), `bound: ${path}`]);
  });
}

/** A sentence on the scale, and two lines for every condition. */
export function boundLines(rows: readonly BoundReport[], secret: BoundOptions['secret']): string[] {
  if (rows.length === 0) return ['no condition with independent errors changes what is read: nothing is bounded'];
  return [
    `Least mean squared error per pixel (0..1) with which an attacker who reads the weights sees the training photograph${
      secret === 'person' ? 's of a person' : ''
    }:`,
    ...rows.flatMap(lineOf),
  ];
}

function lineOf({
  label,
  reads,
  any,
  unbiased,
  guess,
  bits,
  weights,
  exact,
  tolerable,
  vacuous,
}: BoundReport): string[] {
  const changed =
    bits > 0
      ? `${bits} stored bits differ${tolerable === undefined ? '' : `; the bound says something if at most ${tolerable} do`}`
      : `${weights} weights differ`;
  const outside = exact > 0 ? `; ${exact} weights or scales that differ are read exactly` : '';
  return [
    `${label}, ${reads} ${reads === 1 ? 'read' : 'reads'}: ${text(any)} (a guess: ${text(guess)}; without bias: ${text(unbiased)})` +
      (vacuous ? ': says nothing' : ''),
    `  ${changed}${outside}`,
  ];
}

function text(error: LogError): string {
  if (typeof error === 'string') return error === 'zero' ? '0' : error;
  return error > -5 ? (10 ** error).toPrecision(3) : `10^${error.toFixed(0)}`;
}
