import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readSafetensors, type Tensor } from '../../src/data/safetensors.ts';

const FOLDER = process.env.MIDAS_FIXTURES ?? fileURLToPath(new URL('../fixtures/', import.meta.url));

/** Golden tensors made with PyTorch: `<name>.json` says what was computed, `<name>.safetensors` holds the numbers. */
export interface Fixture {
  readonly description: Readonly<Record<string, unknown>>;
  readonly keys: readonly string[];
  /** @throws Error when the fixture has no such tensor */
  tensor(key: string): Tensor;
  /** A float tensor's values. */
  floats(key: string): Float32Array<ArrayBuffer>;
}

/** Reads a fixture from $MIDAS_FIXTURES, or from test/fixtures. */
export function loadFixture(name: string): Fixture {
  const file = join(FOLDER, `${name}.safetensors`);
  const { tensors } = readSafetensors(readFileSync(file), file);
  const tensor = (key: string): Tensor => {
    const found = tensors.get(key);
    if (!found) throw new Error(`${file} has no tensor ${key}`);
    return found;
  };
  return {
    description: JSON.parse(readFileSync(join(FOLDER, `${name}.json`), 'utf8')),
    keys: [...tensors.keys()],
    tensor,
    floats(key) {
      const { dtype, data } = tensor(key);
      if (!(data instanceof Float32Array)) throw new Error(`${file}: ${key} is ${dtype}, not F32`);
      return data as Float32Array<ArrayBuffer>;
    },
  };
}
