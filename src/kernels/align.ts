import { ConfigError, ShapeError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import { f32 } from '../gpu/composer.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { requireBytes, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/**
 * The log-confidence of a class whose confidence underflows to 0 in f32. `direct`: the logarithm computed from the logits;
 * `faithful`: -1000 as in the published code, which computes the logarithm of the confidence and clamps that of 0.
 */
export type ConfidenceFloor = 'direct' | 'faithful';

/** The constant that the published code adds to log-confidences. */
export const ALIGNMENT_OFFSET = 50;

/** The published code's smallest log-confidence. */
export const SMALLEST_LOG_CONFIDENCE = -1000;

/**
 * ln 2^-150 = -103.97. Confidences up to 2^-150 round to 0 in f32, whose smallest positive number is 2^-149 (ties go to
 * even). The published code divides a rounded exponential by a rounded sum, so that between -104.7 and -103.5 it may decide
 * otherwise. Above that, up to ln 2^-126 = -87.3, its confidences have fewer digits, which the direct logarithm does not
 * reproduce.
 */
export const CONFIDENCE_UNDERFLOW = -150 * Math.LN2;

/**
 * The attacker's preprocessing of predictions (Yang, Chang and Liang, CCS 2019, as published). The log-confidences of the
 * `truncation` most confident classes of a row are raised by `offset` and, if one is still negative, further until the
 * smallest is 0. All other entries are 0. Ties go to the lower class.
 *
 *   topk, indices = torch.topk(prediction, truncation)
 *   topk = torch.clamp(torch.log(topk), min=-1000) + c
 *   topk = topk + F.relu(-topk.min(1, keepdim=True)[0])
 *   prediction = torch.zeros(...).scatter_(1, indices, topk)
 *
 * A row whose softmax is not a number (a logit is NaN or +infinity, or all are -infinity) keeps NaN.
 *
 * @param args.logits [rows, classes]; not confidences: their logarithm is computed directly
 * @param args.truncation number of classes kept, integer in 1..classes
 * @param args.output [rows, classes]; its stride may differ from that of logits
 * @param args.floored rows u32: number of kept entries below {@link CONFIDENCE_UNDERFLOW}, with either floor; 0 in a row of
 * NaN
 * @param args.clip log-confidences below it are raised to it before `offset` is added, -1000..0; default: -1000
 * @throws ShapeError, ConfigError
 */
export function recordTruncateAlign(
  recorder: Recorder,
  args: {
    logits: Matrix;
    truncation: number;
    output: Matrix;
    floored: BufferView;
    offset?: number;
    floor?: ConfidenceFloor;
    clip?: number;
  },
): void {
  const { logits, truncation, output, floored, offset = ALIGNMENT_OFFSET, floor = 'direct' } = args;
  const { clip = SMALLEST_LOG_CONFIDENCE } = args;
  const kernel = 'truncate_align';
  const shape = shapeConstants(kernel, 'logits', logits);
  const { STRIDE: outStride } = shapeConstants(kernel, 'output', output);
  if (output.rows !== logits.rows || output.columns !== logits.columns) {
    throw new ShapeError(
      `${kernel}: output is ${output.rows} x ${output.columns} but logits is ${logits.rows} x ${logits.columns}; ` +
        'they must agree',
    );
  }
  requireBytes(kernel, 'floored', floored, logits.rows * 4);
  if (!(Number.isInteger(truncation) && truncation >= 1 && truncation <= logits.columns)) {
    throw new ConfigError(`${kernel}: truncation ${truncation} is not an integer in 1..${logits.columns}, the classes`);
  }
  if (!(clip >= SMALLEST_LOG_CONFIDENCE && clip <= 0)) {
    throw new ConfigError(`${kernel}: clip ${clip} is not in ${SMALLEST_LOG_CONFIDENCE}..0`);
  }
  if (!Number.isFinite(offset)) throw new ConfigError(`${kernel}: offset ${offset} is not a finite number`);
  // Few rows with much work each: small workgroups, so that every core gets some of them.
  const { workgroups, constants } = flatGrid(logits.rows, 16);
  recorder.record({
    label: kernel,
    shader: {
      path: 'loss/truncate_align.wgsl',
      constants: {
        ...shape,
        ...constants,
        OUT_STRIDE: outStride,
        KEPT: truncation,
        FAITHFUL: floor === 'faithful',
        UNDERFLOW: f32(CONFIDENCE_UNDERFLOW),
        LOWER: f32(clip),
        OFFSET: f32(offset),
      },
    },
    bindings: [
      ['read', logits],
      ['write', output],
      ['write', floored],
    ],
    workgroups,
    flops: 8 * logits.rows * logits.columns,
  });
}
