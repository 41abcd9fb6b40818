/**
 * The interface of defences. A defence changes a victim so that attacks learn less. It can act in three places: in the
 * training, the weights in memory, and the released confidences. Memories and noise on weights are conditions of an experiment
 * (src/experiments/conditions.ts). A new defence of training or release needs one file and one line in
 * src/defences/registry.ts.
 */
import type * as v from 'valibot';
import type { Matrix } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import type { TrainingConfig } from '../models/training_config.ts';

/** An option of the command line that sets one value of a defence. */
export interface DefenceFlag<Input> {
  /** The option in commander's syntax: `--weight-clip <c>`. */
  readonly flags: string;
  readonly description: string;
  /**
   * @param text as the user gave it
   * @param before result of an earlier flag of the same defence
   * @throws ConfigError if the text is not a valid value
   */
  read(text: string, before: Input | undefined): Input;
}

/** A defence that changes how the victim is trained. */
export interface TrainingDefence<C = unknown, Input = unknown> {
  readonly stage: 'training';
  /** Its key under `defences` in a configuration. */
  readonly name: string;
  /** One sentence for help texts. */
  readonly description: string;
  readonly schema: v.GenericSchema<Input, C>;
  readonly flags: readonly DefenceFlag<Input>[];
  /** True if its configuration has a number format, which is that of the stored weights where a flag names one. */
  readonly hasFormat?: true;
  /** The fields of the training configuration that it changes. */
  training(config: C): Partial<TrainingConfig>;
}

/** The answers of a victim to a batch of queries, and where the released ones go. */
export interface Answers {
  /** [rows, classes] */
  readonly logits: Matrix;
  /** Logarithms of the released confidences, which need not sum to 1; the shape of logits. */
  readonly released: Matrix;
  /** The queries, [rows, values]: images, or codes of an autoencoder. */
  readonly inputs: Matrix;
  /** Numbers of the draws of the victim's memory, one u32 for each of `groups` equal groups of consecutive rows. */
  readonly draws: BufferView;
  readonly groups: number;
  /** Seed of the experiment. */
  readonly seed: number;
}

/**
 * A defence that changes the confidences that the victim releases, after the last layer. The person that the victim names, and
 * accuracy, are those of the unchanged confidences, unless the change is random.
 */
export interface ReleaseDefence<C extends { readonly kind: string } = { readonly kind: string }> {
  readonly stage: 'release';
  readonly kind: C['kind'];
  /**
   * True if it adds random numbers, which may change the person that the victim names: accuracy is then that of the released
   * confidences, attackers who see only labels see the changed ones, and conditions are measured in all draws.
   */
  readonly isRandom?: true;
  /** One sentence for help texts. */
  readonly description: string;
  /** A strict object whose `kind` is a literal. Names and values of the other fields appear in labels and file names. */
  readonly schema: v.GenericSchema<unknown, C>;
  /** Reads one or several configurations, as in `--round 1,2`. */
  readonly flag: { readonly flags: string; readonly description: string; read(text: string): readonly C[] };
  /** Settings that a page offers, the mildest first. */
  readonly offered: readonly C[];
  /**
   * Records logits -> logarithms of the released confidences. If no kernel computes the change yet, add one: a shader, its
   * launcher (src/kernels/release.ts), its reference and its check (src/verify/kernels/).
   */
  record(recorder: Recorder, config: C, answers: Answers): void;
}
