/** Writes activations to approximate memory and reads them back once. Reference of shaders/memory/store_activations.wgsl. */
import { BLOCK_CODES, type Codec, codeAt, packCodes } from './codec.ts';
import { blockFaults, type FaultSampler } from './fault_sampler.ts';

/**
 * Returns the bits of the f32 values that are read back, in the layout of `values`.
 * @param values images of `elements` values each, rows padded to `stride`
 * @param first index of the first image
 * @param samplerOf gives the fault sampler of the image with this index
 */
export function storeActivations(
  values: Float32Array,
  { elements, columns, stride }: { elements: number; columns: number; stride: number },
  codec: Codec,
  first: number,
  samplerOf: (image: number) => FaultSampler,
): Uint32Array<ArrayBuffer> {
  const blocks = Math.ceil(elements / BLOCK_CODES);
  const returned = new Uint32Array(values.length);
  for (let image = 0; image < values.length / elements; image++) {
    const faults = blockFaults(samplerOf(first + image));
    for (let block = 0; block < blocks; block++) {
      const at = (i: number) => block * BLOCK_CODES + i;
      const codes = Array.from({ length: BLOCK_CODES }, (_, i) =>
        codec.encode(at(i) < elements ? values[image * elements + at(i)] : 0, 0),
      );
      const words = packCodes(codes, codec.storageBits);
      const mask = faults((first + image) * blocks + block, words);
      const read = words.map((word, w) => word ^ mask[w]);
      for (let i = 0; i < BLOCK_CODES; i++) {
        if (at(i) >= elements || at(i) % stride >= columns) continue;
        const code = codeAt(read, i, codec.storageBits) & (2 ** codec.bits - 1);
        returned[image * elements + at(i)] = codec.decode(code >>> 0, 0);
      }
    }
  }
  return returned;
}
