/** Proofs of how bits are stored: inverted blocks, and bits in good places. */
import type { FaultModel } from '../../memory/config.ts';
import { type Count, exactly, judge, type Layer, type Proof, stored } from './proof.ts';
import { countBits, forEachBit, onesIn, type Specimen } from './specimen.ts';

/** Storage formats whose blocks are counted: 12 of 16, 8 of 8 and 32 of 32 bits of a code carry its value. */
const FORMATS = ['fixed', 'int8', 'fp32'] as const;

/** The words of the codes as inverted storage holds them, by its definition. */
function heldWords(words: Uint32Array, storageBits: number, bits: number, avoided: 0 | 1): Uint32Array {
  const held = Uint32Array.from(words);
  const each = storageBits / 2;
  const used = usedMask(storageBits, bits);
  for (let first = 0; first < words.length; first += each) {
    let many = 0;
    for (let i = first; i < first + each; i++) many += onesIn((avoided === 1 ? words[i] : ~words[i]) & used);
    if (2 * many <= 16 * bits) continue;
    for (let i = first; i < first + each; i++) held[i] ^= used;
  }
  return held;
}

export async function* inverted(specimen: Specimen): AsyncGenerator<Proof> {
  const counts: Count[] = [];
  let differences = 0;
  let words = 0;
  const expectations: string[] = [];
  let moreThanPlain = 0;
  for (const kind of FORMATS) {
    for (const [zeroToOne, oneToZero] of [
      [0.002, 0.018],
      [0.03, 0.01],
    ]) {
      const layer = (low: number, high: number, rest: Partial<Layer> = {}) => {
        const model: FaultModel = { kind: 'asymmetric', zeroToOne: low, oneToZero: high, drawn: 'read' };
        return stored([model], { format: { kind }, ...rest });
      };
      const avoided = oneToZero > zeroToOne ? 1 : 0;
      // Rates that round to zero in steps of 2^-32, but still say which value is avoided.
      await specimen.load(layer(zeroToOne * 1e-14, oneToZero * 1e-14, { inverted: true }));
      differences += countBits(await specimen.wrong());
      words += specimen.stored.length;
      await specimen.load(layer(zeroToOne, oneToZero, { inverted: true }));
      const { storageBits, bits } = specimen.codec;
      const held = heldWords(specimen.stored, storageBits, bits, avoided);
      const cells = (held.length * 32 * bits) / storageBits;
      const wrong = await specimen.wrong();
      const wrongOnes = countBits(wrong.map((word, i) => word & held[i]));
      const ones = countBits(held, usedMask(storageBits, bits));
      const of = `${kind}, ${zeroToOne} and ${oneToZero}`;
      counts.push(
        { of: `${of}: cells that hold 1`, times: wrongOnes, trials: ones, probability: oneToZero },
        {
          of: `${of}: cells that hold 0`,
          times: countBits(wrong) - wrongOnes,
          trials: cells - ones,
          probability: zeroToOne,
        },
      );
      const plainOnes = countBits(specimen.stored, usedMask(storageBits, bits));
      const expected = (count: number) => count * oneToZero + (cells - count) * zeroToOne;
      if (expected(ones) > expected(plainOnes)) moreThanPlain++;
      expectations.push(`${of}: ${(expected(ones) / expected(plainOnes)).toFixed(3)}`);
    }
  }
  yield exactly('inverted storage returns the same codes if no cell fails', differences, `${words} words`);
  yield judge('inverted storage: cells fail by what they hold, after inversion', counts);
  yield {
    claim: 'inverted storage has no more flips than plain storage in expectation',
    measured: `flips of those of plain storage, ${expectations.join('; ')}`,
    ok: moreThanPlain === 0,
  };
}

/** A word with the used bits of its codes. */
function usedMask(storageBits: number, bits: number): number {
  let mask = 0;
  for (let bit = 0; bit < 32; bit++) if (bit % storageBits < bits) mask |= 1 << bit;
  return mask;
}

export async function* reordered(specimen: Specimen): AsyncGenerator<Proof> {
  const rates = [0.01, 0.002, 0.06, 0.004, 0.02, 0.001, 0, 0.03, 0.005, 0.05, 0.008, 0.04];
  const model: FaultModel = { kind: 'bit-plane', rates, drawn: 'read' };
  await specimen.load(stored([model], { reordered: true }));
  const wrong = await specimen.wrong();
  const { storageBits, bits } = specimen.codec;
  const flips = new Array<number>(bits).fill(0);
  forEachBit(wrong, (_, bit) => {
    flips[bit % storageBits]++;
  });
  const trials = (wrong.length * 32) / storageBits;
  const best = [...rates].sort((a, b) => a - b);
  yield judge(
    'reordered bits: the highest bit fails at the lowest rate of all places, and so on down',
    flips.map((times, bit) => ({ of: `bit ${bit}`, times, trials, probability: best[bits - 1 - bit] })),
  );
}
