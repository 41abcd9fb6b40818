/**
 * The interface of attacks. An attack learns about the people on whom a victim was trained and returns images. It runs against
 * every victim and under every defence, because it sees the victim only through {@link Victim}. A new attack needs one file
 * that exports an {@link Attack}, and one line in src/attacks/registry.ts.
 */

import type * as v from 'valibot';
import type { Arena } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { ImageSize, ImageSizeInput } from '../image_size.ts';
import type { FlatParameters } from '../layers/parameters.ts';
import type { DeviceDataset } from '../models/device_dataset.ts';
import type { ModelSpec } from '../models/model_spec.ts';
import type { TrainingData } from '../models/trainer.ts';
import type { TrainingConfig } from '../models/training_config.ts';
import type { Victim } from '../models/victim.ts';
import type { RepeatedReads } from './repeated_reads.ts';
import type { SearchSpace } from './search_space.ts';

/** The victim's photographs that are attacked: those it was trained on, or held-out ones of the same people. */
export const SPLITS = ['held-out', 'training'] as const;
export type SplitName = (typeof SPLITS)[number];

/**
 * The attacker's access to the victim. `white-box`: the weights, so a defence that changes the released confidences has no
 * effect on the attack. `scores`: only the released confidences, or nothing. `labels`: only the person that the victim names, which
 * only a random change of the released confidences changes.
 */
export type Access = 'white-box' | 'scores' | 'labels';

/** A named result of an attack, which becomes one row per draw. An attack may have several, such as one per split. */
export interface AttackOutput {
  /** Name of the result in rows and tables, unique in an experiment. */
  readonly name: string;
  /** Name of the result in a title: `MI-Face from a black image`. */
  readonly title: string;
  /** The split whose people or photographs the result shows; absent if it has no images. */
  readonly split?: SplitName;
  /** Name of the attacker, where several attack the same predictions. */
  readonly attacker?: string;
  /**
   * How well the generative prior of the attacker reconstructs public faces of people whom it was not trained on: number of faces, and
   * share of their variance around the mean public face that it explains. Known once it is trained.
   */
  readonly prior?: { readonly faces: number; readonly explained: number };
  /** True if the result does not depend on the victim: it shows what is known without it, and is no attacker's. */
  readonly isControl?: boolean;
  /** Estimated cost for the progress bar, in a unit that all attacks of the experiment share. */
  readonly units: number;
}

/** The faces whose mean an attacker has: public ones, or the victim's own training photographs. */
export type MeanFaceOf = 'public' | 'training';

/** An image that an attack returned. */
export interface Reconstruction {
  /** [height, width, channels], 0..1. */
  readonly image: Float32Array;
  /** The person that it should show, a class of the victim. */
  readonly person: number;
  /** Index in the data set of the photograph that it should show; absent where it stands for the person in general. */
  readonly photograph?: number;
  /** True if the attack computed no image: its numbers were NaN, or it never left its start. It is then not measured. */
  readonly failed?: boolean;
}

/** A photograph of which an attack judged whether the victim was trained on it. */
export interface Membership {
  /** Higher if the attack holds it for a training photograph; NaN if the victim gave no numbers. */
  readonly score: number;
  readonly isMember: boolean;
}

/** The result of one output of an attack on one draw of the victim's memory. */
export interface AttackResult {
  /**
   * Empty if the attack infers memberships. Where they show persons in general, the first ones are one per attacked person, in the
   * order of the persons, and are stored as pictures; the scores of further ones are averaged with them.
   */
  readonly reconstructions: readonly Reconstruction[];
  /** As many training as held-out photographs; absent if the attack returns images. */
  readonly memberships?: readonly Membership[];
  /** Queries to the victim per reconstruction or judged photograph; for a white-box attack, evaluations of its gradient. */
  readonly queries: number;
  /** Further loads of the weights that the attacker waited for and read; absent if the attack read only the measured one. */
  readonly reloads?: number;
  /** Share of the prediction vectors in which a confidence underflows in float32; absent if the attack reads none. */
  readonly underflow?: number;
}

/** A change of the confidences that a victim releases. */
export interface Release {
  /** Name of the change in file names: `rounding-2`. */
  readonly name: string;
  /** True if it may change the person that the victim names, which attackers who see only labels see too. */
  readonly isRandom?: boolean;
  /** Returns the victim as an attacker sees it who gets only the released confidences. */
  apply(victim: Victim): Victim;
}

/** A victim in approximate memory, as an attack gets it. */
export interface AttackedVictim {
  readonly victim: Victim;
  /** The victim and the space in which an attack searches for inputs: images, or the code of an autoencoder. */
  readonly search: { readonly victim: Victim; readonly space: SearchSpace };
  /** The change of the released confidences; absent where there is none. */
  readonly release?: Release;
  readonly reads: RepeatedReads;
}

/** The experiment as an attack sees it, before the memory has errors; the size is that of the victim's images. */
export interface AttackContext extends ImageSize {
  readonly gpu: Gpu;
  /** Owns buffers that live as long as the experiment, such as those of an attacker's trained network. */
  readonly arena: Arena;
  /** The victim's photographs on the device. */
  readonly photographs: DeviceDataset;
  /** Indices of the photographs that are attacked, split by split, and the person on each. */
  readonly attacked: Readonly<Record<SplitName, { readonly indices: Uint32Array; readonly persons: Uint32Array }>>;
  /** All photographs of the victim's people, split by split, and the person on each. */
  readonly splits: AttackContext['attacked'];
  /** The people that are attacked, classes of the victim. */
  readonly people: readonly number[];
  /** Number of people that the victim distinguishes. */
  readonly classes: number;
  /** Photographs that are classified together. */
  readonly batchSize: number;
  readonly seed: number;
  /**
   * A mean face that the attacker has, [height, width, channels], 0..1: of the public faces or, without any, of the photographs that the
   * victim was trained on.
   */
  readonly meanFace: Float32Array;
  /** The mean of the photographs that the victim was trained on, which an attacker does not have unless it was leaked. */
  readonly trainingMean: Float32Array;
  /** Other people's faces that the attacker has. */
  readonly publicFaces?: { readonly data: DeviceDataset; readonly indices: Uint32Array };
  /** The victim before any error. */
  readonly exact: Victim;
  /** Changes of the released confidences under which the attack will run; it also runs on unchanged confidences. */
  readonly releases: readonly Release[];
  /**
   * Returns an attacker's network: trained on `data`, or read from the run's store or from a file that the user gave.
   * @param name of its file, without the extension; any text
   * @param vectors the inputs that it learns from, in addition to the images
   * @param owner of its parameters; the experiment by default
   */
  network(
    name: string,
    spec: ModelSpec,
    data: TrainingData,
    indices: Uint32Array,
    training: TrainingConfig,
    vectors: Float32Array,
    owner?: Arena,
  ): Promise<FlatParameters>;
  /**
   * Trains a network like the victim, by the same recipe, on other photographs of its people, or reads it from the run's store.
   * @param name of its file, without the extension
   * @param owner of its parameters
   */
  shadow(name: string, indices: Uint32Array, seed: number, owner: Arena): Promise<Victim>;
}

/**
 * Reports progress. An attack calls and awaits it every few iterations, or never; the end is reported by the caller.
 * @param iteration progress of the attack, in the units of its output
 * @param images returns the reconstructions at that iteration, one list per draw
 */
export type Tick = (iteration: number, images: () => Promise<readonly Float32Array[]>) => unknown;

/** The GPU programs of an attack on one victim in memory; run for every draw of that memory. */
export interface BuiltAttack {
  /** Memory plan as a text: `mi-face zero arena 8.2 MB, 12 buffers`. */
  readonly plan: string;
  /**
   * Attacks the draws of the memory that the victim holds now.
   * @param output one of the attack's outputs
   * @param draws the numbers of the draws that the victim holds
   * @returns one result per draw
   * @throws DeviceLostError
   */
  run(output: AttackOutput, draws: readonly number[], tick: Tick): Promise<readonly AttackResult[]>;
  /** Called when the victim's memory holds new draws; drops what was computed from the earlier ones. */
  forget?(): void;
  destroy(): void;
}

/** An attack on one victim that is ready to run: the attacker's networks are trained. */
export interface PreparedAttack {
  readonly outputs: readonly AttackOutput[];
  /**
   * True if its results differ between draws even if the weights do not, because of random starts or random directions. One
   * attack of this type makes every attack of the experiment run in all draws of conditions without faults.
   */
  readonly varies: boolean;
  /**
   * Number of images that it keeps on the device per draw and attacked person; limits how many draws are measured together.
   * Absent where it attacks one draw at a time.
   */
  readonly imagesPerDraw?: number;
  /** True if it needs the public faces on the device until the experiment ends. */
  readonly keepsPublicFaces?: boolean;
  build(attacked: AttackedVictim): Promise<BuiltAttack>;
  /**
   * Attacks other photographs once; absent where the attack takes no photographs.
   * @returns one image for each of `indices`, by the attackers' names
   */
  invert?(
    attacked: Pick<AttackedVictim, 'victim' | 'release'>,
    photographs: DeviceDataset,
    indices: Uint32Array,
  ): Promise<ReadonlyMap<string, readonly Float32Array[]>>;
}

/** The facts about a victim before it is built; the size is that of its images. */
export interface VictimShape extends ImageSizeInput {
  readonly classes: number;
  readonly seed: number;
  readonly spec: ModelSpec;
  readonly training: TrainingConfig;
}

/** A network that an attacker trains. */
export interface PlannedNetwork {
  /** True if it depends only on this and on the public faces, so that several attacks can have it. */
  readonly isShared?: boolean;
  readonly name: string;
  readonly spec: ModelSpec;
  readonly training: TrainingConfig;
}

/** A kind of attack. `C` is its configuration, as its schema returns it. */
export interface Attack<C extends { readonly kind: string } = { readonly kind: string }> {
  readonly kind: C['kind'];
  /** Name of the attack in titles: `MI-Face`. */
  readonly title: string;
  /** True if its images show single photographs, rather than persons in general. */
  readonly onPhotographs: boolean;
  /** True if it returns memberships in place of images. It must then be known what the victim was trained on. */
  readonly infersMembership?: boolean;
  /** True if the attacker must have other people's faces to learn from. */
  readonly needsPublicFaces: boolean;
  /** One sentence for help texts. */
  readonly description: string;
  /** A strict object whose `kind` is a literal and whose fields have descriptions. */
  readonly schema: v.GenericSchema<unknown, C>;
  /** What is wrong with options that contradict each other; undefined if nothing is. Without it, none do. */
  contradiction?(config: C): string | undefined;
  access(config: C): Access;
  /**
   * Its configuration where a user gives only the kind; the schema adds the other defaults.
   * @param victim size of its images, and whether it is searched through the code of an autoencoder
   */
  defaults(victim: ImageSizeInput & { readonly latent: boolean }): { readonly kind: C['kind'] };
  /** @param meanOf the faces of the attacker's mean face, where they are known: titles name them */
  outputs(config: C, meanOf?: MeanFaceOf): readonly AttackOutput[];
  /** The part of a configuration that one output depends on; all of it by default. */
  dependency?(config: C, output: string): unknown;
  /** The networks that the attacker trains, for a plan of memory and time; none by default. */
  networks?(config: C, victim: VictimShape): readonly PlannedNetwork[];
  /** Does the work before any memory error, such as training networks. @throws ConfigError, DataError, DeviceLostError */
  prepare(config: C, context: AttackContext): Promise<PreparedAttack>;
}
