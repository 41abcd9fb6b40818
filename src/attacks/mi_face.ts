import { ConfigError, ShapeError } from '../errors.ts';
import { Arena, type Matrix } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import { MI_FACE_STATE, writeFields } from '../gpu/structs.ts';
import { imageValues } from '../image_size.ts';
import {
  recordNonLocalMeans,
  recordSharpen,
  recordTotalVariation,
  recordTotalVariationValue,
} from '../kernels/image.ts';
import { recordMiFaceJudge, recordMiFaceStep } from '../kernels/mi_face.ts';
import { recordRowNorm } from '../kernels/reduce.ts';
import type { Victim } from '../models/victim.ts';
import { Random } from '../random.ts';
import { type MiFaceConfig, miFaceContradiction } from './mi_face_config.ts';
import { GradientReads, recordCostGradient, type VictimReads } from './mi_face_gradient.ts';
import type { SearchSpace } from './search_space.ts';

/** The result of the attack on one class. */
export interface MiFaceResult {
  /** The attacked class. */
  readonly target: number;
  /** [height, width, channels], 0..1: the image of the lowest objective, or the last one (see `keep`). */
  readonly image: Float32Array;
  /** Cost plus total variation of that image; the cost alone with `keep` last and no early stop. */
  readonly objective: number;
  /** Confidence in the attacked class that the victim released for that image. */
  readonly confidence: number;
  /** Number of steps that led to the lowest objective. */
  readonly bestIteration: number;
  /** Number of steps until the class stopped. */
  readonly iterations: number;
  /** True if no objective that was judged is a number, so that there is no image. */
  readonly failed: boolean;
}

/** First stream of the keys of random directions (src/random.ts). */
const SEARCH_STREAMS = 2 ** 30;

/** Key of the random directions of a black-box attack: another seed or another draw gives other directions. */
export function searchKey(seed: number, draw: number): number {
  return new Random(seed, SEARCH_STREAMS + draw).nextU32();
}

/** The lowest objective before the first one, as f32; every number is below. */
const HIGHEST = Math.fround(3.4e38);

/** Reads of the victim between two synchronisations with the device, so that its queue never holds seconds of work. */
const SYNC_EVERY = 8;

/**
 * MI-Face (Fredrikson, Jha, Ristenpart, CCS'15, algorithm 1), with every class as a row of one batch: minimises
 * 1 - f_c(x) or -log f_c(x) plus total variation over images in 0..1, keeps the best image of each class, and stops each
 * class by alpha, beta and gamma. Built once, run for many draws of the victim's memory and many starts.
 */
export class MiFace {
  readonly #gpu: Gpu;
  readonly #arena: Arena;
  readonly #config: MiFaceConfig;
  readonly #space: SearchSpace;
  readonly #targets: readonly number[];
  readonly #x: Matrix;
  readonly #velocity: Matrix;
  readonly #retained: Matrix;
  readonly #state: BufferView;
  readonly #image: Matrix;
  readonly #reads: VictimReads | undefined;
  /** The mean of gradient and objective over several reads, computed before {@link #iterate}. */
  #mean: GradientReads | undefined;
  #iterate!: Program;
  #process: Program | undefined;
  #decodeResult: Program | undefined;
  #encodeStart: Program | undefined;
  /** The buffer into which starts are written in latent space, to be encoded. */
  #startImage: Matrix | undefined;

  private constructor(
    arena: Arena,
    victim: Victim,
    space: SearchSpace,
    targets: readonly number[],
    config: MiFaceConfig,
    reads: VictimReads | undefined,
  ) {
    this.#gpu = arena.gpu;
    this.#arena = arena;
    this.#config = config;
    this.#reads = reads;
    this.#space = space;
    this.#targets = targets;
    const rows = targets.length;
    this.#x = arena.matrix('attack x', rows, victim.inputs);
    this.#velocity = arena.matrix('attack velocity', rows, victim.inputs);
    this.#retained = arena.matrix('attack retained', rows, victim.inputs);
    this.#state = arena.allocate('attack state', rows * MI_FACE_STATE.words * 4);
    this.#image = space.latent ? arena.matrix('attack image', rows, imageValues(space)) : this.#x;
  }

  /**
   * @param space the space that is searched; a data set stands for images of its size
   * @param targets the attacked class of every row; for a victim that holds several draws, the rows are ordered by draw
   * @param reads the reads over which objective and gradient are averaged; by default the victim is read once per iteration
   * @throws ConfigError for a bad argument, ShapeError where the victim does not take inputs from that space
   */
  static async build(
    gpu: Gpu,
    victim: Victim,
    space: SearchSpace,
    targets: readonly number[],
    config: MiFaceConfig,
    reads?: VictimReads,
  ): Promise<MiFace> {
    check(victim, space, targets, config);
    const attack = new MiFace(new Arena(gpu), victim, space, targets, config, reads);
    await attack.#record(victim);
    return attack;
  }

  /**
   * Runs the attack against the weights that the memory returns now.
   * @param start one image ([height, width, channels], 0..1) for all rows, or one per entry of the targets
   * @param key of the random directions of a black-box attack, from {@link searchKey}; nothing else depends on it
   * @param onIteration called and awaited after every synchronisation with the device; may read {@link results}
   * @throws DeviceLostError
   */
  async run(
    start: Float32Array | readonly Float32Array[],
    key = 0,
    onIteration: (iteration: number) => unknown = () => {},
  ): Promise<MiFaceResult[]> {
    const { iterations, step, schedule, process } = this.#config;
    await this.#start(start);
    const every = Math.max(1, Math.floor(SYNC_EVERY / (this.#reads?.victims.length ?? 1)));
    const stops = this.#config.beta !== null || this.#config.gamma !== null;
    for (let t = 0; t <= iterations; t++) {
      const program = this.#iterate;
      await this.#mean?.run(t, key);
      program.setStep({ passIndex: 2 * t });
      program.setStep({ iteration: t });
      // The last round only judges the image that the last step made.
      program.setStep({
        learningRate: t === iterations ? 0 : schedule === 'linear' ? step * (1 - t / iterations) : step,
      });
      program.setStep({ draw: key });
      program.run();
      if (this.#process && process && (t + 1) % process.every === 0 && t + 1 < iterations) this.#process.run();
      if (t % every === every - 1) {
        if (stops) {
          const state = await this.#gpu.readWords(this.#state);
          if (this.#targets.every((_, row) => state[row * MI_FACE_STATE.words + MI_FACE_STATE.at.isActive] === 0))
            break;
        } else {
          await this.#gpu.idle();
        }
        await onIteration(t + 1);
      }
    }
    return this.results();
  }

  /** Memory plan as a text, for example `arena 8.2 MB, 12 buffers`. */
  get plan(): string {
    return String(this.#arena);
  }

  destroy(): void {
    this.#arena.destroy();
  }

  async #record(victim: Victim): Promise<void> {
    const arena = this.#arena;
    const { cost, totalVariation, epsilon, momentum, normalise, search, shift, process, beta, gamma, keep } =
      this.#config;
    const rows = this.#targets.length;
    const x = this.#x;
    const { height, width, channels, latent } = this.#space;
    const norms = arena.allocate('norms', rows * 4);
    const recorder = new Recorder(this.#gpu);
    const gradients = { cost, search, shift, space: this.#space, targets: this.#targets };
    let gradient: Matrix;
    let results: BufferView;
    if (this.#reads) {
      const mean = await GradientReads.build(arena, this.#reads, x, gradients);
      [gradient, results] = [mean.gradient, mean.results];
      this.#mean = mean;
    } else {
      ({ gradient, results } = recordCostGradient(recorder, arena, victim, x, gradients));
    }
    if (totalVariation > 0) {
      const image = { input: x, height, width, channels, epsilon, weight: totalVariation };
      recordTotalVariation(recorder, { ...image, gradient });
      // The value is needed only where the objective is judged: for early stops, or to keep the best image.
      if (this.#judged) recordTotalVariationValue(recorder, { ...image, results });
    }
    if (normalise) recordRowNorm(recorder, { input: gradient, output: norms });
    const stop = { beta: beta ?? Number.POSITIVE_INFINITY, gamma: gamma ?? Number.NEGATIVE_INFINITY };
    recordMiFaceJudge(recorder, { rows, results, state: this.#state, ...stop, keep });
    const moved = { gradient, norms, state: this.#state, x, velocity: this.#velocity, retained: this.#retained };
    recordMiFaceStep(recorder, { ...moved, momentum, normalise });
    this.#iterate = await recorder.build('attack iteration');
    if (process || latent) await this.#recordProcess(process);
  }

  async #recordProcess(process: MiFaceConfig['process']): Promise<void> {
    const arena = this.#arena;
    const { height, width, channels, latent } = this.#space;
    const rows = this.#targets.length;
    const filtered = (label: string) => arena.matrix(label, rows, imageValues(this.#space));
    const denoised = filtered('denoised');
    const processed = latent ? filtered('processed') : this.#x;
    const coder = latent?.plan(arena, this.#x, this.#image, processed);
    if (process) {
      const recorder = new Recorder(this.#gpu);
      coder?.recordDecode(recorder);
      const { strength, sharpen: amount } = process;
      const size = { height, width, channels };
      recordNonLocalMeans(recorder, {
        ...size,
        input: this.#image,
        output: denoised,
        patchRadius: 1,
        searchRadius: 3,
        strength,
      });
      recordSharpen(recorder, { ...size, input: denoised, output: processed, amount });
      coder?.recordEncode(recorder);
      this.#process = await recorder.build('PROCESS');
    }
    if (latent) {
      // Starts are images but the attack moves codes, so x = encode(start), and the result is decoded.
      const encode = new Recorder(this.#gpu);
      coder?.recordEncode(encode);
      this.#encodeStart = await encode.build('encode start');
      const decode = new Recorder(this.#gpu);
      latent.plan(arena, this.#retained, this.#image, processed).recordDecode(decode);
      this.#decodeResult = await decode.build('decode result');
      this.#startImage = processed;
    }
  }

  async #start(start: Float32Array | readonly Float32Array[]): Promise<void> {
    const values = imageValues(this.#space);
    const target = this.#startImage ?? this.#x;
    const pixels = new Float32Array(target.rows * target.stride);
    for (const row of this.#targets.keys()) {
      const image = Array.isArray(start) ? start[row] : start;
      if (image?.length !== values) {
        throw new ShapeError(`start image ${row} has ${image?.length} pixels, ${values} are needed`);
      }
      pixels.set(image, row * target.stride);
    }
    this.#gpu.write(target, pixels);
    this.#encodeStart?.run();
    const zeros = new Float32Array(this.#x.rows * this.#x.stride);
    this.#gpu.write(this.#velocity, zeros);
    this.#gpu.write(this.#retained, zeros);
    const state = new Uint32Array(this.#x.rows * MI_FACE_STATE.words);
    for (const row of this.#targets.keys()) {
      writeFields(MI_FACE_STATE, state, { best: HIGHEST, isActive: 1 }, row * MI_FACE_STATE.words);
    }
    this.#gpu.write(this.#state, state);
  }

  get #judged(): boolean {
    const { keep, beta, gamma } = this.#config;
    return keep === 'best' || beta !== null || gamma !== null;
  }

  /** The result of the attack: after a run, or up to the present iteration when called from `onIteration`. @throws DeviceLostError */
  async results(): Promise<MiFaceResult[]> {
    this.#decodeResult?.run();
    const source = this.#space.latent ? this.#image : this.#retained;
    const [words, imageBytes] = await this.#gpu.read(this.#state, source);
    const state = new Uint32Array(words);
    const floats = new Float32Array(words);
    const images = new Float32Array(imageBytes);
    const pixels = imageValues(this.#space);
    return this.#targets.map((target, row) => {
      const first = row * MI_FACE_STATE.words;
      const { at } = MI_FACE_STATE;
      return {
        target,
        image: images.slice(row * source.stride, row * source.stride + pixels),
        objective: floats[first + at.objective],
        confidence: floats[first + at.confidence],
        bestIteration: state[first + at.bestIteration],
        // The start is judged, and so is the image after every step.
        iterations: state[first + at.judged] - 1,
        failed: !(floats[first + at.best] < HIGHEST) || !Number.isFinite(floats[first + at.objective]),
      };
    });
  }
}

function check(victim: Victim, space: SearchSpace, targets: readonly number[], config: MiFaceConfig): void {
  const inputs = space.latent?.size ?? imageValues(space);
  if (victim.inputs !== inputs) {
    throw new ShapeError(`the victim takes ${victim.inputs} inputs, the attack searches ${inputs}`);
  }
  if (targets.length === 0) throw new ConfigError('classes: name at least one class to attack');
  const bad = targets.find((target) => !(Number.isInteger(target) && target >= 0 && target < victim.classes));
  if (bad !== undefined) throw new ConfigError(`classes: ${bad} is not a class of 0..${victim.classes - 1}`);
  const range = (name: keyof MiFaceConfig, low: number, high: number) => {
    const value = config[name] as number;
    if (!(value >= low && value <= high)) throw new ConfigError(`attack.${name}: ${value} is not in ${low}..${high}`);
  };
  if (config.search && victim.draws > 1) {
    throw new ConfigError('attack.search: a black-box attack runs on one draw of the memory at a time');
  }
  const wrong = miFaceContradiction(config);
  if (wrong) throw new ConfigError(`attack.${wrong}`);
  if (config.shift && space.latent) {
    throw new ConfigError('attack.shift: an attack in latent space has no pixels to move; leave it out');
  }
  range('iterations', 1, 1e6);
  range('step', 0, 1e6);
  range('momentum', 0, 0.999999);
  range('totalVariation', 0, 1e9);
  if (space.latent && config.totalVariation > 0) {
    throw new ConfigError(
      'attack.totalVariation: an attack in latent space has no pixels to smooth; use 0 and PROCESS',
    );
  }
}
