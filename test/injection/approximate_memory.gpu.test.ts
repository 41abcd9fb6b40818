import { afterEach, describe, expect, it } from 'vitest';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import type { DenseSpec } from '../../src/layers/dense.ts';
import { planGraph, recordBackward, recordForward } from '../../src/layers/graph.ts';
import { layerParameters } from '../../src/layers/kinds.ts';
import { FlatParameters, ParameterLayout } from '../../src/layers/parameters.ts';
import { plainWeights, type WeightsOf } from '../../src/layers/weights.ts';
import { fixedCodec, packCodes, storageBitsOf } from '../../src/memory/codec.ts';
import { type MemoryConfigInput, parseMemoryConfig } from '../../src/memory/config.ts';
import { fetchTensor, readKey, tensorKey } from '../../src/memory/fault_sampler.ts';
import { decodeFixed, encodeFixed, fixedExponent } from '../../src/memory/fixed_point.ts';
import { floatOfBits } from '../../src/memory/floating_point.ts';
import { noiseTensor } from '../../src/memory/noise.ts';
import { stackVictim } from '../../src/models/victims.ts';
import { expectAllclose } from '../support/allclose.ts';
import { randomValues, readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';
import { uniformSampler } from '../support/memory.ts';

const device = useGpu();

const SPECS: readonly DenseSpec[] = [
  { kind: 'dense', name: 'fc1', inputs: 20, outputs: 6, activation: 'none' },
  { kind: 'dense', name: 'fc2', inputs: 6, outputs: 5, activation: 'none' },
];
const LAYERS = ['fc1', 'fc2'];
const layout = new ParameterLayout(layerParameters(SPECS));

/** Tensors of very different ranges, one of them mostly negative, in the padded layout. */
const weights = new Float32Array(layout.length);
for (const [i, slice] of layout.slices.entries()) {
  const { rows, columns } = slice;
  const values = randomValues(rows * columns, i, [0.3, 0.02, 1.7, 0.9][i]).map((value, j) =>
    i === 2 && value > 0.4 ? -value : j === 3 ? 0 : value,
  );
  layout.pack(slice, new Uint32Array(values.buffer), new Uint32Array(weights.buffer));
}

let arena: Arena | undefined;
afterEach(() => arena?.destroy());

async function store() {
  arena = new Arena(device.gpu);
  const parameters = new FlatParameters(arena, 'parameters', layout);
  device.gpu.write(parameters.view, weights);
  const memory = await ApproximateMemory.store(arena, parameters);
  return {
    memory,
    configure: (config: MemoryConfigInput) => memory.configure(parseMemoryConfig(config, LAYERS)),
    fetched: () => device.gpu.readWords(memory.fetched.view),
  };
}

type Stored = Awaited<ReturnType<typeof store>>;

const bitsOf = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length);
const sliceOf = (name: string) => layout.find(name);
const valuesOf = (name: string, flat: Float32Array) => {
  const { offset, length } = sliceOf(name);
  return flat.subarray(offset, offset + length);
};
/** The rows x stride words that a read writes; the rows behind them, up to a multiple of four, stay zero. */
const readPart = (name: string, words: Uint32Array) => {
  const { offset, rows, stride } = sliceOf(name);
  return words.subarray(offset, offset + rows * stride);
};

const uniform = (bitErrorRate: number, format: object = {}): MemoryConfigInput['layers'][string] => ({
  kind: 'stored',
  format: { kind: 'fixed', ...format },
  faults: [{ kind: 'uniform', bitErrorRate }],
});

/** The fetched bits of a parameter by the reference, which encodes the weights and reads the codes. */
function referenceRead(
  name: string,
  { exponent, bits = 12, rate, key }: { exponent: number; bits?: number; rate: number; key: [number, number] },
): Uint32Array {
  const { rows, columns, stride } = sliceOf(name);
  const codes = Array.from(valuesOf(name, weights), (weight) => encodeFixed(weight, bits, exponent, 'corrected'));
  const codec = fixedCodec(bits, exponent, 'corrected');
  const image = { words: packCodes(codes, storageBitsOf(bits)), rows, columns, stride, codec };
  return fetchTensor(image, uniformSampler(bits, key, rate));
}

const largestOf = (name: string) => Math.max(...valuesOf(name, weights).map(Math.abs));
const fitted = (name: string) => fixedExponent(largestOf(name), 12, 0, 'corrected');

const NAMES = layout.slices.map(({ name }) => name);

describe('a read of the whole model', () => {
  it.each(['chip', 'load'] as const)(
    'a read at granularity %s is that of the reference, tensor by tensor',
    async (granularity) => {
      const { memory, configure, fetched } = await store();
      await configure({ seed: 5, chip: 3, granularity, layers: { fc1: uniform(0.05), fc2: uniform(0.2) } });
      for (const draw of [0, 4]) {
        await memory.load(draw);
        const words = await fetched();
        for (const [index, name] of NAMES.entries()) {
          const rate = name.startsWith('fc1') ? 0.05 : 0.2;
          const key =
            granularity === 'chip' ? readKey(tensorKey(5, 3 + draw, index), 0) : readKey(tensorKey(5, 3, index), draw);
          expect(readPart(name, words), name).toEqual(referenceRead(name, { exponent: fitted(name), rate, key }));
        }
      }
    },
  );

  it('at granularity pass every forward and every backward pass is a new read, and loads never share a pass', async () => {
    const { memory, configure } = await store();
    await configure({ seed: 5, granularity: 'pass', layers: { fc1: uniform(0.1), fc2: uniform(0.1) } });
    const programs = await Promise.all(
      [0, 1].map((offset) => {
        const recorder = new Recorder(device.gpu);
        memory.recordPass(recorder, offset);
        return recorder.build('pass');
      }),
    );
    for (const [draw, pass] of [
      [0, 0],
      [0, 6],
      [3, 6],
    ]) {
      await memory.load(draw);
      for (const [offset, program] of programs.entries()) {
        program.setStep({ passIndex: pass });
        program.run();
        for (const [index, name] of NAMES.entries()) {
          const key = readKey(tensorKey(5, 0, index), draw * 2 ** 20 + pass + offset);
          const expected = referenceRead(name, { exponent: fitted(name), rate: 0.1, key });
          expect(await memory.fetchedWeights(name), name).toEqual(expected);
        }
      }
    }
  });

  it('at granularities chip and load a pass is not a new read', async () => {
    const { memory, configure } = await store();
    await configure({ layers: { fc1: uniform(0.1) } });
    const recorder = new Recorder(device.gpu);
    memory.recordPass(recorder, 0);
    expect((await recorder.build('empty')).length).toBe(0);
  });

  it('layers that the configuration does not name are exact, bit for bit', async () => {
    const { memory, configure, fetched } = await store();
    for (const [defended, exact] of [
      ['fc2', 'fc1'],
      ['fc1', 'fc2'],
    ]) {
      await configure({ layers: { [defended]: uniform(0.3) } });
      await memory.load(0);
      const words = await fetched();
      for (const name of NAMES) {
        const { offset, length } = sliceOf(name);
        const same = words.subarray(offset, offset + length).every((word, i) => word === bitsOf(weights)[offset + i]);
        expect(same, name).toBe(name.startsWith(exact));
      }
    }
    await configure({ layers: {} });
    await memory.load(0);
    expect(await fetched()).toEqual(bitsOf(weights));
  });

  it('rate 0 gives the quantised model exactly', async () => {
    const { memory, configure, fetched } = await store();
    await configure({ layers: { fc1: uniform(0), fc2: uniform(0) } });
    await memory.load(2);
    const words = await fetched();
    for (const name of NAMES) {
      const quantised = Float32Array.from(valuesOf(name, weights), (weight) =>
        decodeFixed(encodeFixed(weight, 12, fitted(name), 'corrected'), 12, fitted(name)),
      );
      const { rows, stride } = sliceOf(name);
      expect(readPart(name, words)).toEqual(bitsOf(quantised).subarray(0, rows * stride));
    }
  });

  it('a read is reproducible, and other draws, seeds and chips have other faults', async () => {
    const { memory, configure, fetched } = await store();
    const layers = { fc1: uniform(0.05), fc2: uniform(0.05) };
    const read = async (config: object, draw: number) => {
      await configure({ ...config, layers });
      await memory.load(draw);
      return String(await fetched());
    };
    const first = await read({ seed: 1 }, 0);
    const all = [first, await read({ seed: 1 }, 1), await read({ seed: 2 }, 0), await read({ seed: 1, chip: 1 }, 0)];
    const chips = [await read({ seed: 1, granularity: 'chip' }, 2), await read({ seed: 1, granularity: 'chip' }, 3)];
    expect(new Set([...all, ...chips]).size).toBe(6);
    expect(await read({ seed: 1 }, 0)).toBe(first);
    // At granularity chip draw n is the chip n numbers later, and its read is the first load of that chip.
    expect(await read({ seed: 1, chip: 1, granularity: 'chip' }, 1)).toBe(chips[0]);
    expect(await read({ seed: 1, chip: 2 }, 0)).toBe(chips[0]);
  });

  it('switching configurations back and forth gives the same bits', async () => {
    const { memory, configure, fetched } = await store();
    const configs: MemoryConfigInput[] = [
      { layers: { fc1: uniform(0.05), fc2: uniform(0.05) } },
      { layers: { fc1: uniform(0.05, { bits: 8 }) } },
      { layers: { fc1: { kind: 'gaussian', scale: 0.1 }, fc2: uniform(0.5, { exponent: 'shared' }) } },
      { layers: {} },
      { granularity: 'chip', layers: { fc2: uniform(0.05, { headroom: 2 }) } },
    ];
    const read = async (i: number) => {
      await configure(configs[i]);
      await memory.load(1);
      return String(await fetched());
    };
    const once: string[] = [];
    for (let i = 0; i < configs.length; i++) once.push(await read(i));
    expect(new Set(once).size).toBe(configs.length);
    for (const i of [3, 0, 2, 1, 0, 4, 2]) expect(await read(i)).toBe(once[i]);
  });
});

describe('number formats of layers', () => {
  const codesOf = async ({ memory }: Stored, name: string) => memory.readCodes(name);
  const expectedCodes = (name: string, bits: number, exponent: number, encoding: 'corrected' | 'faithful') =>
    packCodes(
      Array.from(valuesOf(name, weights), (weight) => encodeFixed(weight, bits, exponent, encoding)),
      storageBitsOf(bits),
    );
  const exponentOf = ({ memory }: Stored, name: string) => Math.log2(floatOfBits(memory.codecOf(name).decode(1, 0)));

  it('an exponent is fitted to every tensor or to all together, or given; headroom is added to a fitted one', async () => {
    const stored = await store();
    const { configure } = stored;
    const largest = Math.max(...NAMES.map(largestOf));
    for (const [format, expected] of [
      [{}, fitted],
      [{ headroom: 3 }, (name: string) => fitted(name) + 3],
      [{ exponent: 'shared' }, () => fixedExponent(largest, 12, 0, 'corrected')],
      [{ exponent: 'shared', headroom: 2 }, () => fixedExponent(largest, 12, 2, 'corrected')],
      [{ exponent: { layer: 'fc2' } }, () => fixedExponent(largestOf('fc2.weight'), 12, 0, 'corrected')],
      [{ exponent: -9 }, () => -9],
    ] as const) {
      await configure({ layers: { fc1: uniform(0, format), fc2: uniform(0, format) } });
      for (const name of NAMES) {
        const exponent = expected(name);
        expect(exponentOf(stored, name), `${JSON.stringify(format)} ${name}`).toBe(exponent);
        expect(await codesOf(stored, name)).toEqual(expectedCodes(name, 12, exponent, 'corrected'));
      }
    }
    expect(new Set(NAMES.map(fitted)).size).toBeGreaterThan(2);
  });

  it('the published format takes the signed maximum of one layer for all, plus one, and wraps', async () => {
    const stored = await store();
    const { configure } = stored;
    const format = { encoding: 'faithful', exponent: { layer: 'fc1' }, bits: 8 } as const;
    await configure({ layers: { fc1: uniform(0, format), fc2: uniform(0, format) } });
    const exponent = fixedExponent(Math.max(...valuesOf('fc1.weight', weights)), 8, 0, 'faithful');
    let wrapped = 0;
    for (const name of NAMES) {
      expect(exponentOf(stored, name)).toBe(exponent);
      expect(await codesOf(stored, name)).toEqual(expectedCodes(name, 8, exponent, 'faithful'));
      wrapped += valuesOf(name, weights).filter((weight) => Math.abs(weight) >= 2 ** (exponent + 7)).length;
    }
    expect(wrapped).toBeGreaterThan(0);
    // A tensor with an exponent of its own uses its signed maximum, whatever its most negative weight is.
    await configure({ layers: { fc2: uniform(0, { encoding: 'faithful' }) } });
    const own = fixedExponent(Math.max(...valuesOf('fc2.weight', weights)), 12, 0, 'faithful');
    expect(exponentOf(stored, 'fc2.weight')).toBe(own);
    expect(await codesOf(stored, 'fc2.weight')).toEqual(expectedCodes('fc2.weight', 12, own, 'faithful'));
  });

  it('layers of one model may have different formats', async () => {
    const stored = await store();
    await stored.configure({ layers: { fc1: uniform(0, { bits: 4 }), fc2: uniform(0, { bits: 16 }) } });
    const bitsOfLayer = (name: string) => (name.startsWith('fc1') ? 4 : 16);
    for (const name of NAMES) {
      const exponent = fixedExponent(largestOf(name), bitsOfLayer(name), 0, 'corrected');
      expect(await codesOf(stored, name)).toEqual(expectedCodes(name, bitsOfLayer(name), exponent, 'corrected'));
    }
  });

  it('the codec of a layer without a number format is an error, as is a missing configuration', async () => {
    const { memory, configure } = await store();
    expect(() => memory.config).toThrow('the memory has no configuration; call configure first');
    await configure({ layers: { fc1: { kind: 'gaussian', scale: 1 } } });
    expect(() => memory.codecOf('fc1.weight')).toThrow(/fc1\.weight has no number format/);
    expect(() => memory.codecOf('fc2.weight')).toThrow(/fc2\.weight has no number format/);
  });
});

describe('noise on weights', () => {
  it.each(['gaussian', 'laplacian'] as const)('%s noise equals its reference and keeps pads zero', async (kind) => {
    const { memory, configure, fetched } = await store();
    await configure({ seed: 8, layers: { fc1: { kind, scale: 0.25 }, fc2: { kind, scale: 0 } } });
    await memory.load(3);
    const words = await fetched();
    for (const [index, name] of NAMES.entries()) {
      const { columns, stride, rows } = sliceOf(name);
      const key = readKey(tensorKey(8, 0, index), 3);
      const exact = valuesOf(name, weights).subarray(0, rows * stride);
      const values = new Float32Array(readPart(name, words).slice().buffer);
      if (name.startsWith('fc2')) {
        // + 0 * noise: only the sign of a zero may change.
        expect(values).toEqual(exact);
        continue;
      }
      const expected = noiseTensor(exact, columns, stride, key, kind, 0.25);
      // This tolerance is wide; test/memory/noise.gpu.test.ts checks the precision.
      expectAllclose(values, expected, { absolute: 0.25 * 3e-3, relative: 1e-6 }, name);
      values.forEach((value, i) => {
        if (i % stride >= columns) expect(Object.is(value, 0)).toBe(true);
      });
    }
  });
});

describe("the source of a layer's weights", () => {
  const x = randomValues(3 * 20, 9);

  /** Logits and input gradient of the victim under a configuration, and the kinds of weights that its layers have. */
  async function attack(config: MemoryConfigInput, draw: number, pass = 0, firstImage = 0, rows = 3) {
    const { memory, configure } = await store();
    await configure(config);
    const recorder = new Recorder(device.gpu);
    const inputs = arena!.matrix('x', rows, 20);
    writeMatrix(device.gpu, inputs, x.subarray(firstImage * 20));
    const run = stackVictim(SPECS, memory.weightsOf, memory).plan(arena!, inputs);
    run.recordForward(recorder);
    run.recordInputGradient(recorder);
    writeMatrix(device.gpu, run.gradLogits, randomValues(3 * 5, 10).subarray(firstImage * 5));
    const program = await recorder.build('attack');
    await memory.load(draw);
    program.setStep({ passIndex: pass });
    program.setStep({ firstImage: firstImage });
    program.run();
    const result = {
      kinds: LAYERS.map((layer) => memory.weightsOf(layer).kind),
      logits: await readMatrix(device.gpu, run.logits),
      gradient: await readMatrix(device.gpu, run.gradInput),
    };
    arena?.destroy();
    return result;
  }

  // Only one layer, because a software adapter takes seconds to compile a fused product.
  const layers = { fc2: uniform(0.05) };
  const tolerance = { absolute: 1e-5, relative: 1e-5 };

  it.each(['chip', 'load', 'pass'] as const)(
    'at granularity %s the fused path reads the same weights as the materialised one',
    async (granularity) => {
      const materialised = await attack({ granularity, path: 'materialised', layers }, 2, 4);
      const fused = await attack({ granularity, path: 'fused', layers }, 2, 4);
      expect(materialised.kinds).toEqual(['plain', 'plain']);
      expect(fused.kinds).toEqual(['plain', 'fused']);
      expect(await attack({ granularity, layers }, 2, 4)).toEqual(materialised);
      expectAllclose(fused.logits, materialised.logits, tolerance, 'logits');
      expectAllclose(fused.gradient, materialised.gradient, tolerance, 'gradient');
      const exact = await attack({ granularity, layers: {} }, 2, 4);
      expect(exact.logits).not.toEqual(materialised.logits);
    },
  );

  it.each([
    ['as published', { encoding: 'faithful', exponent: { layer: 'fc1' } }, 12, 0.01],
    ['of 9 bits', { bits: 9 }, 9, 0.1],
    ['of 15 bits', { bits: 15 }, 15, 0.5],
    ['of 16 bits, decoded before', { bits: 16 }, 16, 0.1],
    ['of 8 bits, decoded before', { bits: 8 }, 8, 0.1],
  ] as const)(
    'products of a pass have the bits of products with the weights that the reference reads: codes %s',
    async (_, format, bits, rate) => {
      const { memory, configure } = await store();
      await configure({ seed: 3, granularity: 'pass', path: 'materialised', layers: { '*': uniform(rate, format) } });
      await memory.load(2);
      const inputs = arena!.matrix('x', 3, 20);
      writeMatrix(device.gpu, inputs, x);
      const upstream = randomValues(3 * 5, 10);
      /** Logits of a forward pass over some weights, and input gradient of a backward pass over others. */
      const bitsOfPasses = async (forward: WeightsOf, backward: WeightsOf, from?: ApproximateMemory) => {
        const results: Float32Array[] = [];
        for (const [weightsOf, which] of [
          [forward, 'logits'],
          [backward, 'gradInput'],
        ] as const) {
          const recorder = new Recorder(device.gpu);
          const run = stackVictim(SPECS, weightsOf, from).plan(arena!, inputs);
          run.recordForward(recorder);
          writeMatrix(device.gpu, run.gradLogits, upstream);
          run.recordInputGradient(recorder);
          const program = await recorder.build('passes');
          program.setStep({ passIndex: 6 });
          program.run();
          results.push(await readMatrix(device.gpu, run[which]));
        }
        return results.map((values) => [...bitsOf(values)]);
      };
      const read = (pass: number) => {
        const parameters = new FlatParameters(arena!, `pass ${pass}`, layout);
        const flat = new Uint32Array(layout.length);
        for (const { name, offset, rows, columns, stride } of layout.slices) {
          const words = Uint32Array.from(valuesOf(name, weights).subarray(0, rows * stride), (weight) =>
            memory.codecOf(name).encode(weight, 0),
          );
          const codec = memory.codecOf(name);
          const image = { words: packCodes(words, storageBitsOf(bits)), rows, columns, stride, codec };
          flat.set(fetchTensor(image, memory.faultSamplerOf(name, pass)), offset);
        }
        device.gpu.write(parameters.view, flat);
        return plainWeights(parameters);
      };
      const weightsOf = memory.weightsOf('fc1');
      expect(weightsOf.kind === 'plain' && weightsOf.codes16 !== undefined).toBe(bits > 8 && bits < 16);
      const defended = await bitsOfPasses(memory.weightsOf, memory.weightsOf, memory);
      expect(defended).toEqual(await bitsOfPasses(read(6), read(7)));
      expect(defended).not.toEqual(await bitsOfPasses(read(7), read(6)));
    },
  );

  it('at granularity inference every image reads its own weights, however batches are cut', async () => {
    const config = { granularity: 'inference', layers } as const;
    const together = await attack(config, 1, 2);
    expect(together.kinds).toEqual(['plain', 'fused']);
    const last = await attack(config, 1, 2, 2, 1);
    expect(new Uint32Array(last.logits.buffer)).toEqual(new Uint32Array(together.logits.slice(10).buffer));
    expect(new Uint32Array(last.gradient.buffer)).toEqual(new Uint32Array(together.gradient.slice(40).buffer));
    const otherPass = await attack(config, 1, 4);
    expect(otherPass.logits).not.toEqual(together.logits);
  });

  it('a fused layer multiplies with exactly the weights that its passes read', async () => {
    const { memory, configure } = await store();
    await configure({ path: 'fused', granularity: 'pass', layers: { fc2: uniform(0.2) } });
    await memory.load(0);
    const recorder = new Recorder(device.gpu);
    const inputs = arena!.matrix('x', 3, 6);
    const unit = (n: number) => Float32Array.from({ length: 3 * n }, (_, i) => Number(i % (n + 1) === 0));
    writeMatrix(device.gpu, inputs, unit(6));
    const run = planGraph(arena!, [SPECS[1]], inputs, { gradients: { input: true } });
    writeMatrix(device.gpu, run.gradients[1]!, unit(5));
    recordForward(recorder, arena!, [SPECS[1]], memory.weightsOf, run);
    recordBackward(recorder, arena!, [SPECS[1]], memory.weightsOf, run);
    const program = await recorder.build('layer');
    program.setStep({ passIndex: 8 });
    program.run();
    const [y, gradient] = [
      await readMatrix(device.gpu, run.values[1]),
      await readMatrix(device.gpu, run.gradients[0]!),
    ];
    const read = (name: string, pass: number) => {
      const key = readKey(tensorKey(1, 0, sliceOf(name).index), pass);
      const words = referenceRead(name, { exponent: fitted(name), rate: 0.2, key });
      const { columns, stride } = sliceOf(name);
      return new Float32Array(words.buffer).filter((_, i) => i % stride < columns);
    };
    const [w, b, back] = [read('fc2.weight', 8), read('fc2.bias', 8), read('fc2.weight', 9)];
    const expected = Float32Array.from({ length: 15 }, (_, i) => w[(i % 5) * 6 + Math.floor(i / 5)] + b[i % 5]);
    expectAllclose(y, expected, { absolute: 1e-6, relative: 0 }, 'forward');
    expect(gradient.map((value) => value + 0)).toEqual(back.subarray(0, 18).map((value) => value + 0));
  });
});
