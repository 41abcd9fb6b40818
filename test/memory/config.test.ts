import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/errors.ts';
import { parseMemoryConfig } from '../../src/memory/config.ts';

const LAYERS = ['fc1', 'fc2'];
const uniform = (more: object = {}, format: object = {}) => ({
  kind: 'stored',
  format: { kind: 'fixed', ...format },
  faults: [{ kind: 'uniform', bitErrorRate: 0.01, ...more }],
});

it('an empty configuration gets the published values: 12 bits, one exponent per tensor, faults per load', () => {
  expect(parseMemoryConfig({ layers: { fc1: uniform() } }, LAYERS)).toEqual({
    seed: 1,
    chip: 0,
    granularity: 'load',
    path: 'auto',
    geometry: { banks: 8, rows: 32768, rowBytes: 8192 },
    layers: {
      fc1: {
        kind: 'stored',
        format: { kind: 'fixed', bits: 12, exponent: 'per-tensor', headroom: 0, encoding: 'corrected' },
        faults: [{ kind: 'uniform', bitErrorRate: 0.01, drawn: 'read' }],
        protectedBits: 0,
      },
    },
    activations: {},
  });
});

it('a parsed configuration can be parsed again, so that a manifest can be run', () => {
  const config = parseMemoryConfig(
    {
      seed: 2 ** 53 - 1,
      chip: 0xffffffff,
      granularity: 'pass',
      path: 'materialised',
      layers: {
        fc1: uniform({ bitErrorRate: 1 }, { bits: 16, exponent: -60, headroom: 8, encoding: 'faithful' }),
        fc2: { kind: 'laplacian', scale: 0 },
      },
    },
    LAYERS,
  );
  expect(parseMemoryConfig(JSON.parse(JSON.stringify(config)), LAYERS)).toEqual(config);
  expect(parseMemoryConfig({ layers: {} }, LAYERS).layers).toEqual({});
});

it('`*` stands for every layer without an entry of its own', () => {
  const { layers } = parseMemoryConfig({ layers: { '*': uniform(), fc2: { kind: 'gaussian', scale: 1 } } }, LAYERS);
  expect(Object.keys(layers).sort()).toEqual(['fc1', 'fc2']);
  expect(layers.fc1.kind).toBe('stored');
  expect(layers.fc2.kind).toBe('gaussian');
});

it('`*` stands for the outputs of the layers that may be starred, and never for the input', () => {
  const [own, others] = [uniform(), uniform({ bitErrorRate: 0.5 })];
  const config = { layers: {}, activations: { '*': others, fc1: { ...own, range: 2 } } };
  const { activations } = parseMemoryConfig(config, [...LAYERS, 'norm'], 'memory', LAYERS);
  expect(Object.keys(activations).sort()).toEqual(LAYERS);
  expect(activations.fc1.range).toBe(2);
  expect(activations.fc2.faults).toEqual([{ kind: 'uniform', bitErrorRate: 0.5, drawn: 'read' }]);
});

describe('errors name the path', () => {
  const cases: readonly (readonly [string, unknown, RegExp])[] = [
    ['a number instead of an object', 12, /^memory: /],
    ['missing layers', {}, /^memory\.layers: /],
    [
      'an unknown layer',
      { layers: { conv1: uniform() } },
      /^memory\.layers\.conv1: no such layer; this model has fc1, fc2$/,
    ],
    [
      'a rate above 1',
      { layers: { fc1: uniform({ bitErrorRate: 1.01 }) } },
      /^memory\.layers\.fc1\.faults\.0\.bitErrorRate: a rate lies in 0\.\.1$/,
    ],
    [
      'a rate below 0',
      { layers: { fc2: uniform({ bitErrorRate: -1e-9 }) } },
      /^memory\.layers\.fc2\.faults\.0\.bitErrorRate: a rate lies in 0\.\.1$/,
    ],
    [
      'a rate that is not a number',
      { layers: { fc1: uniform({ bitErrorRate: Number.NaN }) } },
      /^memory\.layers\.fc1\.faults\.0\.bitErrorRate: must be a number$/,
    ],
    [
      'a rate in quotes',
      { layers: { fc1: uniform({ bitErrorRate: '0.1' }) } },
      /^memory\.layers\.fc1\.faults\.0\.bitErrorRate: must be a number$/,
    ],
    [
      'a missing rate',
      { layers: { fc1: { kind: 'stored', faults: [{ kind: 'uniform' }] } } },
      /^memory\.layers\.fc1\.faults\.0\.bitErrorRate: /,
    ],
    [
      '17 bits',
      { layers: { fc1: uniform({}, { bits: 17 }) } },
      /^memory\.layers\.fc1\.format\.bits: must be in 2\.\.16$/,
    ],
    ['1 bit', { layers: { fc1: uniform({}, { bits: 1 }) } }, /^memory\.layers\.fc1\.format\.bits: must be in 2\.\.16$/],
    [
      'half a bit',
      { layers: { fc1: uniform({}, { bits: 7.5 }) } },
      /^memory\.layers\.fc1\.format\.bits: must be a whole number$/,
    ],
    [
      'headroom of 9 bits',
      { layers: { fc1: uniform({}, { headroom: 9 }) } },
      /^memory\.layers\.fc1\.format\.headroom: must be in 0\.\.8$/,
    ],
    [
      'an exponent beyond f32',
      { layers: { fc1: uniform({}, { exponent: 61 }) } },
      /^memory\.layers\.fc1\.format\.exponent: /,
    ],
    [
      'an unknown exponent',
      { layers: { fc1: uniform({}, { exponent: 'per-row' }) } },
      /^memory\.layers\.fc1\.format\.exponent: /,
    ],
    [
      'an exponent fitted to an unknown layer',
      { layers: { fc1: uniform({}, { exponent: { layer: 'conv1' } }) } },
      /^memory\.layers\.fc1\.format\.exponent: no layer conv1; this model has fc1, fc2$/,
    ],
    ['an unknown format', { layers: { fc1: uniform({}, { kind: 'fp64' }) } }, /^memory\.layers\.fc1\.format\.kind: /],
    [
      'an unknown encoding',
      { layers: { fc1: uniform({}, { encoding: 'rounded' }) } },
      /^memory\.layers\.fc1\.format\.encoding: /,
    ],
    ['an unknown error model', { layers: { fc1: { kind: 'cosmic' } } }, /^memory\.layers\.fc1\.kind: /],
    ['a misspelt key', { layers: { fc1: uniform({ ber: 0.1 }) } }, /^memory\.layers\.fc1\.faults\.0\.ber: /],
    ['a misspelt key at the top', { layers: {}, granularty: 'chip' }, /^memory\.granularty: /],
    ['an unknown granularity', { layers: {}, granularity: 'batch' }, /^memory\.granularity: /],
    ['a negative seed', { layers: {}, seed: -1 }, /^memory\.seed: /],
    ['a seed that is no safe integer', { layers: {}, seed: 2 ** 53 }, /^memory\.seed: /],
    ['a chip beyond 32 bits', { layers: {}, chip: 2 ** 32 }, /^memory\.chip: /],
    [
      'a negative noise scale',
      { layers: { fc1: { kind: 'gaussian', scale: -0.1 } } },
      /^memory\.layers\.fc1\.scale: a noise scale is >= 0$/,
    ],
    [
      'an infinite noise scale',
      { layers: { fc1: { kind: 'laplacian', scale: Infinity } } },
      /^memory\.layers\.fc1\.scale: must be finite$/,
    ],
    [
      'noise in a fused read',
      { path: 'fused', layers: { fc1: { kind: 'gaussian', scale: 0.1 } } },
      /^memory\.layers\.fc1: gaussian noise needs path auto or materialised/,
    ],
    [
      'noise per image',
      { granularity: 'inference', layers: { fc2: { kind: 'laplacian', scale: 0.1 } } },
      /^memory\.layers\.fc2: laplacian noise needs path auto or materialised/,
    ],
    [
      'activations of no layer',
      { layers: {}, activations: { pool1: { kind: 'stored' } } },
      /^memory\.activations\.pool1: no such layer; give input or one of fc1, fc2$/,
    ],
    [
      'a scale per channel for activations',
      {
        layers: {},
        activations: { fc1: { kind: 'stored', format: { kind: 'int8', scale: 'per-channel' }, range: 1 } },
      },
      /^memory\.activations\.fc1\.format\.scale: use per-tensor$/,
    ],
    [
      'a geometry whose rows are no power of two',
      { layers: {}, geometry: { rowBytes: 96 } },
      /^memory\.geometry\.rowBytes: must be a power of two$/,
    ],
    [
      'an unknown vendor',
      { layers: { fc1: { kind: 'stored', faults: [{ kind: 'voltage', vendor: 'D', volts: 1.2 }] } } },
      /^memory\.layers\.fc1\.faults\.0\.vendor: /,
    ],
    [
      'a materialised read per image',
      { granularity: 'inference', path: 'materialised', layers: { fc1: uniform() } },
      /^memory\.path: granularity inference/,
    ],
  ];

  it.each(cases)('the error names the path of %s', (_, input, message) => {
    const parse = () => parseMemoryConfig(input, LAYERS);
    expect(parse).toThrow(ConfigError);
    expect(parse).toThrow(message);
  });

  it('the path in an error begins with the name that the caller gives', () => {
    expect(() => parseMemoryConfig({ layers: { gone: uniform() } }, LAYERS, 'sweep.conditions.3.memory')).toThrow(
      /^sweep\.conditions\.3\.memory\.layers\.gone: /,
    );
  });
});
