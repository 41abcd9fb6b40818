/** Networks that were trained elsewhere, as `--pretrained` takes them. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { askedExperiment } from '../../src/cli/asked_experiment.ts';
import type { PrivateFiles } from '../../src/cli/experiment_data.ts';
import type { ExperimentOptions } from '../../src/cli/experiment_options.ts';
import { knownPeople, readNetworks } from '../../src/cli/pretrained.ts';
import { ConfigError, DataError } from '../../src/errors.ts';
import { readCheckpoint, writeCheckpoint } from '../../src/models/checkpoint.ts';
import { modelLayout } from '../../src/models/model_parameters.ts';
import { importNetwork } from '../../src/models/recognise.ts';
import { modelName, modelSpec } from '../../src/models/specs.ts';

const CASES = fileURLToPath(new URL('../fixtures/cases/28-pretrained/', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'midas-pretrained-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A folder with these files. */
function folder(name: string, files: Readonly<Record<string, Uint8Array>>): string {
  const path = join(scratch, name);
  mkdirSync(path);
  for (const [file, bytes] of Object.entries(files)) writeFileSync(join(path, file), bytes);
  return path;
}

const bytesOf = (name: string) => readFileSync(join(CASES, `${name}.pth`));
const imported = (name: string) => {
  const { spec, parameters } = importNetwork(bytesOf(name), name);
  return writeCheckpoint({ spec, state: { epoch: 0, parameters, optimizer: [] }, metadata: {} });
};
const asked = (preset: 'deep' | 'shallow', options: Partial<ExperimentOptions>) =>
  askedExperiment(preset, { out: 'runs', adapter: 'auto', json: false, quiet: true, ...options });
const modelIn = (networks: ReadonlyMap<string, Uint8Array>, name: string) =>
  modelName(readCheckpoint(networks.get(name)!, name).spec);

describe('the networks of a folder', () => {
  it.each([
    ['files of PyTorch', { 'classifier.pth': bytesOf('classifier'), 'inversion.PTH': bytesOf('inversion') }],
    ['imported ones', { 'a.safetensors': imported('classifier'), 'B.SAFETENSORS': imported('inversion') }],
    ['a safetensors file called .pth', { 'a.pth': imported('classifier'), 'b.bin': bytesOf('inversion') }],
    [
      'the names of a run',
      { 'victim.safetensors': imported('classifier'), 'inversion.safetensors': imported('inversion') },
    ],
  ])('the victim and the inversion network are found among %s', async (what, files) => {
    const networks = await readNetworks(folder(what.replaceAll(' ', '-'), files));
    expect(modelIn(networks, 'victim.safetensors')).toBe('yang-classifier 32x32, ndf 2, nz 4');
    expect(modelIn(networks, 'inversion.safetensors')).toBe('yang-inversion 32x32, ngf 2, nz 4');
  });

  it('two classifiers without the name of a victim are refused, and the name decides', async () => {
    const two = folder('two', { 'a.pth': bytesOf('classifier'), 'b.pth': bytesOf('classifier') });
    await expect(readNetworks(two)).rejects.toThrow(/a\.pth, b\.pth could all be victim\.safetensors/);
    writeFileSync(join(two, 'victim.safetensors'), imported('classifier'));
    expect((await readNetworks(two)).has('victim.safetensors')).toBe(true);
  });

  it('a file, and a folder without networks, are refused with the option to use', async () => {
    const onnx = folder('onnx', { 'net.onnx': new TextEncoder().encode('onnx') });
    await expect(readNetworks(onnx)).rejects.toThrow(/holds no networks .*; an ONNX file is a --victim$/);
    await expect(readNetworks(join(onnx, 'net.onnx'))).rejects.toThrow(/takes a folder, --victim the file of one/);
  });

  it('a file of PyTorch that is no network is refused', async () => {
    const web = folder('web', { 'victim.pth': new TextEncoder().encode('<html>') });
    await expect(readNetworks(web)).rejects.toThrow(DataError);
    await expect(readNetworks(web)).rejects.toThrow(/victim\.pth: a web page, not a checkpoint/);
  });
});

describe('an experiment with trained networks', () => {
  it('the deep preset takes width, size and number of people from the files', async () => {
    const { config, pretrained } = await asked('deep', { pretrained: CASES });
    expect([...pretrained!.keys()]).toEqual(['victim.safetensors', 'inversion.safetensors']);
    expect(config.victim).toMatchObject({ kind: 'yang', ndf: 2 });
    expect(config.attacks[0]).toMatchObject({ kind: 'inversion', network: { kind: 'yang', ngf: 2 } });
    expect(config.data).toMatchObject({ kind: 'procedural', people: 4, width: 32, height: 32 });
  });

  it('an inversion network that the preset does not have is added with the width of the file', async () => {
    const { config } = await asked('shallow', { pretrained: CASES, attack: ['inversion'] });
    expect(config.victim).toMatchObject({ kind: 'yang', ndf: 2 });
    expect(config.attacks).toHaveLength(1);
    expect(config.attacks[0]).toMatchObject({ network: { kind: 'yang', ngf: 2 } });
    expect(config.data).toMatchObject({ people: 4, width: 32, height: 32 });
  });

  it('a victim of dense layers gives the kind and the widths of its hidden layers', async () => {
    const spec = modelSpec('mlp-sigmoid', 64, 5, [17]);
    const state = { epoch: 0, parameters: new Uint32Array(modelLayout(spec).length), optimizer: [] };
    const dense = folder('dense', { 'victim.safetensors': writeCheckpoint({ spec, state, metadata: {} }) });
    const { config } = await asked('shallow', { pretrained: dense, size: { width: 8, height: 8 } });
    expect(config.victim).toMatchObject({ kind: 'mlp-sigmoid', hidden: [17] });
    expect(config.data).toMatchObject({ people: 5, width: 8, height: 8 });
  });

  it('of photographs, as many people are known as the trained victim knows, unless a number is given', () => {
    const data = { kind: 'files', private: 'faces' } as const;
    const files = (people: number) => ({ all: { classNames: Array(people).fill('') } }) as unknown as PrivateFiles;
    const victim = { kind: 'yang-classifier', size: 32, ndf: 2, classes: 4 } as const;
    expect(knownPeople(data, files(9), { victim })).toEqual({ ...data, people: 4 });
    expect(knownPeople(data, files(4), { victim })).toEqual(data);
    expect(knownPeople({ ...data, people: 5 }, files(9), { victim })).toEqual({ ...data, people: 5 });
    expect(knownPeople(data, files(9), {})).toEqual(data);
  });

  it('what a configuration file says is not changed', async () => {
    const file = join(scratch, 'wide.json');
    const training = {
      epochs: 1,
      batchSize: 8,
      optimizer: { kind: 'sgd', learningRate: 1, momentum: 0, weightDecay: 0 },
    };
    writeFileSync(file, JSON.stringify({ victim: { kind: 'yang', ndf: 12, training } }));
    const { config } = await asked('deep', { pretrained: CASES, config: file });
    expect(config.victim).toMatchObject({ ndf: 12 });
  });

  it('networks of different numbers of people are refused', async () => {
    const other = join(scratch, 'other');
    mkdirSync(other);
    cpSync(join(CASES, 'classifier.pth'), join(other, 'classifier.pth'));
    cpSync(fileURLToPath(new URL('../fixtures/inversion.pth', import.meta.url)), join(other, 'inversion.pth'));
    await expect(asked('deep', { pretrained: other })).rejects.toThrow(ConfigError);
    await expect(asked('deep', { pretrained: other })).rejects.toThrow(/knows 4 people, .* predictions of 7/);
  });
});
