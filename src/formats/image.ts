/** `pixels` is [height, width, channels], row-major, 8 bits. One channel is gray; three are red, green and blue. */
export interface DecodedImage {
  width: number;
  height: number;
  channels: 1 | 3;
  pixels: Uint8Array;
}
