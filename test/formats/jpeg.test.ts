import { describe, expect, test } from 'vitest';
import { attempt, caseFile, concat, decode, refusal, text } from '../support/images.ts';

const PLAIN = caseFile('jpeg/plain.jpg');
const GRAY = caseFile('jpeg/gray.jpg');
const PROGRESSIVE = caseFile('jpeg/progressive.jpg');

/** The offset of the first marker of a kind. */
const find = (bytes: Uint8Array, marker: number) =>
  bytes.findIndex((byte, i) => byte === 0xff && bytes[i + 1] === marker);
const insert = (bytes: Uint8Array, at: number, ...more: number[]) =>
  concat(bytes.subarray(0, at), Uint8Array.from(more), bytes.subarray(at));
const change = (bytes: Uint8Array, at: number, ...values: number[]) => {
  const changed = bytes.slice();
  changed.set(values, at);
  return changed;
};
const segment = (marker: number, ...content: number[]) =>
  Uint8Array.of(0xff, marker, (content.length + 2) >> 8, (content.length + 2) & 255, ...content);

/** A progressive gray JPEG of `scans` scans without a coefficient that is not zero. */
function emptyScans(width: number, height: number, scans: number): Uint8Array {
  const blocks = Math.ceil(width / 8) * Math.ceil(height / 8);
  const table = (kind: number, value: number) => segment(0xc4, kind, 1, ...new Array(15).fill(0), value);
  const size = [height >> 8, height & 255, width >> 8, width & 255];
  const first = segment(0xda, 1, 1, 0, 0, 0, 1);
  const refinement = segment(0xda, 1, 1, 0, 1, 63, 0x10);
  return concat(
    Uint8Array.of(0xff, 0xd8),
    segment(0xdb, 0, ...new Array(64).fill(1)),
    segment(0xc2, 8, ...size, 1, 1, 0x11, 0),
    table(0x00, 0),
    table(0x10, 0xe0),
    first,
    new Uint8Array(Math.ceil(blocks / 8) + 1),
    ...Array.from({ length: scans - 1 }, () => concat(refinement, new Uint8Array(Math.ceil(blocks / 8000) + 2))),
    Uint8Array.of(0xff, 0xd9),
  );
}

describe('decoding a JPEG image', () => {
  test('a gray JPEG has one channel and other JPEGs three', async () => {
    expect(await decode(GRAY)).toMatchObject({ width: 83, height: 61, channels: 1 });
    expect((await decode(PLAIN)).channels).toBe(3);
    expect((await decode(caseFile('jpeg/cmyk.jpg'))).channels).toBe(3);
  });

  test('stray bytes between, after and at the end of segments change no pixel', async () => {
    for (const whole of [PLAIN, GRAY, PROGRESSIVE]) {
      const expected = await decode(whole);
      const table = find(whole, 0xdb);
      const frame = whole === PROGRESSIVE ? find(whole, 0xc2) : find(whole, 0xc0);
      const end = whole.length - 2;
      const changed = [
        insert(whole, table, 0),
        insert(whole, table, 1, 2, 3, 0xff, 0),
        insert(whole, frame, 0xff, 0xff, 0xff),
        insert(whole, frame, 0x0a),
        insert(whole, end, 0, 0, 0),
        insert(whole, end, 0xff, 0xff),
        insert(whole, whole.length, ...text('<html>')),
        insert(whole, whole.length, ...whole),
      ];
      for (const bytes of changed) expect(await decode(bytes)).toEqual(expected);
    }
  });

  test('a damaged file does not change how the next one is decoded', async () => {
    const expected = await decode(PLAIN);
    expect(await refusal(change(PLAIN, find(PLAIN, 0xc4) + 5, 255, 255))).toMatch(/damaged JPEG/);
    expect(await refusal(caseFile('jpeg/cut-half-with-end.jpg'))).toMatch(/premature end/);
    expect(await decode(PLAIN)).toEqual(expected);
    const both = await Promise.all([decode(PLAIN), refusal(caseFile('jpeg/cut-half-with-end.jpg')), decode(PLAIN)]);
    expect([both[0], both[2]]).toEqual([expected, expected]);
  });

  test('kinds of JPEG that are not decoded are named', async () => {
    const frame = find(PLAIN, 0xc0);
    expect(await refusal(change(PLAIN, frame + 1, 0xc9))).toMatch(/with arithmetic coding, which is not read; save/);
    expect(await refusal(change(PLAIN, frame + 1, 0xca))).toMatch(/with arithmetic coding/);
    expect(await refusal(change(PLAIN, frame + 1, 0xc3))).toMatch(/of the lossless kind/);
    expect(await refusal(change(PLAIN, frame + 1, 0xc5))).toMatch(/of the hierarchical kind/);
    expect(await refusal(change(PLAIN, frame + 4, 12))).toMatch(
      /a JPEG of 12 bits per sample, which is not read; save/,
    );
  });

  test('damaged headers are refused with the reason', async () => {
    const frame = find(PLAIN, 0xc0);
    const noTables = concat(PLAIN.subarray(0, find(PLAIN, 0xdb)), PLAIN.subarray(frame));
    expect(await refusal(noTables)).toMatch(/Quantization table/);
    const revision = PLAIN.findIndex((_, i) => text('JFIF').every((byte, k) => PLAIN[i + k] === byte)) + 5;
    expect(await refusal(change(noTables, revision, 9))).toMatch(/Quantization table/);
    expect(await refusal(change(PLAIN, 2, 1))).toMatch(/no segment follows/);
    expect(await refusal(change(PLAIN, frame + 2, 0, 1))).toMatch(/a segment has 1 bytes/);
    expect(await refusal(change(PLAIN, frame + 2, 0, 9))).toMatch(/header is too short/);
    expect(await refusal(change(PLAIN, frame + 9, 2))).toMatch(/2 components/);
    expect(await refusal(change(PLAIN, frame + 11, 0x50))).toMatch(/sampling factor/);
    expect(await refusal(insert(PLAIN, frame, ...PLAIN.subarray(frame, frame + 19)))).toMatch(/two headers/);
    expect(await refusal(insert(PLAIN, frame, 0xff, 0xd8))).toMatch(/another image begins/);
    expect(await refusal(Uint8Array.of(0xff, 0xd8, 0xff, 0xd9))).toMatch(/no pixels/);
    expect(await refusal(insert(PLAIN.subarray(0, 2), 2, 0xff, 0xda, 0, 2))).toMatch(/pixels begin before their size/);
  });

  test('sizes that cost much time or memory are refused by the header', async () => {
    const frame = find(PLAIN, 0xc0);
    expect(await refusal(change(PLAIN, frame + 5, 0xff, 0xdc, 0xff, 0xdc))).toMatch(/65500x65500, more than 40000000/);
    expect(await refusal(change(PLAIN, frame + 5, 0x7f, 0xff, 0, 1))).toBeTruthy();
    expect(await refusal(change(PLAIN, frame + 5, 0x10, 0, 0x10, 0))).toMatch(/truncated JPEG/);
    const cmyk = caseFile('jpeg/cmyk.jpg');
    expect(await refusal(change(cmyk, find(cmyk, 0xc0) + 5, 0x10, 0, 0x10, 0))).toMatch(/CMYK JPEG of 4096x4096/);
  });

  test('many scans are refused, and as many as encoders write are decoded', async () => {
    expect(await decode(emptyScans(64, 64, 500))).toMatchObject({ width: 64, height: 64 });
    expect(await refusal(emptyScans(64, 64, 501))).toMatch(/too many scans/);
    expect(await decode(emptyScans(2048, 2048, 20))).toMatchObject({ width: 2048, height: 2048 });
    expect(await refusal(emptyScans(2048, 2048, 260))).toMatch(/too many scans/);
  });

  test('every prefix of a JPEG is refused', async () => {
    const names = [
      'plain',
      'gray',
      'progressive',
      'cmyk',
      'rgb-stored',
      'restart-blocks',
      'sample-2x4',
      'orientation-6',
    ];
    for (const name of names) {
      const whole = caseFile(`jpeg/${name}.jpg`);
      for (let end = 1; end < whole.length; end++) await refusal(whole.subarray(0, end));
    }
  });

  test('every prefix of the data of a gray JPEG, with an end, is refused or has all pixels', async () => {
    const expected = await decode(GRAY);
    for (let end = find(GRAY, 0xda) + 10; end < GRAY.length; end += 11) {
      const outcome = await attempt(concat(GRAY.subarray(0, end), Uint8Array.of(0xff, 0xd9)));
      if (typeof outcome !== 'string') expect(outcome).toEqual(expected);
    }
  });
});
