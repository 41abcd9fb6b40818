/**
 * Makes src/web/shipped/: results of the shipped networks that the page shows before its engine is ready. Run by itself, after a
 * change of the networks or of what the page measures: `npx tsx test/support/ship_page.ts` (some minutes on a software adapter).
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { encodePng } from '../../src/web/png.ts';
import type { Pictures, ShownAttack } from '../../src/web/protocol.ts';
import { DEFAULTS, RATES, type Setting } from '../../src/web/setting.ts';
import type { ShippedResults } from '../../src/web/shipped.ts';
import { pointOf } from '../../src/web/verdict.ts';
import { Page } from './page.ts';

const FOLDER = fileURLToPath(new URL('../../src/web/shipped/', import.meta.url));

/** One draw suffices: the page counts, and does not compare. */
export const SHIPPED_SETTING: Setting = { ...DEFAULTS, draws: 1 };
/** Rate of the attack that reconstructs people, and the number of people and of iterations that are shipped. */
const PEOPLE = { rate: 2 ** -5, shown: 5, iterations: 8 };
/** Quality of the JPEG files, 0..100. */
const QUALITY = 72;

/** The reconstructions of held-out photographs by the plain attacker. */
export function heldOut(attacks: readonly ShownAttack[]): ShownAttack {
  return attacks.find(({ output }) => output.split === 'held-out' && output.attacker === 'direct')!;
}

/** Gray pictures of equal size in a sheet, one row for each entry. */
function sheetOf(rows: readonly Pictures[]): { width: number; height: number; pixels: Uint8Array } {
  const [{ width, height, images }] = rows;
  const sheet = { width: width * images.length, height: height * rows.length };
  const pixels = new Uint8Array(sheet.width * sheet.height);
  for (const [r, row] of rows.entries()) {
    for (const [c, image] of row.images.entries()) {
      for (let y = 0; y < height; y++) {
        pixels.set(image.subarray(y * width, (y + 1) * width), (r * height + y) * sheet.width + c * width);
      }
    }
  }
  return { ...sheet, pixels };
}

async function writeJpeg(name: string, rows: readonly Pictures[]): Promise<void> {
  const { width, height, pixels } = sheetOf(rows);
  const { default: encode, init } = await import('@jsquash/jpeg/encode.js');
  const wasm = createRequire(import.meta.url).resolve('@jsquash/jpeg/codec/enc/mozjpeg_enc.wasm');
  await init(await WebAssembly.compile(readFileSync(wasm)));
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  for (const [i, value] of pixels.entries()) data.fill(value, 4 * i, 4 * i + 3);
  // Colour space 1 is gray.
  const image = { data, width, height, colorSpace: 'srgb' } as ImageData;
  const bytes = await encode(image, { quality: QUALITY, color_space: 1 });
  writeFileSync(join(FOLDER, name), new Uint8Array(bytes));
}

/** Indices of `count` entries, the last of which is the last. */
function spread(length: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.round(((i + 1) * length) / count) - 1);
}

async function ship(): Promise<void> {
  const page = new Page();
  await page.ask({ kind: 'open', url: 'https://example.org/' });
  const { names, ...truth } = page.of('victim')[0].truth['held-out'];
  const faces: Pictures[] = [truth];
  const points: ReturnType<typeof pointOf>[] = [];
  const weights: Map<number, { code: number; value: number; reads: number[]; readValues: number[] }> = new Map();
  let first: Uint8Array | undefined;
  let tensor: ShippedResults['tensor'] | undefined;
  for (const [index, rate] of RATES.entries()) {
    const setting = { ...SHIPPED_SETTING, rate };
    await page.ask({ kind: 'measure', setting });
    for (const { what, attacks } of page.of('measured')) {
      if (what === 'none' && index > 0) continue;
      const { row, pictures } = heldOut(attacks);
      faces.push(pictures);
      points.push(pointOf(row));
    }
    for (const [i, { code, value, read, readValue }] of page.of('weights')[0].weights.entries()) {
      const known = weights.get(i) ?? { code, value, reads: [], readValues: [] };
      known.reads.push(read);
      known.readValues.push(readValue);
      weights.set(i, known);
    }
    await page.ask({ kind: 'map', setting });
    const [{ rows, columns, stride, bits, flips }] = page.of('map');
    tensor = { name: setting.tensor, bits, rows, columns };
    first ??= new Uint8Array(rows * columns).fill(RATES.length);
    for (const i of first.keys()) {
      if (first[i] === RATES.length && flips[Math.floor(i / columns) * stride + (i % columns)] !== 0) first[i] = index;
    }
    console.log(`rate ${index + 1} of ${RATES.length}`);
  }
  await page.ask({ kind: 'invert', setting: { ...SHIPPED_SETTING, rate: PEOPLE.rate } });
  const replies = page.of('inversion');
  const only = (pictures: Pictures): Pictures => ({ ...pictures, images: pictures.images.slice(0, PEOPLE.shown) });
  const framesOf = (what: 'none' | 'memory') => {
    const frames = replies.filter((reply) => reply.what === what);
    return spread(frames.length, PEOPLE.iterations).map((i) => frames[i]);
  };
  const [none, memory] = [framesOf('none'), framesOf('memory')];
  const [people] = replies;
  const endOf = (what: 'none' | 'memory') => pointOf(replies.find((reply) => reply.what === what && reply.row)!.row!);
  const { width, height } = people.pictures;
  const results: ShippedResults = {
    names,
    none: points[0],
    rates: points.slice(1),
    tensor: tensor!,
    weights: [...weights.values()],
    people: {
      rate: PEOPLE.rate,
      names: people.names.slice(0, PEOPLE.shown),
      iterations: none.map(({ iteration }) => iteration),
      none: endOf('none'),
      memory: endOf('memory'),
      width,
      height,
    },
  };
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, 'results.json'), `${JSON.stringify(results)}\n`);
  await writeJpeg('faces.jpg', faces);
  await writeJpeg(
    'people.jpg',
    [people, ...none, ...memory].map(({ pictures }) => only(pictures)),
  );
  writeFileSync(join(FOLDER, 'flips.png'), encodePng(first!, tensor!.columns, tensor!.rows));
  await page.session.close();
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await ship();
