/**
 * Renders the procedural faces of src/data/faces.ts on the GPU: the data set that needs no download. This is the only file
 * of src/data that uses the GPU.
 */
import { mat4, quat, vec3 } from 'gl-matrix';
import { ConfigError } from '../errors.ts';
import { Arena } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import { Recorder } from '../gpu/recorder.ts';
import { createDataset, type ImageDataset } from './dataset.ts';
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
  requireInteger,
} from './faces.ts';

export interface RenderFacesOptions {
  readonly population: Population;
  /** Number of people. */
  readonly identities: number;
  /** Number of photographs of each person. */
  readonly photographs: number;
  /** Pixels, 8..4096. The frame is always as high as head and collar; an image of 7:8 fits it. */
  readonly width: number;
  readonly height: number;
  /** Integer in 0..2^53-1. */
  readonly seed: number;
  /** Index of the first person; 0 by default. The appearance of a person does not depend on the other people in the set. */
  readonly firstIdentity?: number;
  /** Called with the number of photographs finished so far. */
  readonly onProgress?: (finished: number, total: number) => void;
  /** Pixels per submit, 64..2^24; 2^18 by default: 0.4 s on a two-core software adapter. It does not affect the images. */
  readonly pixelsPerSubmit?: number;
}

const SHADER = 'image/render_face.wgsl';
const WORKGROUP_SIZE = 64;
/** Members of the shader's struct Face, each a vec4f. */
export const FACE_VECTORS = 35;
const MAX_BYTES = 2 ** 30;

/**
 * Renders a data set: the people `firstIdentity` .. `firstIdentity + identities - 1`, photographs 0, 1, ... of each.
 * The same seed, person and photograph give the same pixels for every batch size (on another adapter within one level).
 *
 * @returns images ordered by person, then photograph; class names like `private-7`, ids like `private-7/3`
 * @throws ConfigError naming the argument that is out of range
 * @throws DeviceLostError, ShaderError
 * @example
 * const shape = { identities: 40, photographs: 10, width: 56, height: 64 };
 * const victims = await renderFaces(gpu, { population: 'private', seed: 1, ...shape });
 */
export async function renderFaces(gpu: Gpu, options: RenderFacesOptions): Promise<ImageDataset> {
  const { population, identities, photographs, width, height, seed, onProgress } = options;
  const firstIdentity = options.firstIdentity ?? 0;
  const pixelsPerSubmit = options.pixelsPerSubmit ?? 2 ** 18;
  requireInteger('identities', identities, 1, 2 ** 20);
  requireInteger('photographs', photographs, 1, 2 ** 20);
  requireInteger('width', width, 8, 4096);
  requireInteger('height', height, 8, 4096);
  requireInteger('firstIdentity', firstIdentity, 0, FACE_INDEX_LIMIT - identities);
  requireInteger('pixelsPerSubmit', pixelsPerSubmit, 64, 2 ** 24);
  const images = identities * photographs;
  const pixels = width * height;
  if (images * pixels > MAX_BYTES) {
    throw new ConfigError(
      `identities x photographs x width x height: ${images * pixels} pixels; a data set can have at most ${MAX_BYTES}`,
    );
  }
  const packed = lastResult((image: number) => {
    const identity = firstIdentity + Math.floor(image / photographs);
    const photograph = drawPhotograph(seed, population, identity, image % photographs);
    return packFace(drawIdentity(seed, population, identity), photograph, height);
  });
  packed(0); // checks seed and population before anything is allocated

  const words = Math.ceil((images * pixels) / 4);
  const chunkWords = Math.min(words, Math.floor(pixelsPerSubmit / 4));
  const chunkImages = Math.min(images, Math.ceil((4 * chunkWords) / pixels) + 1);
  const arena = new Arena(gpu);
  const recorder = new Recorder(gpu);
  const bytes = new Uint8Array(words * 4);
  try {
    const faces = arena.allocate('faces', chunkImages * FACE_VECTORS * 16);
    const output = arena.allocate('face pixels', chunkWords * 4);
    // The shader visits words in blocks of four rows; the last block may reach past the end.
    const block = 4 * Math.max(1, Math.floor(width / 4));
    const invocations = Math.ceil(chunkWords / block) * block;
    recorder.record({
      label: 'render_face',
      shader: { path: SHADER },
      bindings: [
        ['read', faces],
        ['write', output],
        ['uniform', recorder.step],
      ],
      workgroups: [Math.ceil(invocations / WORKGROUP_SIZE), 1, 1],
    });
    const program = await recorder.build('render faces');
    for (let word = 0; word < words; word += chunkWords) {
      const count = Math.min(chunkWords, words - word);
      const first = Math.floor((4 * word) / pixels);
      const end = Math.min(images, Math.ceil((4 * (word + count)) / pixels));
      const parameters = new Uint32Array((end - first) * FACE_VECTORS * 4);
      for (let image = first; image < end; image++) {
        parameters.set(packed(image), (image - first) * FACE_VECTORS * 4);
      }
      gpu.write(faces, parameters);
      program.setStep({ batchOffset: 4 * word - first * pixels });
      program.setStepWords('chunk', [width, height, count, end - first]);
      program.run();
      const [chunk] = await gpu.read({ ...output, size: count * 4 });
      bytes.set(new Uint8Array(chunk), word * 4);
      onProgress?.(Math.min(images, Math.floor((4 * (word + count)) / pixels)), images);
    }
  } finally {
    arena.destroy();
    recorder.step.buffer.destroy();
  }
  const people = Array.from({ length: identities }, (_, i) => `${population}-${firstIdentity + i}`);
  return createDataset({
    name: `faces-${population}`,
    width,
    height,
    classNames: people,
    images: bytes.subarray(0, images * pixels),
    labels: Uint32Array.from({ length: images }, (_, i) => Math.floor(i / photographs)),
    ids: Array.from({ length: images }, (_, i) => `${people[Math.floor(i / photographs)]}/${i % photographs}`),
  });
}

/** Height of the frame in units, before scaling, and y of its centre. */
const FRAME_HEIGHT = 3.45;
const FRAME_CENTRE = -0.13;
/** y of the skull's broadest level. */
const BROADEST = 0.35;
/** The head turns about the top of the neck. */
const PIVOT = vec3.fromValues(0, -0.7, -0.2);
const SHOULDERS = -1.52;
const COLLAR = -1.74;

/**
 * Outlines of the face below its broadest level. With t = 0 there and t = 1 at the chin, the squared half breadth is
 * (1 - t) (1 + t + t^2 (a + b t + c t^2)); least-squares fits to four drawn outlines, of which a face is a mixture.
 */
const OUTLINES = {
  heart: [-0.175, 0.135, -1.058], // narrow jaw, narrow chin
  oval: [-0.189, 1.648, -1.269], // narrow jaw, broad chin
  round: [-1.624, 8.574, -6.998], // broad jaw, narrow chin
  square: [0.418, -0.523, 2.652], // broad jaw, broad chin
};

/** Opacity, half height of a lens, half thickness of the rim, radius of the corners and tone, by index of GLASSES. */
const FRAMES = [
  { opacity: 0, lens: 0.2, rim: 0.03, corner: 0.1, tone: 0 },
  { opacity: 1, lens: 0.2, rim: 0.032, corner: 0.1, tone: 0.015 },
  { opacity: 0.75, lens: 0.24, rim: 0.016, corner: 0.2, tone: 0.2 },
  { opacity: 1, lens: 0.18, rim: 0.042, corner: 0.06, tone: 0.03 },
];

/**
 * Packs one photograph as the shader's struct Face: {@link FACE_VECTORS} vectors of four. The result is u32 words, because
 * the last vector contains integer keys as well as floats.
 *
 * @param height of the image in pixels
 */
export function packFace(person: FaceIdentity, photograph: FacePhotograph, height: number): Uint32Array<ArrayBuffer> {
  const p = person;
  const shot = photograph;
  const style = HAIR_STYLES[p.hairStyle];
  const beard = BEARDS[p.beard];
  const frame = FRAMES[shot.glassesOff ? GLASSES.indexOf('none') : p.glasses];
  const smile = Math.max(0, shot.smile);
  const gap = 0.16 * shot.mouthOpen;
  const chin = p.chin - 0.75 * gap - (beard === 'full beard' ? 0.1 : 0);
  const hangs = style.end < -0.6;

  // Pose and light. The camera looks along -z; the light first stands at the camera.
  const turn = quat.create();
  quat.rotateZ(turn, turn, radians(shot.roll));
  quat.rotateY(turn, turn, radians(shot.yaw));
  quat.rotateX(turn, turn, radians(shot.pitch));
  const headToCamera = mat4.create();
  mat4.fromRotationTranslationScaleOrigin(headToCamera, turn, [0, 0, 0], [1, 1, 1], PIVOT);
  const cameraToHead = mat4.create();
  mat4.invert(cameraToHead, headToCamera);
  const light = vec3.fromValues(0, 0, 1);
  vec3.rotateX(light, light, [0, 0, 0], radians(-shot.elevation));
  vec3.rotateY(light, light, [0, 0, 0], radians(shot.azimuth));
  const lightOnHead = vec3.transformQuat(vec3.create(), light, quat.conjugate(quat.create(), turn));
  const chinSeen = vec3.transformMat4(vec3.create(), [0, chin, 0.6], headToCamera);

  // Outline.
  const broadest2 = p.breadth * p.breadth;
  const jaw = Math.min(1.1, p.jaw + (beard === 'full beard' ? 0.15 : 0));
  const outline = OUTLINES.heart.map((_, i) => {
    const narrow = mix(OUTLINES.heart[i], OUTLINES.oval[i], p.chinBreadth);
    return broadest2 * mix(narrow, mix(OUTLINES.round[i], OUTLINES.square[i], p.chinBreadth), jaw);
  });
  const halfBreadth = (y: number) => {
    const t = (BROADEST - y) / (BROADEST - chin);
    const rest = outline[0] + outline[1] * t + outline[2] * t * t;
    return Math.sqrt((1 - t) * (broadest2 * (1 + t) + t * t * rest));
  };

  // Features that move.
  const noseBase = p.eyeLevel + p.noseBase;
  const mouth = noseBase - p.mouthDrop - 0.35 * gap;
  const lips = p.lips * (1 - 0.2 * smile);
  const openness = shot.blink ? 0.02 : clamp(0.97 + shot.eyesWide + 0.08 * shot.browRaise - 0.2 * smile, 0.4, 1.3);
  const browHeight = p.eyeLevel + p.browHeight + 0.035 * shot.browRaise;

  const hairEnd = hangs ? p.breadth + style.flare * p.hairVolume : halfBreadth(style.end) + 0.02 + style.flare;
  const hairline = style.line + p.hairlineShift + (style.line > 0.7 ? p.recession : 0);
  const onJaw = { none: 0, stubble: 0.35, moustache: 0, goatee: 0, 'full beard': 0.95 }[beard];
  const onLip = { none: 0, stubble: 0.4, moustache: 0.9, goatee: 0.9, 'full beard': 0.95 }[beard];

  const m = cameraToHead;
  const face: Record<string, readonly number[]> = {
    ray_x: [m[0], m[4], m[8], m[12]],
    ray_y: [m[1], m[5], m[9], m[13]],
    ray_z: [m[2], m[6], m[10], m[14]],
    light: [...lightOnHead, shot.keyLight],
    light_body: [...light, shot.ambient],
    frame: [FRAME_HEIGHT / shot.scale / height, -shot.x, FRAME_CENTRE - shot.y, shot.exposure],
    skull: [BROADEST, 1 / (p.crown - BROADEST), 1 / (BROADEST - chin), 0.75],
    skull_size: [broadest2, p.depth * p.depth, chin, p.breadth],
    jaw: [broadest2, ...outline],
    nose: [p.eyeLevel + 0.1, noseBase + 0.1, noseBase, p.noseWidth],
    nose_form: [p.noseProjection, 0.05, 0.075, 0.2],
    form: [p.socket, p.browRidge, p.cheekbone + 0.03 * smile, p.chinBall],
    form_low: [p.muzzle, -0.36 + 0.05 * smile, 0.08 + 0.3 * p.lines + 0.22 * smile, 0.06 + 0.3 * p.lines],
    eye: [p.eyeDistance, p.eyeLevel, p.eyeWidth, p.eyeOpening],
    eye_lid: [0.55 * p.eyeOpening * (1 - 0.2 * smile), openness, p.eyeSlant, p.asymmetry],
    iris: [shot.gazeX, shot.gazeY + 0.012, 0.08, p.irisTone],
    brow: [browHeight, 0.27, p.browThickness, p.browTilt],
    brow_form: [
      p.browArch,
      0.55 + 0.35 * Math.min(1, p.browThickness / 0.06),
      p.browTone * (0.3 + p.skinTone),
      0.45 + 0.4 * p.makeup,
    ],
    mouth: [mouth, p.mouthWidth * (1 + 0.18 * shot.smile), lips, 1.25 * lips],
    mouth_form: [
      p.mouthCorners + 0.05 * shot.smile,
      gap,
      shot.smile > 0.35 || shot.mouthOpen < 0.5 ? 1 : 0.3,
      (onJaw > 0.5 ? 0.55 : 0.67) - 0.2 * p.makeup,
    ],
    skin: [p.skinTone, 0.08, p.shavenShade, 0.25 * p.lines],
    beard: [onJaw, onLip, 0.8 * p.hairTone + 0.01, 0],
    hair: [
      p.breadth + style.side * p.hairVolume,
      p.depth + style.front * p.hairVolume,
      1 / (p.crown + style.top * p.hairVolume - BROADEST),
      -0.02,
    ],
    hair_low: [style.end, hairEnd, p.man ? -0.25 : 0, hangs ? 1 : 0],
    hair_edge: [style.jag, style.softness, style.opening * p.breadth, style.cover],
    hair_line: [hairline, style.recess + 0.6 * p.recession, style.drop, style.tilt * Math.sign(p.parting)],
    hair_look: [p.hairTone, 0.11 + 0.22 * p.hairTone, style.strands, style.curl],
    hair_fan: [p.parting, p.crown + style.top + 0.25, p.hairKey & 7, (p.hairKey >>> 3) & 7],
    ear: [0.97 * p.breadth + p.earOut, p.earLevel, p.earHeight, 0.09 + 0.5 * p.earOut],
    neck: [p.neck, COLLAR, p.openCollar ? 1 : 0, chinSeen[1]],
    cloth: [p.clothTone, p.collarTone, p.neckline, SHOULDERS],
    glasses: [frame.opacity, p.eyeDistance + 0.035, 0.29 * p.glassesSize, frame.lens * p.glassesSize],
    glasses_form: [frame.rim, frame.corner, frame.tone, 1.1],
    backdrop: [p.backdrop * shot.backdrop, shot.backdropX, shot.backdropY, 0],
  };
  const floats = new Float32Array(FACE_VECTORS * 4);
  floats.set(Object.values(face).flat());
  floats[FACE_VECTORS * 4 - 4] = shot.noise;
  const words = new Uint32Array(floats.buffer);
  words[FACE_VECTORS * 4 - 3] = shot.noiseKey;
  words[FACE_VECTORS * 4 - 2] = p.hairKey;
  return words;
}

/** Returns `compute` with a cache of its last result: two chunks in a row may need the same photograph. */
function lastResult<T>(compute: (index: number) => T): (index: number) => T {
  let known: { index: number; value: T } | undefined;
  return (index) => {
    if (known?.index !== index) known = { index, value: compute(index) };
    return known.value;
  };
}

function radians(degrees: number): number {
  return (degrees * Math.PI) / 180;
}

function mix(a: number, b: number, share: number): number {
  return a + (b - a) * share;
}

function clamp(x: number, low: number, high: number): number {
  return Math.min(Math.max(x, low), high);
}
