/** Recalibration of confidences by a temperature (Guo et al., ICML 2017), by an attacker who compares mean entropies. */

/** Bounds of a matched temperature, and the halvings of their ratio in logarithms, which fix seven digits. */
const [LOWEST, HIGHEST, HALVINGS] = [0.01, 100, 27];

/**
 * Mean entropy in nats of softmax(logits / temperature); rows that are not numbers are left out.
 * @param logits [rows, classes]
 * @returns NaN if no row is a number
 */
export function meanEntropy(logits: Float32Array, classes: number, temperature = 1): number {
  let [sum, rows] = [0, 0];
  for (let at = 0; at < logits.length; at += classes) {
    const row = logits.subarray(at, at + classes);
    const largest = row.reduce((max, value) => Math.max(max, value), Number.NEGATIVE_INFINITY);
    let [total, weighted] = [0, 0];
    for (const logit of row) {
      const value = (logit - largest) / temperature;
      const weight = Math.exp(value);
      total += weight;
      // A confidence of zero adds nothing.
      if (weight > 0) weighted += weight * value;
    }
    const entropy = Math.log(total) - weighted / total;
    if (!Number.isFinite(entropy)) continue;
    sum += entropy;
    rows++;
  }
  return sum / rows;
}

/**
 * The temperature at which predictions have a mean entropy, by bisection: entropy rises with temperature.
 * @param logits [rows, classes]
 * @param entropy in nats
 * @returns 0.01..100, the nearer bound where no temperature between them has this entropy; 1 if no row is a number
 */
export function matchedTemperature(logits: Float32Array, classes: number, entropy: number): number {
  if (Number.isNaN(meanEntropy(logits, classes))) return 1;
  let [low, high] = [Math.log(LOWEST), Math.log(HIGHEST)];
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (low + high) / 2;
    if (meanEntropy(logits, classes, Math.exp(middle)) < entropy) low = middle;
    else high = middle;
  }
  return Math.exp((low + high) / 2);
}
