import { ConfigError } from '../errors.ts';
import type { Arena, Matrix } from '../gpu/arena.ts';
import { recordNormalise } from '../kernels/normalise.ts';
import { type ImageShape, type LayerBase, type LayerKind, NO_PARAMETERS } from './layer.ts';

/** (x - mean) / deviation by channel, with constants: what turns pixels in 0..1 into those a network was trained on. */
export interface NormaliseSpec extends LayerBase {
  readonly kind: 'normalise';
  readonly input: ImageShape;
  /** One value per channel. */
  readonly mean: readonly number[];
  /** One value above 0 per channel. */
  readonly deviation: readonly number[];
}

/** @throws ConfigError unless there is a mean and a deviation above 0 per channel */
function requireConstants({ name, input: { channels }, mean, deviation }: NormaliseSpec): void {
  for (const [what, values] of Object.entries({ mean, deviation })) {
    if (values.length !== channels) {
      throw new ConfigError(`${name}.${what}: ${values.length} values for ${channels} channels; give one per channel`);
    }
    const isWrong = (value: number) => !Number.isFinite(value) || (what === 'deviation' && value <= 0);
    const wrong = values.findIndex(isWrong);
    if (wrong >= 0) {
      const wanted = what === 'deviation' ? 'a number above 0' : 'a finite number';
      throw new ConfigError(`${name}.${what}[${wrong}]: ${values[wrong]} is not ${wanted}`);
    }
  }
}

/** A buffer of means and deviations. */
function constantsOf(arena: Arena, label: string, mean: readonly number[], deviation: readonly number[]): Matrix {
  const matrix = arena.matrix(label, 2, mean.length);
  const values = new Float32Array(2 * matrix.stride);
  values.set(mean);
  values.set(deviation, matrix.stride);
  arena.gpu.write(matrix, values);
  return matrix;
}

export const NORMALISE: LayerKind<NormaliseSpec> = {
  input: ({ input }) => input,
  output: ({ input }) => input,
  parameters: () => NO_PARAMETERS,
  backwardReads: () => ({ x: false, y: false }),
  save(arena, spec) {
    requireConstants(spec);
    const { name, mean, deviation } = spec;
    const none = mean.map(() => 0);
    return {
      constants: {
        forward: constantsOf(arena, `${name} constants`, mean, deviation),
        backward: constantsOf(arena, `${name} gradient constants`, none, deviation),
      },
    };
  },
  forward({ recorder, x: input, y: output, saved }) {
    recordNormalise(recorder, { input, constants: saved.constants!.forward, output });
  },
  backward({ recorder, saved }, { dy: input, dx: output }) {
    if (output) recordNormalise(recorder, { input, constants: saved.constants!.backward, output });
  },
};
