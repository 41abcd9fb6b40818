/**
 * The meanings of terms and of measures, in at most three sentences each: the texts of `midas explain`, of reports and of the page.
 * A reader needs no other entry to understand one.
 */
import { METRIC_LABELS } from './labels.ts';
import { METRIC_TEXTS, METRICS, type Metric } from './metrics.ts';

/** The meaning of a term. */
export interface Meaning {
  readonly term: string;
  /** Other names under which it is found. */
  readonly also?: readonly string[];
  /** At most three sentences. */
  readonly text: string;
}

/** How the values of a measure are read: their scale, what chance gives, and what the measure cannot see. */
const SCALES: Readonly<Record<Metric, string>> = {
  accuracy: 'What the owner of the model loses when it falls. Guessing gives 1 / people.',
  pcc: 'Runs from -1 to 1; 1 is the very same picture up to brightness and contrast. Even a mean face that shows nobody has a high value, so it says little alone.',
  pccLift:
    '0 if the picture resembles the right person no more than others. It divides by the contrast of the whole picture, so it can rise when the face in general fades.',
  mse: 'Of pixels in 0..1: 0 is the same picture. It depends on brightness and contrast, which an attacker gets wrong without losing the person.',
  psnr: 'Higher is closer; 10 dB is a tenth of the error. It has the weakness of the mean squared error, from which it is computed.',
  ssim: 'Of means, contrasts and structure in windows of the two pictures (Wang et al., 2004): 1 is the same picture.',
  identity: 'Guessing gives 1 / people. Compare it with the share of real photographs that this evaluator knows.',
  pccMeanFree: '0 if nothing is shown but the mean face.',
  liftMeanFree: '0 if the picture shows nobody in particular. It does not rise when the face in general fades.',
  rank1: 'Guessing gives 1 / people.',
  rank5: 'Guessing gives 5 / people.',
  auc: 'It sees changes that rank 1 does not see: those far from the first place.',
  pccOther: 'It shows the person rather than the pose and the light of one photograph.',
  liftOther: 'It shows the person rather than the pose and the light of one photograph.',
  pccMeanFreeOther: 'It shows the person rather than the pose and the light of one photograph.',
  liftMeanFreeOther: 'It shows the person rather than the pose and the light of one photograph.',
  top1: 'The evaluator never saw the victim. Compare it with the share of real photographs that it knows.',
  top5: 'Guessing gives 5 / people.',
  featureDistance: 'Smaller is more alike; it has no scale of its own, so compare it with other conditions.',
  flagged: 'Of real photographs 3 % are flagged.',
};

/** Names of measures in texts, in addition to those in tables and files. */
const NAMES: Partial<Record<Metric, readonly string[]>> = {
  pcc: ['Pearson correlation'],
  pccLift: ['lift'],
  liftMeanFree: ['lift', 'mean-free lift'],
  rank1: ['identification'],
  identity: ['recognised'],
  top1: ['recognised'],
  flagged: ['false positive'],
};

/** The meaning of a measure, under its name in files and in tables. */
export function meaningOf(metric: Metric): Meaning {
  const first =
    metric === 'accuracy' ? 'Share of held-out photographs that the model names correctly' : METRIC_TEXTS[metric];
  // Descriptions name other measures by their keys.
  const what = first.replace(/`(\w+)`/g, (_, key: Metric) => METRIC_LABELS[key]);
  return { term: METRIC_LABELS[metric], also: [metric, ...(NAMES[metric] ?? [])], text: `${what}. ${SCALES[metric]}` };
}

/** The terms of help texts, reports and the page, in alphabetical order. */
export const TERMS: readonly Meaning[] = [
  {
    term: 'approximate memory',
    also: ['memory'],
    text: 'Memory that is run outside its specification, at a lower voltage or shorter timings, to save energy or time. In return some reads come back with flipped bits. midas memory list names the memories that can be measured.',
  },
  {
    term: 'attack',
    also: ['attacker'],
    text: 'A method that learns about the people a model was trained on from the model itself, its weights or its answers. Most return a picture of a person; membership inference says whether a photograph was in the training.',
  },
  {
    term: 'bad row',
    also: ['bad rows', 'bad line', 'bad-bits'],
    text: 'A row (or a cache line) of a DIMM in which at least one bit was wrong when it was measured. How many of its bits are wrong was not measured: 5 % is assumed, and --bad-bits changes it.',
  },
  {
    term: 'bit error rate',
    also: ['ber', 'bit errors', 'rate', 'rates'],
    text: 'Probability that a stored bit is read as its opposite, 0..1. At 2^-6 = 1.56 % every sixty-fourth bit is wrong. Bits that fail at one rate also fail at every higher rate.',
  },
  {
    term: 'calibration',
    also: ['equal accuracy', 'matched noise'],
    text: 'Search for the scale of noise that leaves the same accuracy as bit errors do, with draws and photographs that the comparison does not use. A comparison at equal accuracy asks which of the two hides more at the same cost. Its interval includes the uncertainty of the search.',
  },
  {
    term: 'chip',
    also: ['specimen'],
    text: 'One specimen of a memory. With granularity chip its faulty bits never change, so that no number of reads averages them away.',
  },
  {
    term: 'condition',
    text: 'What is done to the weights, and to the answers that the model releases: nothing, bit errors, a named memory, or noise. Rows of one condition differ only in their draw and attack.',
  },
  {
    term: 'confidence interval',
    also: ['interval', '95 %', 'ci95'],
    text: 'Range that contains the true mean in 95 of 100 repetitions of the study. It covers the variation over draws, people (or photographs) and, if there are several, victims and DIMMs. Two values differ only where the interval of their difference excludes zero.',
  },
  {
    term: 'defence',
    text: 'A change that is meant to hide the people a model was trained on: in its training, in the memory of its weights, or in the answers that it releases.',
  },
  {
    term: 'DIMM',
    also: ['dimms'],
    text: 'A memory module. Those of vendors A, B and C were measured by Chang et al. (SIGMETRICS 2016 and 2017); every draw is another one of them.',
  },
  {
    term: 'draw',
    also: ['draws'],
    text: 'One sample of the faults of a memory, or of noise. Draws of one number use the same random stream in every condition, so that conditions are compared pair by pair.',
  },
  {
    term: 'ECC',
    also: ['secded'],
    text: 'Error correction: SECDED(72,64) stores 8 check bits with 64 bits of data, corrects one wrong bit among the 72 and detects two.',
  },
  {
    term: 'energy',
    also: ['joules'],
    text: 'Energy of reading the weights. The square of the supply voltage is an upper bound of the saving; the table by causes takes a data sheet of DDR3L and counts activation, reads, standby and refresh.',
  },
  {
    term: 'equivalence test',
    also: ['equivalence', 'no difference'],
    text: 'A test that shows two values to be equal up to a margin: the whole interval of their difference lies within it. Without it a report says "no difference was shown", which is not equality.',
  },
  {
    term: 'evaluator',
    also: ['judge', 'identity classifier', 'linear evaluator', 'convolutional evaluator'],
    text: 'A classifier that was trained on photographs the attacker and the victim did not use, and that names the person on a reconstruction. Beside every share of recognised pictures stands the share of real photographs that it knows.',
  },
  {
    term: 'fixed point',
    also: ['fixed', 'fixed12', 'format'],
    text: 'Number format that stores a weight as a whole number of steps; the step is fitted to each tensor. 12 bits with a sign bit unless --bits or --format say otherwise.',
  },
  {
    term: 'granularity',
    also: ['load', 'pass', 'inference'],
    text: 'How often faults are drawn anew: once per chip, with every load of the weights, in every pass over the network, or for every image (inference).',
  },
  {
    term: 'headroom',
    text: 'Bits between the largest weight and the top bit of a fixed-point format. Each one doubles the change that a flip of the top bit makes.',
  },
  {
    term: 'held-out',
    also: ['test photographs', 'split'],
    text: 'Photographs of the victim’s people on which it was not trained. Accuracy is measured on them; an attack that inverts predictions takes them as input.',
  },
  {
    term: 'Holm',
    also: ['corrected', 'holm’s method'],
    text: 'Correction for the number of comparisons in a report: the chance that any of them finds a difference that is not there stays 5 %.',
  },
  {
    term: 'inversion',
    also: ['inversion network', 'prediction inversion'],
    text: 'A network that turns the answers of a classifier for a photograph back into that photograph (Yang et al., CCS 2019). The attacker trains it on other people’s faces.',
  },
  {
    term: 'latency',
    also: ['trcd', 'trp', 'timing', 'access'],
    text: 'Time that a memory waits before it reads a row it has opened (tRCD), or opens one after it closed another (tRP). Reading earlier than the specification allows saves time and makes bit errors.',
  },
  {
    term: 'LiRA',
    also: ['shadow model', 'shadows'],
    text: 'Membership inference by a likelihood ratio (Carlini et al., S&P 2022). The attacker trains shadow models like the victim, with and without a photograph, and asks which of the two groups the victim’s answer resembles.',
  },
  {
    term: 'mean face',
    text: 'The average of many faces. It resembles everybody a little, so measures without the mean face remove it from both pictures first.',
  },
  {
    term: 'membership inference',
    also: ['membership'],
    text: 'An attack that judges whether a photograph was in the victim’s training. Its AUC is 0.5 by guessing.',
  },
  {
    term: 'MI-Face',
    text: 'Model inversion by gradient descent (Fredrikson, Jha, Ristenpart, CCS 2015). It moves the pixels of an image step by step so that the victim names a chosen person with more confidence.',
  },
  {
    term: 'model inversion',
    text: 'Reconstruction of what a model was trained on, such as a face, from the model or its answers.',
  },
  {
    term: 'noise',
    also: ['gaussian', 'laplacian'],
    text: 'Random numbers that are added to the weights: the plain alternative to bit errors. A memory protects privacy only if it hides more than noise that costs the same accuracy.',
  },
  {
    term: 'null baseline',
    also: ['baselines'],
    text: 'Similarity without any attack: of the mean face, or of photographs of somebody else. A reconstruction below it shows nothing.',
  },
  {
    term: 'paired comparison',
    also: ['paired'],
    text: 'Comparison of two conditions person by person and draw by draw. What both share cancels, so it finds smaller differences than two separate intervals.',
  },
  {
    term: 'placement',
    also: ['place', 'mapping'],
    text: 'Where in a memory the layers lie: banks, rows and columns. Layers in good rows have no errors; by default they are interleaved over all banks, from a random page on.',
  },
  {
    term: 'quantised',
    text: 'The weights in their number format without any error: what the format alone costs.',
  },
  {
    term: 'query',
    also: ['queries'],
    text: 'One answer of the victim that an attack reads; for an attacker who has the weights, one gradient.',
  },
  {
    term: 'reload',
    also: ['reloads', 'reads'],
    text: 'A further load of the weights that an attacker waits for. Where faults change with every load, averaging over reloads removes them.',
  },
  {
    term: 'row',
    also: ['rows'],
    text: 'One attack on one draw of one condition: a line of rows.jsonl and of results.csv.',
  },
  {
    term: 'seed',
    also: ['seeds'],
    text: 'Number from which every random number follows: the same seed gives the same bits. Reports over several seeds treat each as another victim.',
  },
  {
    term: 'shard',
    text: 'A part of a run that another machine can measure. midas merge joins the parts to the same bytes as one run.',
  },
  {
    term: 'supply voltage',
    also: ['volts', 'voltage', 'voltages', 'undervolting'],
    text: 'Voltage of the memory chips, nominally 1.35 V for DDR3L. Below about 1.3 V rows begin to fail, and which rows fail was measured.',
  },
  {
    term: 'two’s complement',
    also: ['representation', 'sign-magnitude', 'inverted'],
    text: 'How a negative number is stored: sign and magnitude apart, or as the complement. Where cells fail in one direction, storing complements (inverted) can lower the number of flips.',
  },
  {
    term: 'undefended',
    also: ['none', 'no defence', 'no errors'],
    text: 'The model with exact weights and unchanged answers, to which conditions are compared.',
  },
  {
    term: 'victim',
    text: 'The classifier that is attacked. It names the person on a photograph.',
  },
  {
    term: 'white box',
    also: ['black box', 'scores', 'labels', 'access'],
    text: 'What an attacker has: the weights (white box), the confidences of the answers (scores), or only the name that the victim gives (labels).',
  },
];

/** All measures and terms. */
export const GLOSSARY: readonly Meaning[] = [...METRICS.map(meaningOf), ...TERMS];
