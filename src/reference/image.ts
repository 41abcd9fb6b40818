/** Float64 references of the image kernels. A batch is [images, height * width], row-major. */

type Pixel = (line: number, column: number) => number;

/** Calls `f` for every pixel with an accessor of its image that clamps coordinates to the edges. */
function mapPixels(
  x: ArrayLike<number>,
  height: number,
  width: number,
  f: (pixel: Pixel, line: number, column: number) => number,
): Float64Array {
  const clamp = (value: number, size: number) => Math.min(Math.max(value, 0), size - 1);
  return Float64Array.from(x, (_, i) => {
    const first = i - (i % (height * width));
    const pixel: Pixel = (line, column) => x[first + clamp(line, height) * width + clamp(column, width)];
    return f(pixel, Math.floor((i - first) / width), (i - first) % width);
  });
}

/** Parameters of {@link nonLocalMeans}: radii in pixels, strength in pixel units. */
export interface NonLocalMeans {
  patchRadius: number;
  searchRadius: number;
  strength: number;
}

/** Non-local means (Buades, Coll, Morel, CVPR 2005). */
export function nonLocalMeans(
  x: ArrayLike<number>,
  height: number,
  width: number,
  { patchRadius, searchRadius, strength }: NonLocalMeans,
): Float64Array {
  return mapPixels(x, height, width, (pixel, line, column) => {
    let [sum, weights] = [0, 0];
    for (let dy = -searchRadius; dy <= searchRadius; dy++) {
      for (let dx = -searchRadius; dx <= searchRadius; dx++) {
        const [qLine, qColumn] = [line + dy, column + dx];
        let squares = 0;
        for (let v = -patchRadius; v <= patchRadius; v++) {
          for (let u = -patchRadius; u <= patchRadius; u++) {
            squares += (pixel(line + v, column + u) - pixel(qLine + v, qColumn + u)) ** 2;
          }
        }
        const weight = Math.exp(-squares / (2 * patchRadius + 1) ** 2 / strength ** 2);
        sum += weight * pixel(qLine, qColumn);
        weights += weight;
      }
    }
    return sum / weights;
  });
}

/** Unsharp mask with a 3 x 3 binomial blur, clamped to 0..1. */
export function sharpen(x: ArrayLike<number>, height: number, width: number, amount: number): Float64Array {
  const binomial = [1, 2, 1];
  return mapPixels(x, height, width, (pixel, line, column) => {
    let blur = 0;
    for (let v = -1; v <= 1; v++) {
      for (let u = -1; u <= 1; u++) {
        blur += (binomial[v + 1] * binomial[u + 1] * pixel(line + v, column + u)) / 16;
      }
    }
    const here = pixel(line, column);
    return Math.min(Math.max(here + amount * (here - blur), 0), 1);
  });
}

/** The smoothed total variation whose gradient the kernel adds: one value per image. */
export function totalVariation(x: ArrayLike<number>, height: number, width: number, epsilon: number): Float64Array {
  const pixels = height * width;
  const energies = new Float64Array(x.length / pixels);
  for (let i = 0; i < x.length; i++) {
    const here = i % pixels;
    const image = Math.floor(i / pixels);
    if ((here % width) + 1 < width) energies[image] += Math.sqrt((x[i + 1] - x[i]) ** 2 + epsilon) / pixels;
    if (here + width < pixels) energies[image] += Math.sqrt((x[i + width] - x[i]) ** 2 + epsilon) / pixels;
  }
  return energies;
}

/** `weight` times the gradient of {@link totalVariation}. */
export function totalVariationGradient(
  x: ArrayLike<number>,
  height: number,
  width: number,
  weight: number,
  epsilon: number,
): Float64Array {
  const pixels = height * width;
  const gradient = new Float64Array(x.length);
  const scatter = (from: number, to: number) => {
    const difference = x[to] - x[from];
    const slope = ((weight / pixels) * difference) / Math.sqrt(difference ** 2 + epsilon);
    gradient[to] += slope;
    gradient[from] -= slope;
  };
  for (let i = 0; i < x.length; i++) {
    const here = i % pixels;
    if ((here % width) + 1 < width) scatter(i, i + 1);
    if (here + width < pixels) scatter(i, i + width);
  }
  return gradient;
}
