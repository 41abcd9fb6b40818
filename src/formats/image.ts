/** `pixels` is [height, width, channels], row-major, 8 bits: 1 gray, or 3 red, green, blue. */
export interface DecodedImage {
  width: number;
  height: number;
  channels: 1 | 3;
  pixels: Uint8Array;
}
