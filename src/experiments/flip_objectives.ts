/** What a search of flips can be for. */

/**
 * The costs that a search raises. `loss` stands for the mean cross-entropy of training photographs; `meanLoss` for that of the
 * mean training photograph of every person, which is what inverting a classifier tends to (Fredrikson et al., CCS 2015): the
 * more probable the network finds it, the better it guides an attacker there. Weights are per nat.
 */
export const OBJECTIVES = {
  accuracy: { loss: 1, meanLoss: 0, description: 'the photographs are recognised least (raises their cross-entropy)' },
  hide: {
    loss: -1,
    meanLoss: 1,
    description:
      "each person's mean photograph, to which an inversion tends, becomes improbable while the photographs stay recognised (raises " +
      'the cross-entropy of the former less that of the latter): the choice of a defender',
  },
  leak: {
    loss: -1,
    meanLoss: -1,
    description:
      'the mean photographs become probable and the photographs stay recognised (lowers both cross-entropies): the choice of ' +
      'somebody who writes to the memory and wants to invert the network unnoticed',
  },
} as const;
export type FlipObjective = keyof typeof OBJECTIVES;
