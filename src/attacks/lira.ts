/** Scores of photographs in membership inference: by the confidence of the victim alone, and by LiRA. */

/**
 * ln(p / (1 - p)) of the confidence p in a class, from logits, so that it stays exact where p is next to 1; NaN if a logit is
 * not finite. The loss -ln p is ln(1 + exp(-score)): a threshold on the loss (Yeom, Giacomelli, Fredrikson, Jha, CSF 2018) is
 * one on this score.
 */
export function scaledConfidence(logits: ArrayLike<number>, label: number): number {
  const others = Array.from(logits).filter((_, i) => i !== label);
  const largest = others.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const score = logits[label] - largest - Math.log(others.reduce((sum, other) => sum + Math.exp(other - largest), 0));
  return Number.isFinite(score) ? score : Number.NaN;
}

/**
 * Scores of LiRA (Carlini et al., S&P 2022): ln N(s; m_in, v_in) - ln N(s; m_out, v_out) for the score s that the victim gives a
 * photograph, where m are the means of the scores that shadow models gave it that were trained with and without it. Few models
 * cannot show a variance per photograph: v are those within photographs, over all of them.
 * @param inside, outside scores of the shadow models, [photograph][model], at least two models each
 * @returns one score per photograph, NaN where one of its scores is NaN
 */
export function likelihoodRatios(
  scores: readonly number[],
  inside: readonly (readonly number[])[],
  outside: readonly (readonly number[])[],
): number[] {
  const [first, second] = [inside, outside].map((models) => {
    const means = models.map((own) => own.reduce((sum, value) => sum + value, 0) / own.length);
    const squares = models.flatMap((own, i) => own.map((value) => (value - means[i]) ** 2)).filter(Number.isFinite);
    const freedom = squares.length * (1 - 1 / models[0].length);
    const variance = squares.reduce((sum, value) => sum + value, 0) / freedom;
    return scores.map((score, i) => -((score - means[i]) ** 2) / (2 * variance) - Math.log(variance) / 2);
  });
  return first.map((value, i) => value - second[i]);
}
