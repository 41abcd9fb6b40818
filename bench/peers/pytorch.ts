/** PyTorch on the CPU, in a Python process that bench/peers/pytorch.py runs: an engine beside those of JavaScript. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { importOnnx } from '../../src/models/onnx_file.ts';
import {
  batchOf,
  type Case,
  caseNamed,
  convInputs,
  convOperation,
  exportedFile,
  exportedImages,
  gemmInputs,
  initialParameters,
  type Tensor,
} from './cases.ts';
import { type Contestant, contestantOf, type Reply, type Request } from './process.ts';

const SCRIPT = fileURLToPath(new URL('pytorch.py', import.meta.url));

/** Interpreters, of which the first with PyTorch is used: that of the path, and Debian's, which has Debian's packages. */
const PYTHONS = ['python3', '/usr/bin/python3'];

/** A Python with PyTorch (Debian: python3-torch); undefined if there is none. */
export function findPytorch(): string | undefined {
  const has = (python: string) =>
    spawnSync(python, ['-c', 'import torch, numpy'], { stdio: 'ignore', timeout: 60_000 }).status === 0;
  return PYTHONS.find(has);
}

/** Starts PyTorch. @param python of findPytorch @param clock a name of CLOCKS (bench/timing.ts), which Python reads itself */
export function startPytorch(python: string, clock: string, seconds = 900): Contestant {
  const folder = mkdtempSync(join(tmpdir(), 'midas-pytorch-'));
  const child = spawn(python, [SCRIPT, clock], { stdio: ['pipe', 'pipe', 'pipe'] });
  child.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const lines = createInterface({ input: child.stdout });
  const exchange = (request: Request): Promise<Reply> => {
    const reply = new Promise<Reply>((resolve) => {
      lines.once('line', (line) => {
        const { value, error } = JSON.parse(line) as { value?: unknown; error?: string };
        if (error !== undefined) resolve({ error });
        // Results are base64 of little-endian f32.
        else resolve({ value: typeof value === 'string' ? floats(Buffer.from(value, 'base64')) : value });
      });
    });
    child.stdin.write(`${JSON.stringify(request.kind === 'build' ? buildRequest(request.name, folder) : request)}\n`);
    return reply;
  };
  // Writing to a process that has ended is reported by its end.
  child.stdin.on('error', () => {});
  return contestantOf('pytorch', child, exchange, seconds);
}

function floats(bytes: Buffer): Float32Array {
  return new Float32Array(Uint8Array.from(bytes).buffer);
}

/** Writes the tensors of a case into a file, and describes the case for Python. */
function buildRequest(name: string, folder: string): object {
  const compared = caseNamed(name);
  const file = join(folder, 'tensors');
  const tensors = tensorsOf(compared);
  const places: [string, readonly number[], number][] = [];
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const [tensor, { shape, values }] of tensors) {
    places.push([tensor, shape, at]);
    parts.push(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    at += values.length;
  }
  writeFileSync(file, Buffer.concat(parts));
  return { kind: 'build', file, tensors: places, case: describe(compared) };
}

function describe(compared: Case): object {
  switch (compared.kind) {
    case 'gemm':
      return { kind: 'gemm', transposition: compared.transposition };
    case 'conv': {
      const { stride, padding } = compared.shape;
      return { kind: 'conv', operation: convOperation(compared), stride, padding };
    }
    case 'exported':
      return { kind: 'exported', layers: importOnnx(exportedFile(compared), compared.file).spec.layers };
    case 'defended':
      return { kind: 'defended', layers: compared.spec.layers, bitErrorRate: compared.bitErrorRate };
    default:
      return { kind: compared.kind, layers: compared.spec.layers, optimizer: compared.optimizer };
  }
}

function tensorsOf(compared: Case): Map<string, Tensor> {
  switch (compared.kind) {
    case 'gemm':
      return new Map(Object.entries(gemmInputs(compared)));
    case 'conv':
      return new Map(Object.entries(convInputs(compared)));
    case 'exported': {
      const stored = importOnnx(exportedFile(compared), compared.file).tensors;
      const all = [...stored].map(([name, { shape, data }]): [string, Tensor] => [
        name,
        { shape, values: data as Float32Array<ArrayBuffer> },
      ]);
      return new Map([...all, ['images', exportedImages(compared)]]);
    }
    default: {
      const { images, labels, vectors } = batchOf(compared);
      const all = initialParameters(compared.spec).set('images', images);
      all.set('labels', { shape: [labels.length], values: Float32Array.from(labels) });
      return vectors ? all.set('vectors', vectors) : all;
    }
  }
}
