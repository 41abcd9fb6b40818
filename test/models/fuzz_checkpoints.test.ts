/** Loaders of checkpoints on mutated files: a short part in every run, 10^5 inputs and more in long runs. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unzipSync, zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { readTensorFile } from '../../src/formats/tensor_file.ts';
import { readCheckpoint, writeCheckpoint } from '../../src/models/checkpoint.ts';
import { importNetwork } from '../../src/models/recognise.ts';
import { fuzz, problemOf } from '../support/fuzz.ts';
import { longTest } from '../support/long.ts';
import { dict, legacy, legacyStorage, six, tensor } from '../support/pickles.ts';

const CASES = fileURLToPath(new URL('../fixtures/cases/', import.meta.url));
const filesIn = (...kinds: string[]) =>
  kinds.flatMap((kind) =>
    readdirSync(join(CASES, kind))
      .filter((name) => name !== 'NOTE.txt')
      .map((name) => readFileSync(join(CASES, kind, name))),
  );

/** Reads every tensor that a file has, and looks for a network in it. A refusal of one of them is as good as its value. */
function readAll(bytes: Uint8Array): void {
  const { dictionaries } = readTensorFile(bytes, 'm.pth');
  for (const { tensors } of dictionaries) {
    for (const tensor of tensors.values()) allowRefusal(() => tensor.read());
  }
  allowRefusal(() => importNetwork(bytes, 'm.pth'));
}

function allowRefusal(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    const problem = problemOf(error);
    if (problem !== undefined) throw new Error(problem);
  }
}

const zips = filesIn('13-beside', '14-dtypes', '15-prefixes', '18-not-a-checkpoint', '28-pretrained', '34-hostile-pth');
const safetensors = filesIn('19-safetensors');

/** The pickles of zips, which are mutated alone and packed again, so that the zip stays whole. */
const pickles = filesIn('13-beside', '34-hostile-pth').map((bytes) => {
  const files = unzipSync(bytes, { filter: ({ name }) => name.endsWith('/data.pkl') });
  return Object.values(files)[0];
});
const storages = Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`m/data/${i}`, new Uint8Array(24)]));

/** The headers of safetensors files with 16 bytes of data, which are mutated alone and get a correct length. */
const headers = safetensors
  .filter((bytes) => bytes[0] + 8 + 16 === bytes.length)
  .map((bytes) => bytes.subarray(8, -16));

/** The small classifier of a case as a checkpoint of midas. */
const { spec, parameters } = importNetwork(readFileSync(join(CASES, '30-told-by-name/model.bin')), 'model.bin');
const midas = writeCheckpoint({ spec, state: { epoch: 3, parameters, optimizer: [parameters] }, metadata: {} });

/** A file of before PyTorch 1.6 with one tensor. */
const small = legacy(dict({ w: tensor(legacyStorage('7', 6, [1, 5]), [2, 2], [1, 2]) }), { 7: six });

const LOADERS: [string, (bytes: Uint8Array) => void, readonly Uint8Array[]][] = [
  ['a file of torch.save', readAll, zips],
  ['a file of before PyTorch 1.6', readAll, [...filesIn('11-legacy').slice(1), small]],
  ['the pickle of a file', (pickle) => readAll(zipSync({ 'm/data.pkl': pickle, ...storages }, { level: 0 })), pickles],
  ['a deflated file', readAll, pickles.map((pickle) => zipSync({ 'm/data.pkl': pickle, ...storages }, { level: 1 }))],
  ['a safetensors file', readAll, safetensors],
  [
    'the header of a safetensors file',
    (header) => {
      const bytes = new Uint8Array(8 + header.length + 16);
      new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
      bytes.set(header, 8);
      readAll(bytes);
    },
    headers,
  ],
  ['a checkpoint of midas', (bytes) => void readCheckpoint(bytes, 'm.safetensors'), [midas]],
];

describe('mutated checkpoints give values or typed errors', () => {
  test.each(LOADERS)('every mutation of %s gives a value or a typed error', async (_, load, files) => {
    const { tried, values, errors, failures } = await fuzz(load, files, 400, 1);
    expect(failures).toEqual([]);
    expect(values + errors).toBe(tried);
    expect(values).toBeGreaterThan(0);
    expect(errors).toBeGreaterThan(0);
  });

  for (const [name, load, files] of LOADERS) {
    longTest(`every one of 20,000 mutations of ${name} gives a value or a typed error`, 30, async () => {
      const { failures, ...counts } = await fuzz(load, files, 20_000, 2);
      console.error(`${name}: ${JSON.stringify(counts)}`);
      expect(failures).toEqual([]);
    });
  }
});
