/** The messages between the page and the worker that holds the engine. */

import type { SplitName } from '../attacks/attack.ts';
import type { VictimKind } from '../experiments/config.ts';
import type { AdapterSummary } from '../gpu/guarded_device.ts';
import type { Channels, ImageSize } from '../image_size.ts';
import type { FlipRate } from '../memory/flips.ts';
import type { Baselines, Results, Row, SummaryEntry } from '../results/results.ts';
import type { KernelCheck } from '../verify/kernels.ts';
import type { Setting } from './setting.ts';

/** A file that a visitor chose. It goes to the worker and nowhere else. */
export interface ChosenFile {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** An image that a visitor chose, 8 bits per value, of the size and with the channels that the victim takes. */
export interface ChosenImage {
  readonly name: string;
  readonly pixels: Uint8Array<ArrayBuffer>;
}

/** How the network of a visitor is measured. */
export interface NetworkChoice {
  /** Kind of the attack, from the registry. */
  readonly attack: string;
  /** Layers in the memory of the setting. */
  readonly layers: readonly string[];
}

/** `model`: a published victim of the setting. `network`: the network of the visitor. */
export type Subject = 'model' | 'network';

/** Jobs of the engine; one runs at a time, and a new job stops the previous one. */
export type Job =
  /** Opens a device and the shipped networks, or those of `files`; results record `url`, the address of the page. */
  | { readonly kind: 'open'; readonly url: string; readonly files?: readonly ChosenFile[] }
  /** Reconstructs the faces under the memory of a setting, and then measures more draws of that memory, for intervals. */
  | { readonly kind: 'measure'; readonly setting: Setting }
  /** Measures the curve that contains a setting: of its victim, or of the network of the visitor. */
  | { readonly kind: 'curve'; readonly setting: Setting; readonly network?: NetworkChoice }
  /** Runs the attack of a setting against its model, without a defence and with the memory of the setting. */
  | { readonly kind: 'invert'; readonly setting: Setting }
  /** Reads a tensor once and reports its flips. */
  | { readonly kind: 'map'; readonly setting: Setting; readonly network?: NetworkChoice }
  /** Classifies and inverts the images of a visitor. */
  | { readonly kind: 'own'; readonly setting: Setting; readonly images: readonly ChosenImage[] }
  /**
   * Reads a network of a visitor, with or without images and class names; without a network, images for the last one. The files
   * of a dropped folder have their paths as names.
   */
  | { readonly kind: 'bring'; readonly files: readonly ChosenFile[] }
  /** Attacks the network that was brought, without a defence and with some of its layers in the memory of a setting. */
  | { readonly kind: 'attack'; readonly setting: Setting; readonly network: NetworkChoice }
  /** Checks every kernel against its reference. */
  | { readonly kind: 'check' };
export type JobKind = Job['kind'];

/** A job and its `id`, which every reply about its progress repeats. */
export type Request = (Job & { readonly id: number }) | { readonly kind: 'pause' | 'go on' | 'stop' };

/** Images for the page: [count, height, width, channels], 8 bits per value. */
export interface Pictures extends ImageSize {
  readonly images: readonly Uint8Array[];
}

/** The result of one attack on one draw. */
export interface ShownAttack {
  readonly row: Row;
  readonly output: ShownOutput;
  readonly pictures: Pictures;
}

/** One output of an attack, as the page selects it. */
export interface ShownOutput {
  readonly name: string;
  readonly title: string;
  readonly split: SplitName;
  /** Name of the attacker, if several attack the same predictions. */
  readonly attacker?: string;
}

/** The answers of a network without errors to the reconstructions of an attack. */
export interface Believed {
  /** How many reconstructions it assigns to the class that they should show. */
  readonly recognised: number;
  readonly of: number;
  /** Its mean confidence in that class, 0..1. */
  readonly confidence: number;
}

/** A layer that has weights. */
export interface ShownLayer {
  readonly name: string;
  readonly kind: string;
  /** Shape of its result: `16 x 8 x 8`, channels first. */
  readonly output: string;
  readonly parameters: number;
  /** Names of its parameters: `conv1.weight`. */
  readonly tensors: readonly string[];
}

/** A weight in memory: its code and value as they are stored, and as a read returns them. */
export interface ShownWeight {
  readonly code: number;
  readonly read: number;
  readonly value: number;
  readonly readValue: number;
}

/** A kind of attack. */
export interface ShownKind {
  readonly kind: string;
  readonly title: string;
  readonly description: string;
  readonly onPhotographs: boolean;
}

/** What a network of a visitor is, and what it answers to the visitor's images. */
export interface BroughtReply {
  readonly kind: 'brought';
  readonly name: string;
  readonly input: ImageSize;
  readonly classes: number;
  readonly parameters: number;
  readonly layers: readonly ShownLayer[];
  /** What the visitor should know about the conversion, in whole sentences. */
  readonly notes: readonly string[];
  /** Attacks that can run: those on photographs need images. */
  readonly attacks: readonly ShownKind[];
  readonly images?: {
    readonly count: number;
    /** False if the images had no labels; the network's own answers are their labels then. */
    readonly areLabelled: boolean;
    /** How many the network without errors assigns to their class. */
    readonly right: number;
    /** Some of the images, with the network's answers. */
    readonly shown: readonly { readonly name: string; readonly answer: string }[];
    readonly pictures: Pictures;
  };
}

export type Reply =
  | {
      readonly kind: 'opened';
      readonly adapter: AdapterSummary;
      readonly limits: Readonly<Record<string, number>>;
      readonly features: readonly string[];
      /** The origin of the networks, as text for display. */
      readonly networks: string;
    }
  /** A victim is ready to be measured. */
  | {
      readonly kind: 'victim';
      readonly victim: VictimKind;
      /** Parameters that may lie in approximate memory. */
      readonly tensors: readonly string[];
      /** Side of an image, pixels. */
      readonly size: number;
      /** Values per pixel of these images. */
      readonly channels: Channels;
      readonly outputs: readonly ShownOutput[];
      readonly truth: Readonly<Record<SplitName, Pictures & { readonly names: readonly string[] }>>;
      readonly trainAccuracy: number;
      /** Share of real photographs that the linear evaluator recognises, 0..1. */
      readonly evaluatorAccuracy: number;
    }
  | {
      readonly kind: 'measured';
      readonly setting: Setting;
      /** `none`: without a defence. */
      readonly what: 'none' | 'memory';
      readonly attacks: readonly ShownAttack[];
    }
  /** Some weights of the setting's tensor, as they are stored and as one read of the measured draw returns them. */
  | {
      readonly kind: 'weights';
      readonly setting: Setting;
      readonly tensor: string;
      /** Bits of a code that carry its value. */
      readonly bits: number;
      readonly weights: readonly ShownWeight[];
    }
  /** Reconstructions of one point of a curve, under the name that `pictureFile` gives them. */
  | { readonly kind: 'pictures'; readonly of: Subject; readonly file: string; readonly pictures: Pictures }
  /** All results so far of the sweep that contains a setting. */
  | {
      readonly kind: 'results';
      readonly of: Subject;
      readonly setting: Setting;
      readonly results: Results;
      readonly chosen: readonly SummaryEntry[];
      /** Energy of weight reads from the memory that is shown. */
      readonly energy: Row['energy'];
    }
  | {
      readonly kind: 'inversion';
      readonly of: Subject;
      readonly setting: Setting;
      readonly what: 'truth' | 'none' | 'memory';
      readonly iteration: number;
      readonly iterations: number;
      readonly names: readonly string[];
      readonly pictures: Pictures;
      /** Present when the attack is over. */
      readonly row?: Row;
      /** Present when the attack is over and there are images with which its reconstructions are compared. */
      readonly baselines?: Baselines;
      readonly believed?: Believed;
    }
  | {
      readonly kind: 'map';
      readonly of: Subject;
      readonly setting: Setting;
      readonly rows: number;
      readonly columns: number;
      readonly stride: number;
      readonly bits: number;
      /** One word per code, rows x stride; its set bits are those that flipped. */
      readonly flips: Uint32Array;
      /** The lowest bit first. */
      readonly planes: readonly FlipRate[];
      readonly total: FlipRate;
      readonly cacheLines: { readonly lines: number; readonly flipped: number };
    }
  | {
      readonly kind: 'own';
      readonly setting: Setting;
      readonly names: readonly string[];
      readonly rows: readonly {
        readonly label: string;
        readonly pictures: Pictures;
        readonly pcc?: readonly number[];
      }[];
    }
  | BroughtReply
  | { readonly kind: 'checked'; readonly checks: readonly KernelCheck[] }
  | {
      readonly kind: 'progress';
      readonly id: number;
      readonly label: string;
      readonly done: number;
      readonly total: number;
      readonly note: string;
    }
  | { readonly kind: 'ended'; readonly id: number; readonly job: JobKind; readonly how: 'done' | 'stopped' }
  | {
      readonly kind: 'failed';
      readonly id: number;
      readonly job: JobKind;
      /** The error's class. */
      readonly name: string;
      readonly message: string;
    }
  /** The device was lost. An `open` starts another one; rows that were measured are kept. */
  | { readonly kind: 'lost'; readonly message: string };
