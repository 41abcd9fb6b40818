import type { Arena, Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import type { ImageSizeInput } from '../image_size.ts';

/** The space in which the attacker searches: images, or the code of an autoencoder whose decoder gives the image. */
export interface SearchSpace extends ImageSizeInput {
  /** Latent space only: plans and records the decoder, code -> image, and the encoder, processed -> code. */
  readonly latent?: {
    readonly size: number;
    plan(
      arena: Arena,
      code: Matrix,
      image: Matrix,
      processed: Matrix,
    ): { recordDecode(recorder: Recorder): void; recordEncode(recorder: Recorder): void };
  };
}
