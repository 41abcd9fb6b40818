import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { askedExperiment } from '../../src/cli/asked_experiment.ts';
import { readConfig } from '../../src/cli/config_file.ts';
import type { ExperimentOptions } from '../../src/cli/experiment_options.ts';
import { readMemory } from '../../src/cli/memory_file.ts';
import { ConfigError, DataError } from '../../src/errors.ts';
import { checkMemory, chipFaults } from '../../src/injection/placement.ts';
import { parseMemoryConfig } from '../../src/memory/config.ts';
import { modelLayout } from '../../src/models/model_parameters.ts';
import { layerNames, modelSpec } from '../../src/models/specs.ts';

const cases = fileURLToPath(new URL('../fixtures/cases/', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'midas-config-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const OPTIONS: ExperimentOptions = { out: 'x', adapter: 'auto', json: false, quiet: true };

function written(content: string): string {
  const path = join(scratch, 'config.json');
  writeFileSync(path, content);
  return path;
}

describe('a configuration file of an experiment', () => {
  it.each(['plain', 'bom', 'crlf'])('the case %s.json changes the number of draws', async (name) => {
    const config = join(cases, `07-bom-json/${name}.json`);
    expect((await askedExperiment('shallow', { ...OPTIONS, config })).config.draws).toBe(1);
  });

  it.each([
    ['null', /it holds null, no object/],
    ['array', /it holds an array, no object/],
    ['string', /it holds a string, no object/],
    ['empty', /the file is empty/],
    ['utf16', /the text is UTF-16; save the file as UTF-8/],
    ['comments', /not JSON: /],
    ['dup', /draws: this key occurs twice/],
  ])('the case %s.json is refused with its reason', (name, reason) => {
    const read = () => readConfig(join(cases, `07-bom-json/${name}.json`));
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(reason);
  });

  it.each([
    ['{"victim": null}', /config\.json: victim: /],
    ['{"data": []}', /config\.json: data: no object/],
    ['{"data": null}', /config\.json: data: no object/],
    ['{"sweeps": "all"}', /config\.json: sweeps: /],
    ['{"attacks": [null]}', /config\.json: attacks\.0: /],
    ['{"noise": 3}', /config\.json: noise: /],
    ['{"seed": null}', /config\.json: seed: /],
    ['{"drawz": 3}', /config\.json: drawz: /],
    ['{"config": null}', /config\.json: config: no object/],
    ['{"manifest": {"config": [1]}}', /config\.json: config: no object/],
    ['{"rateMaps": [{"__proto__": 0.1}]}', /config\.json: rateMaps\.0\.__proto__: no such key/],
  ])('a field of the wrong kind is refused with its path, whatever flags are given: %s', async (content, reason) => {
    const flags = {
      ...OPTIONS,
      config: written(content),
      rates: [0.1],
      layers: ['fc1'],
      draws: 2,
      epochs: 1,
      noise: [],
    };
    await expect(askedExperiment('shallow', flags)).rejects.toThrow(ConfigError);
    await expect(askedExperiment('shallow', flags)).rejects.toThrow(reason);
  });

  it('a run that was given its networks is not repeated without them', async () => {
    const networks = { 'victim.safetensors': '0' };
    const config = written(JSON.stringify({ config: { draws: 7 }, networks }));
    await expect(askedExperiment('shallow', { ...OPTIONS, config })).rejects.toThrow(
      /this run was given its networks \(victim\.safetensors\).*--victim FILE or --pretrained FOLDER/,
    );
  });

  it('a file without a victim is completed by --victim, and refused without one', async () => {
    const network = fileURLToPath(new URL('../fixtures/networks/resnet_rgb.onnx', import.meta.url));
    const attack = { kind: 'mi-face', start: 'zero', iterations: 3, step: 1 };
    const data = { kind: 'files', private: 'embedded' };
    const flags = { ...OPTIONS, config: written(JSON.stringify({ data, attacks: [attack] })) };
    const { config } = await askedExperiment(undefined, { ...flags, victim: network });
    expect([config.victim.kind, config.attacks.length]).toEqual(['network', 1]);
    await expect(askedExperiment(undefined, flags)).rejects.toThrow('it has no victim; give --victim FILE');
  });

  it('--epochs with --steps is explained in one line', async () => {
    const { notes } = await askedExperiment('shallow', { ...OPTIONS, epochs: 5, steps: 40 });
    expect(notes).toEqual([expect.stringContaining('training goes on until both are reached')]);
    expect((await askedExperiment('shallow', { ...OPTIONS, epochs: 5 })).notes).toEqual([]);
  });

  it('the configuration of a run is found in its folder and in its results, and a missing file is a DataError', () => {
    const folder = join(scratch, 'run');
    mkdirSync(folder);
    writeFileSync(join(folder, 'config.json'), '\ufeff{"config": {"draws": 7}, "dataset": "x"}');
    expect(readConfig(folder).fields).toEqual({ draws: 7 });
    expect(readConfig(written('{"manifest": {"config": {"draws": 8}}}')).fields).toEqual({ draws: 8 });
    expect(() => readConfig(join(scratch, 'missing.json'))).toThrow(DataError);
    writeFileSync(join(folder, 'config.json'), '{"config": {"draws": 7}, "networks": {"victim.safetensors": "0"}}');
    expect(readConfig(folder).networks).toEqual(['victim.safetensors']);
    for (const damaged of ['', '{"config": {"dra', 'null']) {
      writeFileSync(join(folder, 'config.json'), damaged);
      expect(() => readConfig(folder)).toThrow(DataError);
      expect(() => readConfig(folder)).toThrow(/run\/config\.json: /);
    }
  });
});

describe('a configuration file of a memory', () => {
  const spec = modelSpec('mlp', 56 * 64, 40, [200]);

  /** What `midas memory map` and a condition of a run check before anything is stored. */
  async function check(path: string): Promise<void> {
    const { input, where } = await readMemory(path);
    const config = parseMemoryConfig(input, layerNames(spec), where);
    checkMemory(config, modelLayout(spec), 1, where);
    if (config.granularity === 'chip') chipFaults(config, config.chip, where);
  }

  it.each([
    'fixed-sign-only',
    'fp32-propagate',
    'int8-sign-only',
    'mix',
    'no-layers',
    'protect-all',
    'rate-one',
    'rate-tiny',
    'rate-zero',
    'twice-one',
  ])('the case %s.json is accepted', async (name) => {
    await expect(check(join(cases, `27-memory/${name}.json`))).resolves.toBeUndefined();
  });

  it.each([
    ['array', /it holds an array, no object/],
    ['chip-large', /memory\.chip: /],
    ['conv-layer-on-shallow', /memory\.layers\.conv1: no such layer; this model has fc1, fc2/],
    ['deep', /nested more than 64 levels deep/],
    ['nan', /not JSON: .*NaN/],
    ['no-key', /memory\.layers: /],
    ['protect-more', /memory\.layers\.fc1\.protectedBits: 9 bits, but a code has only 4/],
    ['proto', /layers\.__proto__: no such key/],
    ['rate-percent', /faults\.0\.bitErrorRate: a rate lies in 0\.\.1/],
    ['rate-power', /faults\.0\.bitErrorRate: must be a number/],
    ['rate-string', /faults\.0\.bitErrorRate: must be a number/],
    ['seed-float', /memory\.seed: /],
    ['seed-negative', /memory\.seed: /],
    ['too-many-planes', /faults\.0\.rates: 40 rates for 4 bits/],
    ['typo', /faults\.0\.bitErrorRates?: /],
    ['unknown-kind', /faults\.0\.kind: /],
    ['unknown-layer', /memory\.layers\.fc3: no such layer/],
    ['volts-above', /faults\.0\.volts: 1\.5 V is outside/],
    ['volts-below-table', /faults\.0\.volts: 0\.6 V is outside/],
    ['volts-unmeasured-vendor', /faults\.0\.vendor: /],
  ])('the case %s.json is refused with its path', async (name, reason) => {
    const path = join(cases, `27-memory/${name}.json`);
    await expect(check(path)).rejects.toThrow(ConfigError);
    await expect(check(path)).rejects.toThrow(reason);
    await expect(check(path)).rejects.toThrow(new RegExp(`^${path.replace(/\W/g, '.')}: `));
  });

  it.each(['memory-bom', 'memory-utf16', 'null', 'array', 'string'])(
    'the case %s.json is read or refused as in every other file',
    async (name) => {
      const read = readMemory(join(cases, `07-bom-json/${name}.json`));
      if (name === 'memory-bom') await expect(read).resolves.toHaveProperty('input.layers');
      else await expect(read).rejects.toThrow(name === 'memory-utf16' ? /the text is UTF-16/ : /no object/);
    },
  );

  it('a file whose memory is no object is refused', async () => {
    for (const content of ['{"memory": null}', '{"memory": [1]}', '{"memory": "x"}']) {
      await expect(readMemory(written(content))).rejects.toThrow(/config\.json: memory: no object/);
    }
  });
});
