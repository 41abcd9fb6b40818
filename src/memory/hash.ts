/**
 * The hash from which the device computes every random number. Reference of shaders/common/hash.wgsl, which names its
 * source and the reason for the third round.
 * @returns four u32 in `out` (a fresh array by default)
 */
export function pcg4d(x: number, y: number, z: number, w: number, out = new Uint32Array(4)): Uint32Array {
  let a = (Math.imul(x, 1664525) + 1013904223) | 0;
  let b = (Math.imul(y, 1664525) + 1013904223) | 0;
  let c = (Math.imul(z, 1664525) + 1013904223) | 0;
  let d = (Math.imul(w, 1664525) + 1013904223) | 0;
  for (let round = 0; round < 3; round++) {
    a = (a + Math.imul(b, d)) | 0;
    b = (b + Math.imul(c, a)) | 0;
    c = (c + Math.imul(a, b)) | 0;
    d = (d + Math.imul(b, c)) | 0;
    a ^= a >>> 16;
    b ^= b >>> 16;
    c ^= c >>> 16;
    d ^= d >>> 16;
  }
  out[0] = a;
  out[1] = b;
  out[2] = c;
  out[3] = d;
  return out;
}
