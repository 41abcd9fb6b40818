import { describe, expect, it } from 'vitest';
import { parseExperiment } from '../src/experiments/config.ts';
import { presetInput } from '../src/experiments/presets.ts';
import { parseNetwork } from '../src/models/network_description.ts';

const layers = (layer: object) => () =>
  parseNetwork({ kind: 'network', input: { height: 8, width: 8, channels: 1 }, layers: [layer] }, 'net.json');
const attacks = (attack: object) => () => parseExperiment({ ...presetInput('shallow'), attacks: [attack] }, 'c.json');

describe('the message about a field', () => {
  it('a missing field is called missing, with its choices or its meaning', () => {
    expect(attacks({ kind: 'mi-face' })).toThrow(
      'c.json: attacks.0.start: missing; give one of zero, mean, training-mean, noise',
    );
    expect(layers({ kind: 'conv2d', name: 'a', channels: 4 })).toThrow(
      'net.json: layers.0.kernelSize: missing; give kernelSize: height and width of a window, pixels',
    );
    expect(layers({ name: 'a' })).toThrow(/layers\.0\.kind: missing; give one of conv2d, /);
  });

  it('an unknown field or choice is named with the nearest known one, or with all', () => {
    expect(layers({ kind: 'conv2d', name: 'a', channels: 4, kernelSize: 3, kernel_size: 3 })).toThrow(
      'net.json: layers.0.kernel_size: unknown field; did you mean kernelSize?',
    );
    expect(layers({ kind: 'relu', name: 'a', threshold: 3 })).toThrow(
      'net.json: layers.0.threshold: unknown field; known are kind, name, inputs',
    );
    expect(layers({ kind: 'maxpool', name: 'a' })).toThrow(
      'net.json: layers.0.kind: unknown: maxpool; did you mean max_pool?',
    );
  });
});
