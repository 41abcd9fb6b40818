import { expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { packImages, recordCorrupt, recordGatherBatch } from '../../src/kernels/batch.ts';
import { corrupt } from '../reference/random.ts';
import { checkKernel, type Output, randomValues, useGpu } from '../support/gpu.ts';
import { SHAPES } from '../support/shapes.ts';
import { TOLERANCES } from '../support/tolerances.ts';

const device = useGpu();
const COUNT = 41;
const BATCH_OFFSET = 3;
/** 41 images in some order, every one once. */
const ORDER = Uint32Array.from({ length: COUNT }, (_, i) => (i * 7 + 5) % COUNT);

it('a batch holds the images and labels that order names, scaled to 0..1', async () => {
  await checkKernel(
    device.gpu,
    (bench) =>
      SHAPES.flatMap(([rows, columns], i): Output[] => {
        const bytes = Uint8Array.from(randomValues(COUNT * columns, i), (value) => Math.floor((value + 1) * 128));
        const labels = Uint32Array.from({ length: COUNT }, (_, k) => (k * 31) % 17);
        const images = bench.output(rows, columns);
        const targets = bench.arena.allocate('targets', rows * 4);
        const packed = packImages(bytes, columns);
        const stride = packed.length / COUNT;
        // What lies between images must not be read into pads.
        for (let k = 0; k < COUNT; k++) packed.fill(255, k * stride + columns, (k + 1) * stride);
        recordGatherBatch(bench.recorder, {
          pixels: bench.buffer(packed),
          labels: bench.buffer(labels),
          order: bench.buffer(ORDER),
          images,
          targets,
        });
        const chosen = Array.from({ length: rows }, (_, r) => ORDER[BATCH_OFFSET + r]);
        const expected = chosen.flatMap((k) =>
          Array.from(bytes.subarray(k * columns, (k + 1) * columns), (byte) => byte / 255),
        );
        const name = `gather ${rows} x ${columns}`;
        return [
          { name, view: images, expected, tolerance: TOLERANCES.pixel },
          {
            name: `${name} targets`,
            view: targets,
            expected: chosen.map((k) => labels[k]),
            tolerance: TOLERANCES.exact,
            type: 'u32',
          },
        ];
      }),
    (program) => {
      program.stepWords[2] = BATCH_OFFSET;
    },
  );
});

it('all 256 gray values are scaled right', async () => {
  await checkKernel(device.gpu, (bench) => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const images = bench.output(1, 256);
    recordGatherBatch(bench.recorder, {
      pixels: bench.buffer(packImages(bytes, 256)),
      labels: bench.buffer(Uint32Array.of(0)),
      order: bench.buffer(Uint32Array.of(0)),
      images,
      targets: bench.arena.allocate('targets', 4),
    });
    const expected = Array.from(bytes, (byte) => byte / 255);
    return [{ name: 'gray values', view: images, expected, tolerance: TOLERANCES.pixel }];
  });
});

it('packing refuses a broken image', () => {
  expect(packImages(Uint8Array.of(1, 2, 3, 4, 5, 6), 3)).toEqual(Uint8Array.of(1, 2, 3, 0, 4, 5, 6, 0));
  expect(() => packImages(new Uint8Array(7), 3)).toThrow(ShapeError);
});

it('corruption agrees with its twin', async () => {
  const draw = 12;
  await checkKernel(
    device.gpu,
    (bench) =>
      SHAPES.map(([rows, columns], seed): Output => {
        const x = randomValues(rows * columns, seed);
        const output = bench.output(rows, columns);
        const input = bench.matrix(rows, columns, x);
        recordCorrupt(bench.recorder, { input, order: bench.buffer(ORDER), output, deviation: 0.3, seed });
        return {
          name: `corrupt ${rows} x ${columns}`,
          view: output,
          expected: corrupt(x, ORDER.subarray(BATCH_OFFSET, BATCH_OFFSET + rows), Math.fround(0.3), seed, draw),
          tolerance: TOLERANCES.normal,
        };
      }),
    (program) => {
      program.stepWords[2] = BATCH_OFFSET;
      program.stepWords[5] = draw;
    },
  );
});
