import { readSafetensors, type Tensor } from '../../src/formats/safetensors.ts';
import { readFixture } from './platform.ts';

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
  const file = `${name}.safetensors`;
  const { tensors } = readSafetensors(readFixture(file), file);
  const tensor = (key: string): Tensor => {
    const found = tensors.get(key);
    if (!found) throw new Error(`${file} has no tensor ${key}`);
    return found;
  };
  return {
    description: JSON.parse(new TextDecoder().decode(readFixture(`${name}.json`))),
    keys: [...tensors.keys()],
    tensor,
    floats(key) {
      const { dtype, data } = tensor(key);
      if (!(data instanceof Float32Array)) throw new Error(`${file}: ${key} is ${dtype}, not F32`);
      return data as Float32Array<ArrayBuffer>;
    },
  };
}
