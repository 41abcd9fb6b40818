import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { askedExperiment } from '../../src/cli/asked_experiment.ts';
import type { ExperimentOptions } from '../../src/cli/experiment_options.ts';
import { trainOptions } from '../../src/cli/train.ts';
import { readVictim } from '../../src/cli/victim_file.ts';
import { ConfigError, DataError } from '../../src/errors.ts';
import { readCheckpoint, writeCheckpoint } from '../../src/models/checkpoint.ts';
import { importAnyNetwork } from '../../src/models/import_network.ts';
import { parseNetwork } from '../../src/models/network_description.ts';
import { modelName } from '../../src/models/specs.ts';
import { readFixture } from '../support/platform.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/networks/', import.meta.url));
const MLP = {
  kind: 'network',
  input: { height: 28, width: 20, channels: 1 },
  layers: [
    { kind: 'flatten', name: 'flat' },
    { kind: 'dense', name: 'a', outputs: 64 },
    { kind: 'relu', name: 'ra' },
    { kind: 'dense', name: 'b', outputs: 33 },
    { kind: 'relu', name: 'rb' },
    { kind: 'dense', name: 'c', outputs: 12 },
  ],
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'midas-victim-'));
});
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string, content: string | Uint8Array) => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};

describe('the file of a victim', () => {
  it('an ONNX file under any name gives a network with its parameters, called after the file', async () => {
    const path = join(folder, 'residual.bin');
    copyFileSync(join(FIXTURES, 'resnet_rgb.onnx'), path);
    const { checkpoint } = await readVictim(path);
    const { spec } = readCheckpoint(checkpoint!, 'victim');
    expect(modelName(spec)).toBe('residual.bin, 3 x 32 x 32 to 10 classes');
  });

  it('a description in JSON has no parameters yet', async () => {
    const { description, checkpoint } = await readVictim(file('net.json', `\uFEFF ${JSON.stringify(MLP)}`));
    expect(description).toEqual(MLP);
    expect(checkpoint).toBeUndefined();
  });

  it('a checkpoint stays as it is', async () => {
    const { spec, parameters } = importAnyNetwork(readFixture('networks/mlp3.onnx'), 'mlp3.onnx', {});
    const bytes = writeCheckpoint({ spec, state: { epoch: 0, parameters, optimizer: [] }, metadata: {} });
    expect((await readVictim(file('mlp.safetensors', bytes))).checkpoint).toEqual(Buffer.from(bytes));
  });

  it('a description that is not valid is refused with file and path', async () => {
    const path = file('wrong.json', JSON.stringify({ ...MLP, layers: [{ kind: 'dense', name: 'a' }] }));
    await expect(readVictim(path)).rejects.toThrow(ConfigError);
    await expect(readVictim(path)).rejects.toThrow(/wrong\.json: layers\.0\.outputs/);
  });

  it('a state dict of an unknown network is refused with the command that describes it', async () => {
    const path = join(FIXTURES, 'mlp3.pth');
    await expect(readVictim(path)).rejects.toThrow(DataError);
    await expect(readVictim(path)).rejects.toThrow(
      `${path}: parameters without their network. Describe it (midas schema network): ` +
        `--victim ${path} --network net.json. An ONNX export needs no description`,
    );
  });

  it('a state dict with a description gives the checkpoint that midas import makes of it', async () => {
    const described = file('described.json', JSON.stringify(MLP));
    const path = join(FIXTURES, 'mlp3.pth');
    const { description, checkpoint, notes } = await readVictim(path, described);
    expect(description).toEqual(MLP);
    const { spec, state } = readCheckpoint(checkpoint!, 'victim');
    const options = { network: parseNetwork(MLP, 'test') };
    const imported = importAnyNetwork(readFixture('networks/mlp3.pth'), path, options);
    expect(spec.description).toEqual(imported.spec.description);
    expect(state.parameters).toEqual(imported.parameters);
    expect(notes).toEqual(imported.notes);
  });

  it('two descriptions, and a description without parameters, are refused', async () => {
    const described = file('described.json', JSON.stringify(MLP));
    await expect(readVictim(described, described)).rejects.toThrow('is a description too; give only one of them');
    const options = { out: 'x', adapter: 'auto', json: false, quiet: true, network: described } as ExperimentOptions;
    await expect(askedExperiment('shallow', options)).rejects.toThrow('give its parameters too, with --victim');
  });
});

describe('an experiment with a trained network', () => {
  const options = { out: 'x', adapter: 'auto', json: false, quiet: true, seed: 1 } as ExperimentOptions;
  const victim = join(FIXTURES, 'mlp3.onnx');
  const FACES = {
    ...{ kind: 'procedural', width: 8, height: 8, people: 4, photographs: 4, trained: 2 },
    public: { people: 4, photographs: 4 },
  };

  it('is refused without images', async () => {
    await expect(askedExperiment('deep', { ...options, victim })).rejects.toThrow(
      /mlp3\.onnx: give the images that it classifies: --data FOLDER/,
    );
  });

  it('is refused with options of a training', async () => {
    const config = file('faces.json', JSON.stringify({ data: FACES }));
    await expect(askedExperiment('deep', { ...options, victim, config, epochs: 3 })).rejects.toThrow(
      /mlp3\.onnx: this network is trained already; leave out --epochs/,
    );
  });
});

describe('the network of a training', () => {
  const options = { out: 'x', adapter: 'auto', json: false, quiet: true, seed: 1 } as ExperimentOptions;
  const asked = (more: object) => trainOptions({ ...options, ...more });
  const onnx = join(FIXTURES, 'mlp3.onnx');

  it('is a description, or a network that is trained already', async () => {
    const network = file('train.json', JSON.stringify(MLP));
    expect(await asked({ network })).toEqual({ ...options, victim: network });
    expect(await asked({ victim: onnx })).toEqual({ ...options, victim: onnx });
    const both = { network, victim: join(FIXTURES, 'mlp3.pth') };
    expect(await asked(both)).toEqual({ ...options, ...both });
  });

  it('is refused under the other name, with the name to use', async () => {
    const victim = file('train.json', JSON.stringify(MLP));
    await expect(asked({ victim })).rejects.toThrow(/not trained yet; train it: --network .*train\.json$/);
    await expect(asked({ network: onnx })).rejects.toThrow(
      /not a description in JSON .*a trained network is a --victim/,
    );
    await expect(asked({ network: victim, model: 'mlp' })).rejects.toThrow('--network and --model: give only one');
  });
});

describe('an imported network', () => {
  it('a state dict with a description has the parameters of the same network in ONNX', () => {
    const network = parseNetwork(MLP, 'test');
    const fromTorch = importAnyNetwork(readFixture('networks/mlp3.pth'), 'mlp3.pth', { network });
    const fromOnnx = importAnyNetwork(readFixture('networks/mlp3.onnx'), 'mlp3.onnx', {});
    expect(fromTorch.parameters).toEqual(fromOnnx.parameters);
    expect(fromTorch.notes.join(' ')).toMatch(/by order and shape/);
  });

  it('an ONNX file with a description is refused', () => {
    const network = parseNetwork(MLP, 'test');
    const bytes = readFixture('networks/mlp3.onnx');
    expect(() => importAnyNetwork(bytes, 'mlp3.onnx', { network })).toThrow(
      'an ONNX file describes its network itself',
    );
  });
});
