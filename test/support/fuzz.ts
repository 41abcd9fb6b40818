/**
 * Feeds a loader with mutations of good files: bits flipped, numbers replaced, parts cut, repeated and spliced. Everything
 * depends on a seed. Each outcome must be a value or a typed error of one line, within bounds of time and memory.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MidasError } from '../../src/errors.ts';
import { Random } from '../../src/random.ts';

/** Seconds of processor time that one input may take. The clock on the wall also counts other programs. */
const MAX_SECONDS = 2;
/** Bytes by which the process may grow. */
const MAX_GROWTH = 2 ** 30;
/** The bound of a message on a terminal. */
const MAX_MESSAGE = 500;
/** Failures that are kept; the rest is only counted. */
const MAX_KEPT = 5;

/** Numbers at which sizes and signs go wrong. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

export interface FuzzCounts {
  readonly tried: number;
  readonly values: number;
  readonly errors: number;
  readonly failed: number;
  /** The first failures, each with the file that holds its input. */
  readonly failures: readonly string[];
  /** Largest processor time of an input, seconds. */
  readonly slowest: number;
}

/**
 * Calls a loader with mutated files.
 * @param load the loader; a promise is awaited
 * @param files good files, from which the mutations are made; small ones are mutated where it matters more often
 * @param inputs number of mutations
 * @param seed of the mutations
 */
export async function fuzz(
  load: (bytes: Uint8Array) => unknown,
  files: readonly Uint8Array[],
  inputs: number,
  seed: number,
): Promise<FuzzCounts> {
  const random = new Random(seed);
  const failures: string[] = [];
  const counts = { values: 0, errors: 0, failed: 0, slowest: 0 };
  let folder: string | undefined;
  const before = process.resourceUsage().maxRSS;
  for (let i = 0; i < inputs; i++) {
    const input = mutated(random, files);
    const started = process.cpuUsage();
    let problem: string | undefined;
    try {
      await load(input);
      counts.values++;
    } catch (error) {
      problem = problemOf(error);
      counts.errors++;
    }
    const { user, system } = process.cpuUsage(started);
    const seconds = (user + system) / 1e6;
    counts.slowest = Math.max(counts.slowest, seconds);
    if (seconds > MAX_SECONDS) problem ??= `took ${seconds.toFixed(1)} s`;
    const grown = 1024 * (process.resourceUsage().maxRSS - before);
    if (grown > MAX_GROWTH && counts.failed === 0) problem ??= `the process grew by ${grown} bytes`;
    if (problem === undefined) continue;
    counts.failed++;
    if (failures.length < MAX_KEPT) {
      folder ??= mkdtempSync(join(tmpdir(), 'midas-fuzz-'));
      const file = join(folder, `${i}.bin`);
      writeFileSync(file, input);
      failures.push(`${problem}: ${file}`);
    }
  }
  return { tried: inputs, failures, ...counts };
}

/** What is wrong with an error; undefined for a typed one of one printable line. */
export function problemOf(error: unknown): string | undefined {
  if (!(error instanceof MidasError)) {
    const { stack = String(error) } = error as Error;
    return `an error that is not typed: ${stack.split('\n').slice(0, 3).join(' ')}`;
  }
  if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(error.message))
    return `a message of more than one printable line: ${JSON.stringify(error.message)}`;
  if (error.message.length > MAX_MESSAGE) return `a message of ${error.message.length} characters: ${error.message}`;
  return undefined;
}

/** A file after one to four changes. */
export function mutated(random: Random, files: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let bytes = new Uint8Array(files[random.uniformInt(files.length)]);
  for (let changes = 1 + random.uniformInt(4); changes > 0; changes--) bytes = changed(random, bytes, files);
  return bytes;
}

function changed(
  random: Random,
  bytes: Uint8Array<ArrayBuffer>,
  files: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const below = (limit: number) => random.uniformInt(Math.max(1, limit));
  const at = below(bytes.length);
  const length = 1 + below(below(2) === 0 ? 16 : bytes.length - at);
  switch (below(9)) {
    case 0: // A bit.
      if (bytes.length > 0) bytes[at] ^= 1 << below(8);
      return bytes;
    case 1: // A byte.
      if (bytes.length > 0) bytes[at] = below(256);
      return bytes;
    case 2: // A number at an edge, of one, two, four or eight bytes.
    case 3:
      return withNumber(bytes, at, EDGES[below(EDGES.length)], 2 ** below(4), below(2) === 0);
    case 4: // The end is missing.
      return bytes.slice(0, at);
    case 5: // A part is missing.
      return joined(bytes.subarray(0, at), bytes.subarray(at + length));
    case 6: // A part is there again.
      return joined(bytes.subarray(0, at + length), bytes.subarray(at));
    case 7: // A part is replaced by another of the same file.
      bytes.copyWithin(below(bytes.length), at, at + length);
      return bytes;
    default: {
      // The end is that of another file.
      const other = files[below(files.length)];
      return joined(bytes.subarray(0, at), other.subarray(below(other.length)));
    }
  }
}

function withNumber(
  bytes: Uint8Array<ArrayBuffer>,
  at: number,
  value: number,
  width: number,
  littleEndian: boolean,
): Uint8Array<ArrayBuffer> {
  if (at + width > bytes.length) return bytes;
  const view = new DataView(bytes.buffer);
  if (width === 1) view.setUint8(at, value);
  else if (width === 2) view.setUint16(at, value, littleEndian);
  else if (width === 4) view.setUint32(at, value, littleEndian);
  else view.setBigUint64(at, BigInt(value) << (value > 0xffff ? 32n : 0n), littleEndian);
  return bytes;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}
