/**
 * Samples the parameters of faces of people who do not exist. An identity contains the parameters that stay the same from
 * photograph to photograph (bones, hair, skin, glasses), a photograph those that change (pose, light, expression, framing,
 * noise). Both are sampled by a counter-based hash, so each person and photograph can be sampled alone, in any order and on
 * any machine. src/data/render_faces.ts renders them.
 *
 * Lengths are in units of half the breadth of an average head (7.6 cm); y = 0 is the line of the eyes, y points up.
 * Albedos and other tones are linear reflectances, 0..1. The proportions follow the canons of portrait drawing (eyes at
 * half the height of the head, base of the nose half-way from brow to chin) and were then judged by eye.
 */
import { ConfigError } from '../errors.ts';
import { pcg4d } from '../memory/hash.ts';

/** Two populations that share no person: the victim is trained on `private` people, an attacker may use `public` ones. */
export type Population = 'private' | 'public';

/** The parameters that a hair style fixes; an identity adds volume, tone, hairline and parting. */
export interface HairStyle {
  readonly name: string;
  /** How frequent it is among men and among women, relative weights. */
  readonly men: number;
  readonly women: number;
  /** Thickness over the skull: on top, at the sides, in front. */
  readonly top: number;
  readonly side: number;
  readonly front: number;
  /** y at which the hair ends, and an addition to its half breadth there. Hair ending below -0.6 hangs beside the face. */
  readonly end: number;
  readonly flare: number;
  /** Hairline: y in the middle, how far it recedes beside the middle, how far it drops at the temples, slope. */
  readonly line: number;
  readonly recess: number;
  readonly drop: number;
  readonly tilt: number;
  /** Edge against the face: size of the tips of hair, width of the transition, |x| of the side edge. */
  readonly jag: number;
  readonly softness: number;
  readonly opening: number;
  /** 0 straight .. 0.25 afro. */
  readonly curl: number;
  /** Strands per unit of length. */
  readonly strands: number;
  /** Share of the skin that the hair covers, 0..1. */
  readonly cover: number;
}

const STRAIGHT = { recess: 0, tilt: 0, jag: 0.15, softness: 0.02, opening: 0.83, curl: 0, strands: 12, cover: 1 };
const CROPPED = { ...STRAIGHT, end: 0.02, flare: 0 };
const HANGING = { ...STRAIGHT, opening: 0.78 };

/** The styles, by index. */
// biome-ignore format: a table
export const HAIR_STYLES: readonly HairStyle[] = [
  { ...CROPPED, name: 'bald', men: 0.06, women: 0, top: -0.03, side: 0.05, front: 0, line: 1.9, drop: 1,
    jag: 0.1, softness: 0.09, opening: 0.93, cover: 0.75 },
  { ...CROPPED, name: 'buzz cut', men: 0.16, women: 0.01, top: 0.05, side: 0.04, front: 0.02, line: 1.02, recess: 0.06,
    drop: 0.75, jag: 0.08, softness: 0.06 },
  { ...CROPPED, name: 'side parting', men: 0.26, women: 0.03, top: 0.17, side: 0.09, front: 0.06, end: 0, flare: 0.02,
    line: 0.92, recess: 0.04, drop: 0.55, tilt: 0.18, jag: 0.18 },
  { ...STRAIGHT, name: 'fringe', men: 0.14, women: 0.08, top: 0.16, side: 0.12, front: 0.1, end: -0.05, flare: 0.05,
    line: 0.6, drop: 0.5, tilt: 0.12, jag: 0.3 },
  { ...CROPPED, name: 'quiff', men: 0.16, women: 0.01, top: 0.3, side: 0.07, front: 0.1, line: 0.95, recess: 0.05,
    drop: 0.6, tilt: 0.05, jag: 0.2, curl: 0.1 },
  { ...STRAIGHT, name: 'curly', men: 0.14, women: 0.06, top: 0.28, side: 0.2, front: 0.1, end: -0.15, flare: 0.08,
    line: 0.85, drop: 0.55, tilt: 0.05, jag: 0.26, softness: 0.05, curl: 0.22 },
  { ...HANGING, name: 'bob', men: 0.01, women: 0.24, top: 0.16, side: 0.2, front: 0.08, end: -1.2, flare: 0.3,
    line: 0.8, drop: 0.5, tilt: 0.3 },
  { ...HANGING, name: 'long', men: 0.05, women: 0.3, top: 0.13, side: 0.14, front: 0.06, end: -2.6, flare: 0.35,
    line: 0.98, recess: -0.02, drop: 0.7, tilt: 0.08, jag: 0.1 },
  { ...HANGING, name: 'long curls', men: 0.01, women: 0.16, top: 0.22, side: 0.3, front: 0.08, end: -2.4, flare: 0.6,
    line: 0.9, drop: 0.6, tilt: 0.1, jag: 0.22, softness: 0.05, curl: 0.2 },
  { ...CROPPED, name: 'tied back', men: 0.01, women: 0.14, top: 0.09, side: 0.05, front: 0.02, line: 1, recess: 0.02,
    drop: 0.75, jag: 0.06, strands: 14 },
];

/** Facial hair, from least to most. */
export const BEARDS = ['none', 'stubble', 'moustache', 'goatee', 'full beard'] as const;
export const GLASSES = ['none', 'dark frame', 'thin frame', 'heavy frame'] as const;

/** The parameters of a person, which are the same in all photographs. */
export interface FaceIdentity {
  /** True if the parameters were sampled from the distributions of men, false if from those of women. */
  readonly man: boolean;
  /** 0 (about 20 years) .. 1 (about 70): grey, thin hair, lines, glasses. */
  readonly age: number;
  /** 0 (fair) .. 1 (dark): skin, hair and eyes, with correlated shapes of nose, lips and hair. */
  readonly pigment: number;

  /** Half breadth of the skull, its half depth, y of crown and chin. */
  readonly breadth: number;
  readonly depth: number;
  readonly crown: number;
  readonly chin: number;
  /** Outline of the lower face, 0 narrow .. 1 broad: at the angle of the jaw, at the chin. */
  readonly jaw: number;
  readonly chinBreadth: number;
  /** Depths and heights of the relief. */
  readonly socket: number;
  readonly browRidge: number;
  readonly cheekbone: number;
  readonly chinBall: number;
  readonly muzzle: number;

  /** y of the eyes, distance of an eye from the middle, half width, opening, slant, height difference of the two sides. */
  readonly eyeLevel: number;
  readonly eyeDistance: number;
  readonly eyeWidth: number;
  readonly eyeOpening: number;
  readonly eyeSlant: number;
  readonly asymmetry: number;
  readonly irisTone: number;
  /** Brows: height over the eyes, half thickness, slope, arch, tone. */
  readonly browHeight: number;
  readonly browThickness: number;
  readonly browTilt: number;
  readonly browArch: number;
  readonly browTone: number;
  /** Nose: y of its base relative to the eyes, half width, projection. */
  readonly noseBase: number;
  readonly noseWidth: number;
  readonly noseProjection: number;
  /** Mouth: distance below the nose, half width, height of the upper lip, lift of the corners. */
  readonly mouthDrop: number;
  readonly mouthWidth: number;
  readonly lips: number;
  readonly mouthCorners: number;
  /** Ears: y of the middle, half height, how far they stand out. */
  readonly earLevel: number;
  readonly earHeight: number;
  readonly earOut: number;

  readonly skinTone: number;
  /** Strength of folds, lines and bags; of make-up; of the shade of a shaven beard. */
  readonly lines: number;
  readonly makeup: number;
  readonly shavenShade: number;

  /** Index into {@link HAIR_STYLES}. */
  readonly hairStyle: number;
  readonly hairTone: number;
  /** Factor on the style's thickness. */
  readonly hairVolume: number;
  /** Offsets of the hairline's height and recess; x of the parting. */
  readonly hairlineShift: number;
  readonly recession: number;
  readonly parting: number;
  /** Seed of the strands, a u32. */
  readonly hairKey: number;
  /** Index into {@link BEARDS}. */
  readonly beard: number;

  /** Index into {@link GLASSES}; factor on the size of the lenses. */
  readonly glasses: number;
  readonly glassesSize: number;
  /** Half width of the neck; clothes: tone, tone of the collar, open or round, depth of the neckline. */
  readonly neck: number;
  readonly clothTone: number;
  readonly collarTone: number;
  readonly openCollar: boolean;
  readonly neckline: number;
  /** Tone of the wall behind; it belongs to the person, because all photographs were taken in one place. */
  readonly backdrop: number;
}

/** The parameters of a photograph of a person. */
export interface FacePhotograph {
  /** Degrees; positive turns the nose to the right of the image, downwards, and tilts the head to the left. */
  readonly yaw: number;
  readonly pitch: number;
  readonly roll: number;
  /** Position of the key light in degrees: to the right of the camera, and above it. */
  readonly azimuth: number;
  readonly elevation: number;
  /** Strength of the key light and of the ambient light; exposure. */
  readonly keyLight: number;
  readonly ambient: number;
  readonly exposure: number;
  /** Strength of the smile, -0.12 (earnest) .. 1. */
  readonly smile: number;
  /** How far the mouth is open, the brows are raised (-1..1.2), and the eyes are opened beyond their usual opening. */
  readonly mouthOpen: number;
  readonly browRaise: number;
  readonly eyesWide: number;
  readonly blink: boolean;
  /** Direction of the eyes: shift of the iris. */
  readonly gazeX: number;
  readonly gazeY: number;
  /** Shift of the head in the frame, in units, and its scale. */
  readonly x: number;
  readonly y: number;
  readonly scale: number;
  /** Factor on the backdrop's tone, and its slopes per unit of length. */
  readonly backdrop: number;
  readonly backdropX: number;
  readonly backdropY: number;
  /** Standard deviation of the sensor noise in levels of 255, and its seed, a u32. */
  readonly noise: number;
  readonly noiseKey: number;
  /** True if the person has taken the glasses off, as in a few photographs. */
  readonly glassesOff: boolean;
}

/** Number of counter values reserved for each photograph. */
const SAMPLES_PER_PHOTOGRAPH = 64;
/** The largest index of an identity or a photograph, exclusive. */
export const FACE_INDEX_LIMIT = 2 ** 24;

/**
 * Samples the parameters of a person.
 *
 * @param seed integer in 0..2^53-1
 * @param identity integer in 0..2^24-1
 * @throws ConfigError when an argument is out of range
 */
export function drawIdentity(seed: number, population: Population, identity: number): FaceIdentity {
  const d = new FaceSampler(seed, population, 0, identity, 0);
  // Every number is sampled, even if it is not used, so that each parameter keeps its counter.
  const man = d.chance(0.6);
  const g = man ? 1 : -1;
  const age = d.uniform();
  const pigment = clamp(d.uniform() ** 1.8 + d.normal(0, 0.06), 0, 1);
  const hairDraw = d.uniform();
  const grey = clamp((age - (man ? 0.62 : 0.8)) * 2.3 + d.normal(0, 0.25), 0, man ? 1 : 0.7);
  const dark = 0.018 + 0.32 * clamp(hairDraw * (1.3 - 1.25 * pigment), 0, 1) ** 2.4;
  const hairTone = dark + (0.42 - dark) * grey;
  const clothTone = 0.02 + 0.55 * d.uniform() ** 2;
  const whiteCollar = d.chance(0.45);
  const collarBrightness = d.uniform(0.44, 0.6);
  const recession = (age - 0.35) * 0.25 + d.normal(0, 0.05);
  const partingSide = d.chance(0.5) ? 1 : -1;
  const beard = d.pick([0.45, 0.25, 0.07, 0.1, 0.13]);
  const shavenShade = clamp(d.normal(0.14, 0.07), 0, 0.3);
  const wearsGlasses = d.chance(0.16 + 0.22 * age);
  const glasses = 1 + d.pick([0.4, 0.35, 0.25]);
  const makeup = d.uniform();
  return {
    man,
    age,
    pigment,
    breadth: clamp(d.normal(0.98 + 0.015 * g, 0.05), 0.86, 1.12),
    depth: clamp(d.normal(1.08, 0.03), 1, 1.16),
    crown: clamp(d.normal(1.36, 0.06), 1.2, 1.52),
    chin: clamp(d.normal(-1.43 - 0.05 * g, 0.08), -1.72, -1.25),
    jaw: clamp(d.normal(0.4 + 0.17 * g, 0.22), 0, 1),
    chinBreadth: clamp(d.normal(0.45 + 0.13 * g, 0.22), 0, 1),
    socket: clamp(d.normal(0.1 + 0.015 * g, 0.025), 0.04, 0.17),
    browRidge: clamp(d.normal(0.03 + 0.02 * g, 0.018), 0, 0.09),
    cheekbone: clamp(d.normal(0.07, 0.03), 0, 0.15),
    chinBall: clamp(d.normal(0.08 + 0.02 * g, 0.03), 0.01, 0.17),
    muzzle: clamp(d.normal(0.1, 0.025), 0.03, 0.18),
    eyeLevel: clamp(d.normal(0, 0.03), -0.1, 0.1),
    eyeDistance: clamp(d.normal(0.425, 0.026), 0.36, 0.5),
    eyeWidth: clamp(d.normal(0.195 - 0.006 * g, 0.016), 0.155, 0.24),
    eyeOpening: clamp(d.normal(0.085 - 0.006 * g, 0.014), 0.05, 0.125),
    eyeSlant: clamp(d.normal(0.02 - 0.02 * g, 0.07), -0.2, 0.2),
    asymmetry: clamp(d.normal(0, 0.008), -0.025, 0.025),
    irisTone: 0.03 + 0.22 * clamp(d.uniform() * 1.2 * (1 - pigment), 0, 1) ** 1.3,
    browHeight: clamp(d.normal(0.285 - 0.025 * g, 0.03), 0.2, 0.38),
    browThickness: clamp(d.normal(0.05 + 0.013 * g, 0.014), 0.022, 0.095),
    browTilt: clamp(d.normal(0, 0.03), -0.08, 0.08),
    browArch: clamp(d.normal(0.045 - 0.02 * g, 0.02), 0, 0.1),
    browTone: 0.03 + 0.35 * hairTone,
    noseBase: clamp(d.normal(-0.62 - 0.015 * g, 0.055), -0.76, -0.5),
    noseWidth: clamp(d.normal(0.2 + 0.012 * g + 0.055 * pigment, 0.022), 0.15, 0.32),
    noseProjection: clamp(d.normal(0.29 + 0.025 * g - 0.06 * pigment, 0.04), 0.18, 0.4),
    mouthDrop: clamp(d.normal(0.285, 0.03), 0.2, 0.36),
    mouthWidth: clamp(d.normal(0.34, 0.035), 0.25, 0.45),
    lips: clamp(d.normal(0.085 - 0.012 * g + 0.035 * pigment, 0.018), 0.04, 0.15),
    mouthCorners: clamp(d.normal(0.022, 0.012), -0.02, 0.06),
    earLevel: clamp(d.normal(-0.14, 0.03), -0.24, -0.04),
    earHeight: clamp(d.normal(0.29, 0.03), 0.2, 0.38),
    earOut: clamp(d.normal(0.05, 0.025), 0, 0.12),
    skinTone: clamp((0.5 - 0.37 * pigment) * d.normal(1, 0.08), 0.1, 0.56),
    lines: clamp((age - 0.3) * 0.5 + d.normal(0, 0.08), 0, 0.45),
    makeup: man ? 0 : makeup,
    shavenShade: man ? shavenShade : 0,
    hairStyle: d.pick(HAIR_STYLES.map((style) => styleWeight(style, man, age, pigment))),
    hairTone,
    hairVolume: clamp(d.normal(1, 0.2), 0.6, 1.5),
    hairlineShift: clamp(d.normal(0, 0.05), -0.14, 0.14),
    recession: man ? clamp(recession, 0, 0.25) : 0,
    parting: partingSide * d.uniform(0.15, 0.5),
    hairKey: d.word(),
    beard: man ? beard : 0,
    glasses: wearsGlasses ? glasses : 0,
    glassesSize: d.uniform(0.9, 1.2),
    neck: clamp(d.normal(0.56 + 0.07 * g, 0.04), 0.42, 0.76),
    clothTone,
    collarTone: whiteCollar ? collarBrightness : 0.7 * clothTone,
    openCollar: d.chance(0.5),
    neckline: d.uniform(0.02, 0.3),
    backdrop: clamp(d.normal(0.13, 0.045), 0.03, 0.28),
  };
}

/**
 * Samples the parameters of a photograph of a person.
 *
 * @param seed integer in 0..2^53-1
 * @param identity, photograph integers in 0..2^24-1
 * @throws ConfigError when an argument is out of range
 */
export function drawPhotograph(
  seed: number,
  population: Population,
  identity: number,
  photograph: number,
): FacePhotograph {
  requireInteger('photograph', photograph, 0, FACE_INDEX_LIMIT - 1);
  const d = new FaceSampler(seed, population, 1, identity, photograph * SAMPLES_PER_PHOTOGRAPH);
  const opens = d.chance(0.2);
  const opening = d.uniform(0.2, 1);
  const yaw = clamp(d.normal(0, 7.5), -20, 20);
  const pitch = clamp(d.normal(-1, 4), -11, 11);
  return {
    yaw,
    pitch,
    roll: clamp(d.normal(0, 2.2), -6, 6),
    azimuth: clamp(d.normal(0, 17), -45, 45),
    elevation: clamp(d.normal(32, 8), 10, 55),
    keyLight: clamp(d.normal(1, 0.1), 0.7, 1.3),
    ambient: clamp(d.normal(0.4, 0.06), 0.25, 0.6),
    exposure: clamp(d.normal(1, 0.06), 0.8, 1.2),
    smile: clamp(d.normal(0.22, 0.35), -0.12, 1),
    mouthOpen: opens ? opening : 0,
    browRaise: clamp(d.normal(0, 0.5), -1, 1.2),
    eyesWide: clamp(d.normal(0, 0.12), -0.25, 0.3),
    blink: d.chance(0.06),
    // The eyes turn back most of the way towards the camera; the radius of an eyeball is 0.16.
    gazeX: d.normal(0, 0.012) - 0.0017 * yaw,
    gazeY: d.normal(0, 0.008) + 0.001 * pitch,
    x: clamp(d.normal(0, 0.04), -0.14, 0.14),
    y: clamp(d.normal(0, 0.035), -0.12, 0.12),
    scale: clamp(d.normal(1, 0.022), 0.93, 1.07),
    backdrop: clamp(d.normal(1, 0.12), 0.6, 1.4),
    backdropX: clamp(d.normal(0, 0.06), -0.2, 0.2),
    backdropY: clamp(d.normal(0.05, 0.06), -0.15, 0.25),
    noise: d.uniform(1.2, 2.8),
    noiseKey: d.word(),
    glassesOff: d.chance(0.1),
  };
}

/** @throws ConfigError `name: value is not an integer in low..high` */
export function requireInteger(name: string, value: number, low: number, high: number): void {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new ConfigError(`${name}: ${value} is not an integer in ${low}..${high}`);
  }
}

function styleWeight(style: HairStyle, man: boolean, age: number, pigment: number): number {
  let weight = man ? style.men : style.women;
  if (style.name === 'bald' && man) weight += 0.5 * Math.max(0, age - 0.6);
  if (pigment > 0.65) {
    weight *= { 'buzz cut': 1.8, fringe: 0.3, curly: 2, long: 0.5, 'long curls': 1.5 }[style.name] ?? 1;
  }
  return weight;
}

function clamp(x: number, low: number, high: number): number {
  return Math.min(Math.max(x, low), high);
}

/**
 * Samples random numbers 0, 1, ... of one person or photograph: pcg4d(low word of the seed, kind and high word, identity,
 * counter). Only sums, products and powers of them are used, so parameters agree between machines up to the last digits.
 */
class FaceSampler {
  readonly #seedLow: number;
  readonly #domain: number;
  readonly #identity: number;
  #counter: number;
  readonly #words = new Uint32Array(4);

  constructor(seed: number, population: Population, kind: 0 | 1, identity: number, counter: number) {
    requireInteger('seed', seed, 0, Number.MAX_SAFE_INTEGER);
    requireInteger('identity', identity, 0, FACE_INDEX_LIMIT - 1);
    if (population !== 'private' && population !== 'public') {
      throw new ConfigError(`population: "${population}" is neither "private" nor "public"`);
    }
    this.#seedLow = seed % 2 ** 32;
    this.#domain = (((population === 'private' ? 0 : 2) + kind + 1) << 24) | Math.floor(seed / 2 ** 32);
    this.#identity = identity;
    this.#counter = counter;
  }

  #next(): Uint32Array {
    return pcg4d(this.#seedLow, this.#domain, this.#identity, this.#counter++, this.#words);
  }

  word(): number {
    return this.#next()[0];
  }

  uniform(low = 0, high = 1): number {
    return low + ((high - low) * this.#next()[0]) / 2 ** 32;
  }

  /** Nearly normal: the sum of four uniform words, so never more than 3.5 deviations from the mean. */
  normal(mean: number, deviation: number): number {
    const [a, b, c, d] = this.#next();
    return mean + deviation * Math.sqrt(3) * ((a + b + c + d) / 2 ** 32 - 2);
  }

  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  /** An index, sampled with the given relative weights. */
  pick(weights: readonly number[]): number {
    let left = this.uniform() * weights.reduce((sum, weight) => sum + weight, 0);
    const index = weights.findIndex((weight) => {
      left -= weight;
      return left < 0;
    });
    return index < 0 ? weights.length - 1 : index;
  }
}
