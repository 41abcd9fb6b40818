import { afterEach, expect, it } from 'vitest';
import { secdedCheck, secdedDecode } from '../../src/memory/secded.ts';
import { Random } from '../../src/random.ts';
import { allErrors, randomErrors, wordsOf } from '../../src/reference/secded.ts';
import { Bench, useGpu } from '../support/gpu.ts';
import { runShader } from '../support/shader.ts';

const device = useGpu();
let bench: Bench;
afterEach(() => bench?.arena.destroy());

/** Evaluates a WGSL expression of `input`, one vec4u of the data, that gives another vec4u. */
async function map(input: Uint32Array<ArrayBuffer>, expression: string): Promise<Uint32Array> {
  const { gpu } = device;
  bench = new Bench(gpu);
  const output = bench.arena.allocate('output', input.byteLength);
  await runShader(
    gpu,
    `#include "memory/secded.wgsl"
@group(0) @binding(0) var<storage, read> words: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4u>;
fn decoded(input: vec4u) -> vec4u {
  let word = secded_decode(input.xy, input.z);
  return vec4u(word.error, u32(word.detected), 0u);
}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= ${input.length / 4}u) { return; }
  let input = words[id.x];
  out[id.x] = ${expression};
}`,
    [
      ['read', bench.buffer(input)],
      ['write', output],
    ],
    Math.ceil(input.length / 256),
  );
  return gpu.readWords(output);
}

/** Fails unless all words are equal. Vitest's own comparison of long arrays is slow. */
function expectSame(actual: Uint32Array, expected: Uint32Array): void {
  expect(actual.length).toBe(expected.length);
  expect(actual.findIndex((word, i) => word !== expected[i])).toBe(-1);
}

it('SECDED decodes as its reference: no error, all single, double and triple errors, random ones of every weight', async () => {
  const random = new Random(1);
  const patterns = [0, 1, 2, 3].flatMap((weight) => [...allErrors(weight)]);
  for (let i = 0; i < 2 ** 16; i++) patterns.push(randomErrors(random, i % 73));
  const input = new Uint32Array(4 * patterns.length);
  const expected = new Uint32Array(4 * patterns.length);
  patterns.forEach((errors, i) => {
    const words = wordsOf(errors);
    const { low, high, outcome } = secdedDecode(...words);
    input.set(words, 4 * i);
    expected.set([low, high, outcome === 'detected' ? 1 : 0], 4 * i);
  });
  expectSame(await map(input, 'decoded(input)'), expected);
});

it('SECDED has the check bits of its reference for random words', async () => {
  const random = new Random(2);
  const input = Uint32Array.from({ length: 4 * 2 ** 16 }, () => random.nextU32());
  const expected = new Uint32Array(input.length);
  for (let i = 0; i < input.length; i += 4) expected[i] = secdedCheck(input[i], input[i + 1]);
  expectSame(await map(input, 'vec4u(secded_check(input.xy), 0u, 0u, 0u)'), expected);
});
