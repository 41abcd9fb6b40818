/** Checks of the kernels of shaders/memory, and tensors in approximate memory for those that read from there. */
import { TOLERANCES } from '../../../test/support/tolerances.ts';
import { roundUp } from '../../gpu/arena.ts';
import type { BufferView } from '../../gpu/device.ts';
import type { StoredTensor } from '../../kernels/gemm.ts';
import { recordEncode, recordMaterialise } from '../../kernels/memory.ts';
import { fetchTensor, flipTable, MAP_WORDS, readKey, tensorKey } from '../../memory/fault_map.ts';
import { BLOCK_CODES, encodeFixed, packCodes } from '../../memory/fixed_point.ts';
import { noiseTensor } from '../../memory/noise.ts';
import { Random } from '../../random.ts';
import { type Check, COLUMNS, numbers, pad, ROWS, SIZE, type Trial } from './trial.ts';

// Approximate memory: 12-bit codes of weights in -1..1, a rate at which most blocks have flips and some have many.
const BITS = 12;
const EXPONENT = 1 - BITS;
const TABLE = flipTable(BITS, 0.02);
const READ = 40;
export const PASS = 6;
export const FIRST_IMAGE = 3;
const GRANULARITY = { load: 0, pass: 1, inference: 2 } as const;

export interface CheckedTensor {
  readonly stored: StoredTensor;
  /** What the device must read, rows x stride: the twin's answer for one pass and, at `inference`, one image. */
  fetch(pass: number, image?: number): Float32Array;
}

/** Some tensors of random codes in one memory image, laid out and keyed as src/models/approximate_memory.ts does. */
export function memoryImage(
  trial: Trial,
  granularity: keyof typeof GRANULARITY,
  shapes: readonly (readonly [rows: number, columns: number])[],
): { codes: BufferView; maps: BufferView; tensors: CheckedTensor[] } {
  const maps = new Uint32Array(shapes.length * MAP_WORDS);
  const images: Uint32Array[] = [];
  let origin = 0;
  const tensors = shapes.map(([rows, columns], map): CheckedTensor => {
    const stride = roundUp(columns, BLOCK_CODES);
    const key = tensorKey(11, 2, map);
    writeMap(maps, map, key, granularity);
    const random = new Random(20 + map);
    const codes = Array.from({ length: rows * columns }, () => random.uniformInt(2 ** BITS));
    const words = packCodes(pad(codes, rows, columns, stride));
    const image = { words, rows, columns, stride, bits: BITS, exponent: EXPONENT };
    const whole = new Uint32Array((roundUp(rows, 4) * stride) / 2);
    whole.set(words);
    images.push(whole);
    const stored = { map, origin, rows, columns, stride };
    origin += whole.length / 8;
    return {
      stored,
      fetch: (pass, imageIndex) => fetchTensor(image, readKey(key, READ + pass, imageIndex), TABLE),
    };
  });
  const codes = new Uint32Array(origin * 8);
  tensors.forEach(({ stored }, i) => {
    codes.set(images[i], stored.origin * 8);
  });
  return { codes: trial.buffer(codes), maps: trial.buffer(maps), tensors };
}

/** One tensor's row of the table of maps; the layout is in shaders/common/fetch_approximate.wgsl. */
function writeMap(
  maps: Uint32Array<ArrayBuffer>,
  map: number,
  key: readonly number[],
  granularity: keyof typeof GRANULARITY,
  scale = 2 ** EXPONENT,
): void {
  const at = map * MAP_WORDS;
  const floats = new Float32Array(maps.buffer);
  maps.set([...key, READ, GRANULARITY[granularity]], at);
  floats.set([scale, 1 / scale], at + 4);
  maps.set([BITS, TABLE.length, ...TABLE], at + 6);
}

function encodeCheck(encoding: 'corrected' | 'faithful'): Check {
  return {
    kernel: `encode_fixed ${encoding}`,
    record(trial) {
      const weights = numbers(SIZE, 1, 1.2);
      const { maps, tensors } = memoryImage(trial, 'load', [[ROWS, COLUMNS]]);
      const { stored } = tensors[0];
      const codes = trial.results((ROWS * stored.stride) / 2);
      const faithful = encoding === 'faithful';
      recordEncode(trial.recorder, {
        tensor: stored,
        weights: trial.matrix(ROWS, COLUMNS, weights),
        maps,
        codes,
        faithful,
      });
      const expected = Array.from(weights, (weight) => encodeFixed(weight, BITS, EXPONENT, encoding));
      trial.expectWords(codes, packCodes(pad(expected, ROWS, COLUMNS, stored.stride)));
    },
  };
}

const materialiseCheck: Check = {
  kernel: 'materialise_fixed',
  record(trial) {
    const { codes, maps, tensors } = memoryImage(trial, 'pass', [
      [3, 17],
      [ROWS, COLUMNS],
    ]);
    const { stored, fetch } = tensors[1];
    const fetched = trial.results(ROWS * stored.stride);
    recordMaterialise(trial.recorder, { tensor: stored, kind: 'uniform', source: codes, maps, fetched, passOffset: 1 });
    trial.expect(fetched, fetch(PASS + 1), TOLERANCES.exact);
  },
  prepare({ stepWords }) {
    stepWords[0] = PASS;
  },
};

function noiseCheck(kind: 'gaussian' | 'laplacian'): Check {
  const scale = 0.25;
  return {
    kernel: `materialise_noise ${kind}`,
    record(trial) {
      const weights = numbers(SIZE, 1);
      const stride = roundUp(COLUMNS, BLOCK_CODES);
      const key = tensorKey(5, 0, 0);
      const maps = new Uint32Array(MAP_WORDS);
      writeMap(maps, 0, key, 'load', scale);
      const fetched = trial.results(ROWS * stride);
      recordMaterialise(trial.recorder, {
        tensor: { map: 0, origin: 0, rows: ROWS, columns: COLUMNS, stride },
        kind,
        source: trial.matrix(ROWS, COLUMNS, weights),
        maps: trial.buffer(maps),
        fetched,
        passOffset: 0,
      });
      const padded = pad(weights, ROWS, COLUMNS, stride);
      const expected = noiseTensor(padded, COLUMNS, stride, readKey(key, READ), kind, scale);
      // WGSL lets cos be off by 2^-11 and ln by 2^-21; the largest radius is 5.8.
      trial.expect(fetched, expected, { relative: 1e-6, absolute: scale * 5.8 * 2 ** -11 });
    },
  };
}

export const MEMORY: readonly Check[] = [
  encodeCheck('corrected'),
  encodeCheck('faithful'),
  materialiseCheck,
  noiseCheck('gaussian'),
  noiseCheck('laplacian'),
];
