import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  BEARDS,
  drawIdentity,
  drawPhotograph,
  FACE_INDEX_LIMIT,
  type FaceIdentity,
  type FacePhotograph,
  GLASSES,
  HAIR_STYLES,
  type Population,
} from '../../src/data/faces.ts';
import { FACE_VECTORS, packFace, renderFaces } from '../../src/data/render_faces.ts';
import { ConfigError } from '../../src/errors.ts';
import type { Gpu } from '../../src/gpu/device.ts';

const SHADER = fileURLToPath(new URL('../../shaders/image/render_face.wgsl', import.meta.url));
const people = (population: Population, count: number, seed = 1) =>
  Array.from({ length: count }, (_, i) => drawIdentity(seed, population, i));
const shots = (count: number, seed = 1) =>
  Array.from({ length: count }, (_, i) => drawPhotograph(seed, 'private', i % 50, Math.floor(i / 50)));
const numbers = (record: FaceIdentity | FacePhotograph) => Object.values(record).map(Number);
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const correlation = (a: readonly number[], b: readonly number[]) => {
  const [ma, mb] = [mean(a), mean(b)];
  const covariance = mean(a.map((value, i) => (value - ma) * (b[i] - mb)));
  return covariance / Math.sqrt(mean(a.map((x) => (x - ma) ** 2)) * mean(b.map((x) => (x - mb) ** 2)));
};

describe('identities of procedural faces', () => {
  it('identities are the same whenever and in whatever order they are generated', () => {
    const forward = people('private', 20);
    const backward = Array.from({ length: 20 }, (_, i) => drawIdentity(1, 'private', 19 - i)).reverse();
    expect(backward).toEqual(forward);
  });

  it('identities keep their parameters from version to version', () => {
    const { man, breadth, noseBase, hairStyle, beard, hairKey } = drawIdentity(1, 'private', 0);
    expect({ man, breadth, noseBase, hairStyle, beard, hairKey }).toMatchInlineSnapshot(`
      {
        "beard": 0,
        "breadth": 0.9919064986439382,
        "hairKey": 2639327596,
        "hairStyle": 8,
        "man": false,
        "noseBase": -0.5852444553885173,
      }
    `);
  });

  it('identities differ between seeds, also beyond 32 bits, and between populations', () => {
    const seeds = [0, 1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER];
    const keys = (['private', 'public'] as const).flatMap((population) =>
      seeds.flatMap((seed) => people(population, 50, seed).map((person) => numbers(person).join())),
    );
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('identities have finite parameters in sensible ranges and parts of the face in the right order', () => {
    for (const p of [...people('private', 500), ...people('public', 500)]) {
      expect(numbers(p).every(Number.isFinite)).toBe(true);
      const tones = [p.skinTone, p.hairTone, p.browTone, p.irisTone, p.clothTone, p.collarTone, p.backdrop];
      for (const tone of tones) expect(tone > 0 && tone < 0.7).toBe(true);
      const brow = p.eyeLevel + p.browHeight;
      const nose = p.eyeLevel + p.noseBase;
      const mouth = nose - p.mouthDrop;
      expect(p.crown > brow + 0.5 && brow > p.eyeLevel && nose > mouth && mouth - 1.25 * p.lips > p.chin + 0.05).toBe(
        true,
      );
      expect(p.eyeDistance - p.eyeWidth > p.noseWidth / 2 && p.eyeDistance + p.eyeWidth < p.breadth).toBe(true);
      expect(p.mouthWidth < 0.6 * p.breadth).toBe(true);
      expect(HAIR_STYLES[p.hairStyle] && BEARDS[p.beard] && GLASSES[p.glasses]).toBeTruthy();
      if (!p.man) expect([p.beard, p.shavenShade, p.recession]).toEqual([0, 0, 0]);
    }
  });

  it('parameters of identities vary and correlate like those of people', () => {
    const all = people('public', 2000);
    const of = (key: keyof FaceIdentity, among = all) => among.map((person) => Number(person[key]));
    const women = all.filter(({ man }) => !man);
    const men = all.filter(({ man }) => man);
    expect(men.length / all.length).toBeCloseTo(0.6, 1);
    expect(mean(of('jaw', men)) - mean(of('jaw', women))).toBeGreaterThan(0.2);
    expect(mean(of('browThickness', men))).toBeGreaterThan(mean(of('browThickness', women)));
    expect(correlation(of('pigment'), of('skinTone'))).toBeLessThan(-0.8);
    expect(correlation(of('pigment'), of('hairTone'))).toBeLessThan(-0.2);
    expect(correlation(of('age'), of('lines'))).toBeGreaterThan(0.6);
    expect(correlation(of('eyeDistance'), of('mouthWidth'))).toBeLessThan(0.1);
    const styles = HAIR_STYLES.map((_, i) => all.filter(({ hairStyle }) => hairStyle === i).length / all.length);
    expect(Math.min(...styles)).toBeGreaterThan(0.02);
    expect(Math.max(...styles)).toBeLessThan(0.25);
    expect(all.filter(({ glasses }) => glasses > 0).length / all.length).toBeCloseTo(0.27, 1);
  });
});

describe('photographs of procedural faces', () => {
  it('photographs are the same whenever they are generated, and all differ', () => {
    const some = shots(500);
    expect(shots(500)).toEqual(some);
    expect(new Set(some.map((shot) => numbers(shot).join())).size).toBe(500);
  });

  it('photographs share no random numbers with one another or with identities', () => {
    const words = shots(500).map(({ noiseKey }) => noiseKey);
    const keys = people('private', 500).map(({ hairKey }) => hairKey);
    expect(new Set([...words, ...keys]).size).toBe(1000);
  });

  it('photographs turn the head by at most about 20 degrees to either side', () => {
    const some = shots(2000);
    const yaws = some.map(({ yaw }) => yaw);
    expect(Math.max(...yaws)).toBeLessThanOrEqual(20);
    expect(Math.min(...yaws)).toBeGreaterThanOrEqual(-20);
    expect(Math.max(...yaws.map(Math.abs))).toBeGreaterThan(17);
    expect(Math.abs(mean(yaws))).toBeLessThan(0.5);
    for (const { pitch, roll, scale, blink } of some) {
      expect(Math.abs(pitch) <= 11 && Math.abs(roll) <= 6 && Math.abs(scale - 1) <= 0.07).toBe(true);
      expect(typeof blink).toBe('boolean');
    }
    expect(some.filter(({ blink }) => blink).length / 2000).toBeCloseTo(0.06, 1);
  });

  it('photographs can be numbered up to the limit', () => {
    const last = drawPhotograph(1, 'public', FACE_INDEX_LIMIT - 1, FACE_INDEX_LIMIT - 1);
    expect(numbers(last).every(Number.isFinite)).toBe(true);
  });
});

describe('packing faces for the shader', () => {
  it('packing fills the members of struct Face in order', () => {
    const struct = /struct Face \{([^}]*)\}/.exec(readFileSync(SHADER, 'utf8'))?.[1] ?? '';
    const members = [...struct.matchAll(/^\s*(\w+): vec4f,/gm)].map(([, name]) => name);
    expect(members).toHaveLength(FACE_VECTORS);
    const source = readFileSync(fileURLToPath(new URL('../../src/data/render_faces.ts', import.meta.url)), 'utf8');
    const packed = [...source.matchAll(/^ {4}(\w+): \[/gm)].map(([, name]) => name);
    expect([...packed, 'grain']).toEqual(members);
  });

  it('packing gives finite numbers, a rotation and unit light directions for every face', () => {
    for (const [i, person] of people('private', 200).entries()) {
      const shot = drawPhotograph(1, 'private', i, 0);
      const words = packFace(person, shot, 64);
      const f = new Float32Array(words.buffer);
      expect(words).toHaveLength(FACE_VECTORS * 4);
      expect(f.subarray(0, FACE_VECTORS * 4 - 3).every(Number.isFinite)).toBe(true);
      expect([words.at(-3), words.at(-2)]).toEqual([shot.noiseKey, person.hairKey]);
      for (const row of [0, 4, 8]) expect(Math.hypot(f[row], f[row + 1], f[row + 2])).toBeCloseTo(1, 5);
      for (const light of [12, 16]) expect(Math.hypot(f[light], f[light + 1], f[light + 2])).toBeCloseTo(1, 5);
      expect(f[16] >= 0).toBe(shot.azimuth >= 0);
      expect(f[17]).toBeCloseTo(Math.sin((shot.elevation * Math.PI) / 180), 5);
      // The camera looks along -z; with the nose turned to the right it sees the head from the left.
      expect(Math.sign(f[2])).toBe(-Math.sign(shot.yaw));
    }
  });
});

describe('errors of procedural faces', () => {
  it.each([
    ['seed', () => drawIdentity(-1, 'private', 0)],
    ['seed', () => drawIdentity(0.5, 'private', 0)],
    ['identity', () => drawIdentity(0, 'private', FACE_INDEX_LIMIT)],
    ['population', () => drawIdentity(0, 'secret' as Population, 0)],
    ['photograph', () => drawPhotograph(0, 'private', 0, -1)],
  ])('the error names the invalid argument: %s', (name, draw) => {
    expect(draw).toThrow(ConfigError);
    expect(draw).toThrow(name);
  });

  it.each([
    ['identities: 0 is not an integer in 1..', { identities: 0 }],
    ['photographs: 1.5 is not an integer in 1..', { photographs: 1.5 }],
    ['width: 7 is not an integer in 8..4096', { width: 7 }],
    ['height: 5000 is not an integer in 8..4096', { height: 5000 }],
    ['seed: -1 is not an integer in 0..', { seed: -1 }],
    ['firstIdentity: -1 is not an integer in 0..', { firstIdentity: -1 }],
    ['pixelsPerSubmit: 0 is not an integer in 64..', { pixelsPerSubmit: 0 }],
    ['population: "all" is neither', { population: 'all' as Population }],
    ['identities x photographs x width x height', { identities: 4096, width: 512, height: 1024 }],
  ])('renderFaces refuses invalid options before it touches the device: %s', async (message, wrong) => {
    const options = { population: 'private', identities: 2, photographs: 2, width: 16, height: 16, seed: 1 } as const;
    const rendering = renderFaces(undefined as unknown as Gpu, { ...options, ...wrong });
    await expect(rendering).rejects.toThrow(message);
    await expect(rendering).rejects.toThrow(ConfigError);
  });
});
