import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '../../src/formats/safetensors.ts';
import { start } from '../support/command_line.ts';
import { longTest } from '../support/long.ts';
import { bytesOf, external, node, onnxFile, type TestTensor, TYPES } from '../support/onnx.ts';

/** Files of at most this many bytes are the baseline: the command line itself. */
const TINY = 1e4;

const scratch = mkdtempSync(join(tmpdir(), 'midas-import-memory-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Prints the most memory that the process ever had, in bytes (getrusage), when it ends. */
const PEAK = 'process.on("exit", () => process.stderr.write("peak " + 1024 * process.resourceUsage().maxRSS))';

/** Converts a file with the command line. @returns its peak of memory in bytes */
async function peakOf(file: string, out: string): Promise<number> {
  const hook = `--import=data:text/javascript,${encodeURIComponent(PEAK)}`;
  const { finished } = start(['import', file, '--out', out, '--quiet'], { NODE_OPTIONS: hook });
  const { code, stderr } = await finished;
  expect(stderr).toMatch(/^peak \d+$/);
  expect(code).toBe(0);
  return Number(stderr.slice('peak '.length));
}

const KINDS = ['raw', 'half', 'transposed', 'external'] as const;

/**
 * Writes a network of two dense layers: with raw float32 weights, with half floats, with the first matrix transposed, or with the
 * weights in a file beside.
 * @returns the path, and the bytes of its weights
 */
function network(kind: (typeof KINDS)[number], bytes: number) {
  const size = kind === 'half' ? 2 : 4;
  // Odd sizes, so that no matrix fits into the engine's padded layout as it is.
  const side = Math.floor(Math.sqrt(bytes / size / 2)) | 1;
  const values = kind === 'half' ? new Uint16Array(side * side) : new Float32Array(side * side);
  for (let i = 0; i < values.length; i++) values[i] = kind === 'half' ? 0x3000 + (i % 997) : (i % 997) / 1000;
  const path = join(scratch, `${kind}-${bytes}.onnx`);
  const inFile = (i: number): TestTensor => {
    if (kind !== 'external') return bytesOf([side, side], kind === 'half' ? TYPES.float16 : TYPES.float, values);
    const location = `${kind}-${bytes}.data`;
    return external([side, side], { location, offset: i * values.byteLength, length: values.byteLength });
  };
  if (kind === 'external') {
    const data = new Uint8Array(2 * values.byteLength);
    for (const i of [0, 1]) data.set(new Uint8Array(values.buffer), i * values.byteLength);
    writeFileSync(path.replace('.onnx', '.data'), data);
  }
  const first =
    kind === 'transposed'
      ? node('MatMul', ['image', 'a.weight'], 'a')
      : node('Gemm', ['image', 'a.weight'], 'a', { transB: 1 });
  const model = onnxFile({
    nodes: [first, node('Relu', ['a'], 'r'), node('Gemm', ['r', 'b.weight'], 'y', { transB: 1 })],
    initializers: { 'a.weight': inFile(0), 'b.weight': inFile(1) },
    inputs: { image: ['batch', side] },
  });
  writeFileSync(path, model);
  return { path, side, values, bytes: 2 * values.byteLength };
}

describe('the memory that midas import needs', () => {
  let baseline = 0;
  beforeAll(async () => {
    baseline = await peakOf(network('raw', TINY).path, join(scratch, 'tiny.safetensors'));
  });

  /** Compares the peak above that of the command line alone with the file. */
  async function expectPeak(kind: (typeof KINDS)[number], size: number, times: number) {
    const { path, bytes } = network(kind, size);
    const out = join(scratch, `${kind}.safetensors`);
    const peak = await peakOf(path, out);
    const mebibytes = (count: number) => `${(count / 2 ** 20).toFixed(0)} MiB`;
    console.error(
      `${kind}: weights ${mebibytes(bytes)}, peak ${mebibytes(peak)}, of it the program alone ${mebibytes(baseline)}`,
    );
    expect(peak - baseline).toBeLessThan(times * bytes);
    return out;
  }

  it('a file of 32 MB needs less than 2.5 times as much, and its tensors arrive', async () => {
    const out = await expectPeak('transposed', 32e6, 2.5);
    const { side, values } = network('transposed', 32e6);
    const { tensors } = readSafetensors(readFileSync(out), out);
    expect(Buffer.from(tensors.get('b.weight')!.data.buffer).equals(Buffer.from(values.buffer))).toBe(true);
    const matrix = tensors.get('a.weight')!.data;
    for (const [row, column] of [
      [0, side - 1],
      [side - 1, 0],
      [77, 1234],
      [side - 1, side - 1],
    ]) {
      expect(matrix[row * side + column]).toBe(values[column * side + row]);
    }
  });

  for (const kind of KINDS) {
    longTest(`100 MB of weights (${kind}) need less than 2.5 times as much`, 5, async () => {
      await expectPeak(kind, 100e6, 2.5);
    });
  }
});
