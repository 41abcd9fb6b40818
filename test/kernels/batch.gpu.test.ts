import { expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { packImages, recordCorrupt, recordGatherBatch, recordGatherRows } from '../../src/kernels/batch.ts';
import { corrupt } from '../../src/reference/random.ts';
import { TOLERANCES } from '../../src/reference/tolerances.ts';
import { Bench, checkKernel, type Output, randomValues, useGpu } from '../support/gpu.ts';
import { imageRows, imageRowsToWrite } from '../support/nhwc.ts';
import { SHAPES } from '../support/shapes.ts';

const device = useGpu();
const COUNT = 41;
const BATCH_OFFSET = 3;
/** A permutation of the 41 images. */
const ORDER = Uint32Array.from({ length: COUNT }, (_, i) => (i * 7 + 5) % COUNT);

it('a batch holds the images that the order lists, scaled to 0..1, and their labels', async () => {
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
        // Bytes between images must not be read into pads.
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
      program.setStep({ batchOffset: BATCH_OFFSET });
    },
  );
});

it('all 256 gray values are scaled correctly', async () => {
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

it('packing refuses bytes that are not whole images', () => {
  expect(packImages(Uint8Array.of(1, 2, 3, 4, 5, 6), 3)).toEqual(Uint8Array.of(1, 2, 3, 0, 4, 5, 6, 0));
  expect(() => packImages(new Uint8Array(7), 3)).toThrow(ShapeError);
});

it('a batch of a table holds the rows that the order lists, also rows of odd lengths', async () => {
  await checkKernel(
    device.gpu,
    (bench) =>
      SHAPES.flatMap(([rows, columns], i): Output[] => {
        const values = randomValues(COUNT * columns, i);
        const [output, narrowOutput] = [bench.output(rows, columns), imageRowsToWrite(bench, rows, columns)];
        const order = bench.buffer(ORDER);
        recordGatherRows(bench.recorder, { table: bench.matrix(COUNT, columns, values), order, output });
        recordGatherRows(bench.recorder, { table: imageRows(bench, COUNT, values), order, output: narrowOutput });
        const chosen = Array.from({ length: rows }, (_, r) => ORDER[BATCH_OFFSET + r]);
        const expected = chosen.flatMap((k) => [...values.subarray(k * columns, (k + 1) * columns)]);
        const name = `rows ${rows} x ${columns}`;
        return [
          { name, view: output, expected, tolerance: TOLERANCES.exact },
          { name: `${name}, narrow`, view: narrowOutput, expected, tolerance: TOLERANCES.exact },
        ];
      }),
    (program) => {
      program.setStep({ batchOffset: BATCH_OFFSET });
    },
  );
});

it('rows and their pads follow the batch offset through an epoch', async () => {
  const bench = new Bench(device.gpu);
  const [rows, columns] = [7, 5];
  const table = imageRows(bench, COUNT, new Float32Array(COUNT * columns));
  const { stride } = table;
  // Every element of the table, also in the pads, holds its own index.
  bench.gpu.write(
    table,
    Float32Array.from({ length: COUNT * stride }, (_, i) => i),
  );
  const output = imageRowsToWrite(bench, rows, columns);
  recordGatherRows(bench.recorder, { table, order: bench.buffer(ORDER), output });
  const program = await bench.recorder.build('epoch');
  for (let offset = 0; offset + rows <= COUNT; offset += rows) {
    program.setStep({ batchOffset: offset });
    program.run();
    const expected = [...ORDER.subarray(offset, offset + rows)].flatMap((k) =>
      Array.from({ length: stride }, (_, j) => k * stride + j),
    );
    expect([...(await bench.gpu.readFloats(output))]).toEqual(expected);
  }
  bench.arena.destroy();
});

it('a table with rows of another length and an order that is too short are refused', () => {
  const bench = new Bench(device.gpu);
  const [table, output] = [bench.output(9, 7), bench.output(5, 7)];
  const order = bench.buffer(new Uint32Array(5));
  const record = (changed: object) => () => recordGatherRows(bench.recorder, { table, order, output, ...changed });
  expect(record({})).not.toThrow();
  for (const [changed, message] of [
    [
      { table: bench.output(9, 8) },
      'gather_rows: output is 5 x 7 (stride 16) but a batch of the table is 5 x 8 (stride 16); they must agree',
    ],
    [
      { table: imageRowsToWrite(bench, 9, 7) },
      'gather_rows: output is 5 x 7 (stride 16) but a batch of the table is 5 x 7 (stride 8); they must agree',
    ],
    [{ order: bench.buffer(new Uint32Array(4)) }, 'gather_rows: order has 16 bytes, 20 are needed'],
    [{ output: { ...output, size: 64 } }, 'gather_rows: output has 64 bytes, 320 are needed'],
    [{ output: { ...output, stride: 7 } }, 'gather_rows: output is 5 x 7 (stride 7); it needs rows, columns,'],
  ] as const) {
    expect(record(changed)).toThrow(ShapeError);
    expect(record(changed)).toThrow(message);
  }
  bench.arena.destroy();
});

it('corruption agrees with its reference', async () => {
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
      program.setStep({ batchOffset: BATCH_OFFSET });
      program.setStep({ draw: draw });
    },
  );
});
