/** The size of images, the same for data sets, networks, attacks, measures and pictures. */

/** Values per pixel: 1 for gray, 3 for red, green and blue. */
export type Channels = 1 | 3;

/** The size of an image, whose values are [height, width, channels], row-major. */
export interface ImageSize {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly channels: Channels;
}

/** A size of images that are gray unless it says otherwise. */
export type ImageSizeInput = Omit<ImageSize, 'channels'> & Partial<ImageSize>;

/** Number of values of an image: those of all its pixels and channels. */
export function imageValues({ width, height, channels = 1 }: ImageSizeInput): number {
  return width * height * channels;
}

/** A size for messages: `64x48`, or `64x48 RGB`. */
export function sizeName({ width, height, channels }: ImageSizeInput): string {
  return `${width}x${height}${channels === 3 ? ' RGB' : ''}`;
}

/** Colours of images, as configurations and flags name them. */
export const COLOURS = ['gray', 'rgb'] as const;
export type Colours = (typeof COLOURS)[number];

/** Values per pixel. */
export function channelsOf(colours: Colours): Channels {
  return colours === 'rgb' ? 3 : 1;
}
