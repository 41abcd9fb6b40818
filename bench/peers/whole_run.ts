/** A whole experiment, `midas shallow --preset quick`, beside the same written for PyTorch on the processor (shallow_quick.py). */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { MidasError } from '../../src/errors.ts';
import { parseResults } from '../../src/results/results.ts';
import { midas } from '../commands.ts';
import { failedRow, makeRow, type Row } from '../rows.ts';
import { ratios } from '../timing.ts';

const SCRIPT = fileURLToPath(new URL('shallow_quick.py', import.meta.url));
const NAME = 'shallow --preset quick --evaluator linear';

/** Most rounds: one takes minutes. */
const MOST_ROUNDS = 3;

/** Largest difference of an accuracy or a PCC between two experiments with different seeds, 0..1. */
const LARGEST_DIFFERENCE = 0.1;

/** What both must find about the undefended model: its accuracy, and the mean PCC of the pictures from black and from the mean face. */
interface Found {
  readonly accuracy: number;
  readonly zero: number;
  readonly mean: number;
}

/**
 * Runs both in turns, wall time. Our part includes the rendering of the faces; PyTorch's reads them from files.
 * @param python of findPytorch
 * @throws MidasError if one of them fails
 */
export async function benchWholeRun(
  adapter: string,
  python: string,
  rounds: number,
  say: (text: string) => void,
): Promise<Row[]> {
  const scratch = mkdtempSync(join(tmpdir(), 'midas-whole-run-'));
  try {
    for (const population of ['private', 'public']) {
      const size = ['--people', '40', '--photos', '10', '--size', '56x64', '--adapter', adapter];
      await midas(['data', 'synth', '--population', population, ...size], join(scratch, `${population}.safetensors`));
    }
    const times = { midas: [] as number[], pytorch: [] as number[] };
    const differences: string[] = [];
    for (let round = 0; round < Math.min(rounds, MOST_ROUNDS); round++) {
      say(`${NAME}: round ${round + 1}`);
      const out = join(scratch, `run-${round}`);
      const { seconds } = await midas(
        ['shallow', '--preset', 'quick', '--evaluator', 'linear', '--adapter', adapter],
        out,
      );
      const ours = foundBy(join(out, 'results.json'));
      times.midas.push(seconds);
      say(`${NAME}: round ${round + 1}, PyTorch`);
      const peer = await runScript(python, scratch);
      times.pytorch.push(peer.seconds);
      for (const name of ['accuracy', 'zero', 'mean'] as const) {
        const [a, b] = [ours[name], peer.found[name]];
        if (Math.abs(a - b) > LARGEST_DIFFERENCE) differences.push(`${name} ${a.toFixed(2)}, PyTorch ${b.toFixed(2)}`);
      }
    }
    if (differences.length > 0) return [failedRow(NAME, 's', `another result: ${differences.join('; ')}`)];
    return [
      makeRow(`${NAME}: midas`, times.midas, 's'),
      makeRow(`${NAME}: pytorch`, times.pytorch, 's'),
      makeRow(`${NAME}: times faster than pytorch`, ratios(times.pytorch, times.midas), 'times'),
    ];
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function foundBy(file: string): Found {
  const { summary } = parseResults(JSON.parse(readFileSync(file, 'utf8')), file);
  const of = (attack: string) => summary.find((entry) => entry.condition.kind === 'none' && entry.attack === attack)!;
  const [zero, mean] = [of('mi-face zero'), of('mi-face mean')];
  return { accuracy: zero.accuracy.mean, zero: zero.pcc.mean!, mean: mean.pcc.mean! };
}

async function runScript(python: string, folder: string): Promise<{ seconds: number; found: Found }> {
  const began = performance.now();
  const child = spawn(python, [SCRIPT, folder], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  const [said, failed, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  if (code !== 0) throw new MidasError(`${SCRIPT} ended with ${code}: ${failed.trim().split('\n').pop()}`);
  const seconds = (performance.now() - began) / 1000;
  const { none } = JSON.parse(said) as { none: { accuracy: number; zero: { pcc: number }; mean: { pcc: number } } };
  return { seconds, found: { accuracy: none.accuracy, zero: none.zero.pcc, mean: none.mean.pcc } };
}
