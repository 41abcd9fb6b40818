/** Where layers get their weights from when they run. */
import type { Recorder } from '../gpu/recorder.ts';
import type { LayerWeights } from './layer.ts';
import type { FlatParameters } from './parameters.ts';

/** Returns the weights of a layer: from a plain flat buffer, or as approximate memory provides them. */
export type WeightsOf = (layer: string) => LayerWeights;

/** Reads every layer from one flat buffer without errors. */
export function plainWeights(parameters: FlatParameters): WeightsOf {
  return (layer) => {
    const optional = (part: string) =>
      parameters.layout.has(`${layer}.${part}`) ? parameters.matrix(`${layer}.${part}`) : undefined;
    return {
      kind: 'plain',
      reads: [layer],
      weight: parameters.matrix(`${layer}.weight`),
      bias: optional('bias'),
      runningMean: optional('running_mean'),
      runningVariance: optional('running_var'),
    };
  };
}

/** Returns the weights of a layer for one use and counts one read of them, or one per image if images read separately. */
export function readWeights(recorder: Recorder, weights: WeightsOf, layer: string, images: number): LayerWeights {
  const read = weights(layer);
  const times = read.kind === 'fused' && read.perImage ? images : 1;
  for (const each of read.reads) recorder.countRead(each, times);
  return read;
}
