import { afterEach, describe, expect, it } from 'vitest';
import { Arena } from '../../src/gpu/arena.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import { BitVotes, VotedParameters } from '../../src/injection/majority_vote.ts';
import { type Granularity, parseMemoryConfig } from '../../src/memory/config.ts';
import { layerNames, modelSpec } from '../../src/models/specs.ts';
import { Random } from '../../src/random.ts';
import { useGpu } from '../support/gpu.ts';
import { randomParameters, TOY } from '../support/toy.ts';

describe('votes on bits', () => {
  it.each([1, 2, 3, 4, 7, 8, 20])('the majority of %d reads is that of a count per bit', (count) => {
    const random = new Random(count);
    const reads = Array.from({ length: count }, () => Uint32Array.from({ length: 9 }, () => random.nextU32()));
    const votes = new BitVotes(reads[0]);
    for (const read of reads.slice(1)) votes.add(read);
    const expected = reads[0].map((first, i) => {
      let word = 0;
      for (let bit = 0; bit < 32; bit++) {
        const set = reads.filter((read) => (read[i] >>> bit) & 1).length;
        if (2 * set > count || (2 * set === count && (first >>> bit) & 1)) word |= 1 << bit;
      }
      return word;
    });
    expect(votes.majority).toEqual(expected);
  });
});

describe('parameters by majority vote', () => {
  const device = useGpu();
  const SPEC = modelSpec('mlp', TOY.pixels, TOY.classes, [6]);
  let arena: Arena | undefined;
  afterEach(() => arena?.destroy());

  async function scene(granularity: Granularity, layers: object) {
    arena = new Arena(device.gpu);
    const memory = await ApproximateMemory.store(arena, randomParameters(arena, SPEC, 3));
    const configure = async (rate: number) => {
      const stored = { kind: 'stored', faults: [{ kind: 'uniform', bitErrorRate: rate }] };
      const named = Object.fromEntries(Object.entries(layers).map(([name, kind]) => [name, kind ?? stored]));
      await memory.configure(parseMemoryConfig({ granularity, layers: named }, layerNames(SPEC)));
    };
    const voted = new VotedParameters(arena, memory);
    const words = async (name: string) => {
      const matrix = voted.parameters.matrix(name);
      return (await device.gpu.readWords(matrix)).slice(0, matrix.rows * matrix.stride);
    };
    return { memory, configure, voted, words };
  }
  const STORED = { fc1: undefined, fc2: undefined };

  it.each(['load', 'pass'] as const)(
    'fifteen reads recover what was stored, for errors per %s',
    async (granularity) => {
      const { memory, configure, voted, words } = await scene(granularity, STORED);
      await configure(0.02);
      await memory.load(0);
      const once = await memory.fetchCodes('fc1.weight');
      expect(once).not.toEqual(await memory.readCodes('fc1.weight'));
      await voted.recover(15, async (read) => {
        if (granularity === 'load') await memory.load(read);
      });
      const recovered = new Map<string, Uint32Array>();
      for (const { name } of memory.exact.layout.slices) recovered.set(name, await words(name));
      await configure(0);
      await memory.load(0);
      if (granularity === 'pass')
        return expect(recovered.get('fc1.weight')).toEqual(await stored(memory, 'fc1.weight'));
      for (const [name, own] of recovered) expect(own, name).toEqual(await memory.fetchedWeights(name));
    },
  );

  /** The stored codes of a parameter, decoded. */
  async function stored(memory: ApproximateMemory, name: string): Promise<Uint32Array> {
    const parameters = new VotedParameters(arena!, memory).parameters;
    await memory.decode(new Map([[name, await memory.readCodes(name)]]), parameters);
    const matrix = parameters.matrix(name);
    return (await device.gpu.readWords(matrix)).slice(0, matrix.rows * matrix.stride);
  }

  it('no number of reads recovers a bit of a chip, whose faults never change', async () => {
    const { memory, configure, voted, words } = await scene('chip', STORED);
    await configure(0.02);
    await memory.load(0);
    await voted.recover(15, async () => {});
    for (const { name } of memory.exact.layout.slices) {
      expect(await words(name), name).toEqual(await memory.fetchedWeights(name));
    }
    expect(await words('fc1.weight')).not.toEqual(await stored(memory, 'fc1.weight'));
  });

  it.each(['load', 'pass'] as const)(
    'weights with noise per %s are the mean of the reads, and exact layers stay exact',
    async (granularity) => {
      const { memory, configure, voted, words } = await scene(granularity, { fc1: { kind: 'gaussian', scale: 0.1 } });
      await configure(0);
      const exact = await device.gpu.readFloats(memory.exact.matrix('fc1.weight'));
      const deviation = async (count: number) => {
        await memory.load(0);
        await voted.recover(count, async (read) => {
          if (granularity === 'load') await memory.load(read);
        });
        const values = new Float32Array((await words('fc1.weight')).buffer);
        return Math.sqrt(values.reduce((sum, value, i) => sum + (value - exact[i]) ** 2, 0) / (TOY.pixels * 6));
      };
      expect(await deviation(1)).toBeCloseTo(0.1, 1);
      expect(await deviation(16)).toBeLessThan(0.04);
      const other = memory.exact.matrix('fc2.weight');
      const expected = (await device.gpu.readWords(other)).slice(0, other.rows * other.stride);
      expect(await words('fc2.weight')).toEqual(expected);
    },
  );
});
