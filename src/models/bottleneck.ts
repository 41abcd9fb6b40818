/**
 * The variational bottleneck of mutual information regularisation (MID; Wang et al., AAAI 2021), in the form of its published
 * implementations (model and training `vib` of the repository of BiDO, Peng et al. 2022): the last dense layer of a classifier
 * reads z = mu + sigma * noise, with sigma = softplus(s - 5), and the loss gets beta times the mean over the images of the sum
 * over the values of KL(N(mu, sigma^2) || N(0, 1)). There, one dense layer computes mu and s from the features, and halves
 * their number. Here mu is the vector that the last layer reads anyway, and a dense layer from mu, which is zero at first,
 * computes s. So the network is the same with and without the defence: the layers of the bottleneck exist in training only,
 * and the trained network answers with z = mu.
 */
import { ConfigError } from '../errors.ts';
import { hiddenLayers } from '../layers/graph.ts';
import { type LayerSpec, productLayers } from '../layers/kinds.ts';

/**
 * The layers of a classifier with a bottleneck before the last layer that has products. Names of added layers have a space,
 * which no other layer has.
 * @param beta factor of the information, above 0
 * @throws ConfigError for a network whose last such layer is no dense layer that reads hidden values
 */
export function withBottleneck(layers: readonly LayerSpec[], beta: number): readonly LayerSpec[] {
  const products = productLayers(layers);
  const at = layers.findIndex(({ name }) => name === products[products.length - 1]);
  const last = layers[at];
  const source = last?.from?.[0] ?? layers[at - 1]?.name;
  if (last?.kind !== 'dense' || !hiddenLayers(layers).includes(source)) {
    throw new ConfigError(
      'defences.mid: a bottleneck needs a dense layer that is the last one with weights and reads hidden values that training ' +
        'as a classifier changes; choose another victim or defence',
    );
  }
  const [deviation, bottleneck] = [`${last.name} deviation`, `${last.name} bottleneck`];
  const { inputs } = last;
  return [
    ...layers.slice(0, at),
    { kind: 'dense', name: deviation, inputs, outputs: inputs, activation: 'none', from: [source] },
    { kind: 'bottleneck', name: bottleneck, width: inputs, beta, from: [source, deviation] },
    { ...last, from: [bottleneck] },
    ...layers.slice(at + 1),
  ];
}
