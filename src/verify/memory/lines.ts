/** Proofs of faults that share a line of the memory, and of the code that corrects a word. */
import type { FaultModel } from '../../memory/config.ts';
import { deviceKey, LINE_KIND } from '../../memory/fault_sampler.ts';
import { pcg4d } from '../../memory/hash.ts';
import { dimmOfChip, lineErrorRate, VENDORS, voltageRange } from '../../memory/undervolting.ts';
import { type Count, GEOMETRY, judge, type Proof, SEED, stored, uniform } from './proof.ts';
import { countBits, forEachBit, type Specimen } from './specimen.ts';

/** True if a line is in the weak share of the lines of its kind, by the definition of the model. */
function inShare(kind: keyof typeof LINE_KIND, line: number, chip: number, share: number): boolean {
  const [x, y] = deviceKey(SEED, chip);
  return pcg4d(line, LINE_KIND[kind], x, y)[0] < Math.round(share * 2 ** 32);
}

export async function* lines(specimen: Specimen): AsyncGenerator<Proof> {
  const format = { kind: 'int8' } as const; // all bits of a line are cells of codes
  const [rowBits, wordsOfRow] = [GEOMETRY.rowBytes * 8, GEOMETRY.rowBytes / 4];
  const memberships = (kind: keyof typeof LINE_KIND, share: number, count: number) =>
    Uint8Array.from({ length: count }, (_, line) => Number(inShare(kind, line, 0, share)));

  const [share, weakCells] = [0.1, 0.03];
  for (const model of ['EM1', 'EM2'] as const) {
    await specimen.load(stored([{ kind: 'eden', model, lines: [{ share, weakCells, failure: 1 }] }], { format }));
    const wrong = await specimen.wrong();
    const kind = model === 'EM1' ? 'bitline' : 'wordline';
    const rows = wrong.length / wordsOfRow;
    const weak = memberships(kind, share, model === 'EM1' ? GEOMETRY.banks * rowBits : rows);
    const lineOf = (word: number, bit: number) => {
      const row = Math.floor(word / wordsOfRow);
      return model === 'EM2' ? row : (row % GEOMETRY.banks) * rowBits + (word % wordsOfRow) * 32 + bit;
    };
    let [inside, outside] = [0, 0];
    forEachBit(wrong, (word, bit) => {
      if (weak[lineOf(word, bit)]) inside++;
      else outside++;
    });
    const reached = model === 'EM1' ? Math.min(GEOMETRY.banks, rows) * rowBits : rows;
    const weakLines = weak.subarray(0, reached).reduce((sum, each) => sum + each, 0);
    const cells = (weakLines / reached) * wrong.length * 32;
    yield judge(`EDEN ${model}: cells fail in weak ${kind}s at their rate, and nowhere else`, [
      { of: `weak ${kind}s`, times: weakLines, trials: reached, probability: share },
      { of: 'failing cells of weak lines', times: inside, trials: Math.round(cells), probability: weakCells },
      { of: 'failing cells elsewhere', times: outside, trials: wrong.length * 32, probability: 0 },
    ]);
  }

  const clusters = (wrong: Uint32Array) => {
    let [bad, bits] = [0, 0];
    for (let line = 0; line < wrong.length / 16; line++) {
      const count = countBits(wrong.subarray(16 * line, 16 * line + 16));
      if (count > 0) bad++;
      bits += count;
    }
    return { bad, bits, lines: wrong.length / 16 };
  };
  const [badLines, density] = [0.2, 0.002];
  const clustered: Count[] = [];
  for (const [name, cells] of [
    ['int8', 512],
    ['fixed', 384],
  ] as const) {
    const model: FaultModel = { kind: 'clustered', lines: badLines, bitErrorRate: density, drawn: 'read' };
    await specimen.load(stored([model], { format: { kind: name } }));
    const found = clusters(await specimen.wrong());
    const drawnShare = badLines / (1 - (1 - density) ** cells);
    const drawn = memberships('cache-line', drawnShare, found.lines).reduce((sum, each) => sum + each, 0);
    clustered.push(
      { of: `${name}: lines with an error`, times: found.bad, trials: found.lines, probability: badLines },
      { of: `${name}: bits of bad lines`, times: found.bits, trials: drawn * cells, probability: density },
    );
  }
  yield judge(
    'clustered: the given share of cache lines shows an error, and bits of bad lines fail at their rate',
    clustered,
  );

  const counts: Count[] = [];
  for (const vendor of VENDORS) {
    for (let chip = 0; chip < 5; chip++) {
      const dimm = dimmOfChip(vendor, chip);
      const volts = voltageRange(dimm).lowest;
      const model: FaultModel = { kind: 'voltage', vendor, volts, bitErrorRate: 0.05, drawn: 'read' };
      await specimen.load(stored([model], { format }), { granularity: 'chip', chip });
      const { bad, lines: trials } = clusters(await specimen.wrong());
      counts.push({ of: `${dimm.name} at ${volts} V`, times: bad, trials, probability: lineErrorRate(dimm, volts) });
    }
  }
  yield judge('voltage: five DIMMs of each vendor show the measured share of bad cache lines', counts);
}

export async function* corrected(specimen: Specimen): AsyncGenerator<Proof> {
  const counts: Count[] = [];
  for (const rate of [1e-4, 1e-3, 0.01]) {
    await specimen.load(stored([uniform(rate)], { format: { kind: 'int8' }, ecc: { detected: 'pass' } }));
    const wrong = await specimen.wrong();
    let right = 0;
    for (let i = 0; i < wrong.length; i += 2) if ((wrong[i] | wrong[i + 1]) === 0) right++;
    // A word is read correctly if it has no error or one, two errors among the check bits (8 choose 2), or three there that
    // the decoder takes for an error of one check bit; rarer cases are negligible.
    const q = 1 - rate;
    const probability = q ** 72 + 72 * rate * q ** 71 + 28 * rate ** 2 * q ** 70 + CHECK_TRIPLES * rate ** 3 * q ** 69;
    counts.push({ of: `words at ${rate}`, times: right, trials: wrong.length / 2, probability });
  }
  yield judge('SECDED(72,64): words are read correctly as often as the errors it can correct predict', counts);
}

/** Number of triples of errors among the 8 check bits that leave all data bits right: their syndrome names no data bit. */
const CHECK_TRIPLES = 15;
