/**
 * The engine behind the page: opens a device, keeps the victims and the rows that were measured, and runs one job at a time.
 * It does not depend on a page or a worker: replies are passed to a function.
 */

import { SPLITS, type SplitName } from '../attacks/attack.ts';
import { attackOfKind } from '../attacks/registry.ts';
import { createDataset, toFloat } from '../data/dataset.ts';
import { DataError, DeviceLostError, InterruptedError, MidasError } from '../errors.ts';
import { plannedConditions } from '../experiments/conditions.ts';
import {
  type DataConfig,
  type ExperimentConfig,
  type ExperimentInput,
  parseExperiment,
  type SweepConfig,
  type VictimKind,
} from '../experiments/config.ts';
import type { ExperimentData } from '../experiments/faces.ts';
import { proceduralData, splitName } from '../experiments/faces.ts';
import { attacksOfKinds, presetInput } from '../experiments/presets.ts';
import { InMemoryRunStore, type ProgressSink, refuseAborted } from '../experiments/store.ts';
import { type DrawResult, Sweep } from '../experiments/sweep.ts';
import { Testbed } from '../experiments/testbed.ts';
import { type Gpu, limitsOf } from '../gpu/device.ts';
import { type ImageSize, imageValues } from '../image_size.ts';
import { productLayers } from '../layers/kinds.ts';
import { codeAt } from '../memory/codec.ts';
import { flippedLines, flipRates } from '../memory/flips.ts';
import { pcc } from '../metrics/similarity.ts';
import { readCheckpoint, writeCheckpoint } from '../models/checkpoint.ts';
import type { ModelSpec } from '../models/model_spec.ts';
import { importNetwork } from '../models/recognise.ts';
import { modelName } from '../models/specs.ts';
import { modelLayout } from '../models/trainer.ts';
import { levelled } from '../results/figures/sheet.ts';
import {
  type AttackDescription,
  type Baselines,
  type Condition,
  conditionKey,
  RESULTS_SCHEMA,
  type Results,
} from '../results/results.ts';
import { Gate, LiveStore } from './live_store.ts';
import type { ChosenFile, Job, JobKind, Pictures, Reply, Request, ShownAttack, ShownOutput } from './protocol.ts';
import {
  DEFAULTS,
  releasesOf,
  type Setting,
  sweepKey,
  sweepOfLayers,
  sweepOfSetting,
  writeSetting,
} from './setting.ts';

/** The seed with which the shipped networks were trained; the seed of a setting determines errors only. */
const FACES_SEED = 1;
/** Common to all experiments of the page, which does not train a convolutional evaluator while somebody waits. */
const COMMON = { seed: FACES_SEED, evaluator: 'linear' } as const;
/** Size in pixels of the images of a dense victim from which people are reconstructed, and the number of these people. */
const PEOPLE = { width: 56, height: 64, people: 10 } as const;
/** Attackers of the inversion network. */
const ATTACKERS = [{ name: 'direct' }, { name: 'clipped', clip: 'observed' }] as const;

/** Shortest time between two updates of a curve, in ms. */
const SHOW_EVERY = 200;

type Identified = Job & { readonly id: number };

export interface SessionOptions {
  openGpu(): Promise<Gpu>;
  /** The networks that come with the project, by their file names in a run folder. */
  shipped(): Promise<ReadonlyMap<string, Uint8Array<ArrayBuffer>>>;
  readonly version: string;
  post(reply: Reply): void;
}

/** A victim with attacks that are ready to run against it. */
interface Ready {
  readonly config: ExperimentConfig;
  readonly data: ExperimentData;
  readonly testbed: Testbed;
  /** Results of the attacks on the undefended model under each release, and the null baselines; measured once. */
  readonly undefended: Map<string, readonly DrawResult[]>;
  baselines?: Baselines;
}

/** The state that is lost together with a device. */
interface Opened {
  readonly gpu: Gpu;
  readonly networks: Networks;
  /** Victims whose predictions are inverted, and those from which people are reconstructed, by kind and release. */
  readonly inverted: Map<string, Ready>;
  readonly searched: Map<string, Ready>;
  readonly started: Date;
}

/** The engine behind the page; see the top of this file. */
export class EngineSession {
  readonly #options: SessionOptions;
  readonly #gate = new Gate();
  #controller = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #opened: Opened | undefined;
  #url = '';
  /** The victim that the page shows. */
  #shown = '';
  /** Number of the job that is running. */
  #id = 0;
  /** Rows by the hash of the networks and the `sweepKey` of the setting; they are kept when a device is lost. */
  readonly #stores = new Map<string, LiveStore>();
  /** Checkpoints of networks that were trained here; they are also kept when a device is lost. */
  readonly #trained = new Map<string, InMemoryRunStore>();

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Handles a request and posts the replies. @returns a promise that resolves when the job is over */
  handle(request: Request): Promise<void> {
    if (request.kind === 'pause') this.#gate.close();
    else if (request.kind === 'go on') this.#gate.open();
    else if (request.kind === 'stop') this.#stop();
    else this.#start(request as Identified);
    return this.#running;
  }

  #stop(): void {
    this.#controller.abort();
    this.#gate.open();
  }

  #start(job: Identified): void {
    this.#stop();
    const controller = new AbortController();
    this.#controller = controller;
    this.#running = this.#running.then(() => this.#run(job, controller.signal));
  }

  async #run(job: Identified, signal: AbortSignal): Promise<void> {
    const { post } = this.#options;
    const { id, kind } = job;
    this.#id = id;
    try {
      refuseAborted(signal);
      await this.#do(job, signal);
      post({ kind: 'ended', id, job: kind, how: 'done' });
    } catch (error) {
      if (error instanceof InterruptedError) post({ kind: 'ended', id, job: kind, how: 'stopped' });
      else if (error instanceof DeviceLostError) post({ kind: 'lost', message: error.message });
      else if (error instanceof MidasError) this.#failed(id, kind, error);
      else {
        const message = `this should not happen, please report it: ${(error as Error)?.stack ?? error}`;
        post({ kind: 'failed', id, job: kind, name: 'Error', message });
      }
    }
  }

  /** Reports a failed job. A device that has reported an error cannot be used any more, and is reported as lost. */
  #failed(id: number, job: JobKind, { name, message }: MidasError): void {
    const { post } = this.#options;
    try {
      this.#opened?.gpu.check();
      post({ kind: 'failed', id, job, name, message });
    } catch {
      post({ kind: 'lost', message });
    }
  }

  async #do(job: Job, signal: AbortSignal): Promise<void> {
    if (job.kind === 'open') return this.#open(job, signal);
    const opened = this.#opened;
    if (!opened) throw new MidasError('no device is open; start the engine again');
    switch (job.kind) {
      case 'measure':
        return this.#measure(opened, job.setting, signal);
      case 'curve':
        return this.#curve(opened, job.setting, signal);
      case 'invert':
        return this.#invert(opened, job.setting, signal);
      case 'map':
        return this.#map(opened, job.setting, signal);
      case 'own':
        return this.#own(opened, job, signal);
      case 'check': {
        const { checkedKernels, selfCheck } = await import('../verify/kernels.ts');
        const progress = this.#progress();
        progress.start('checking kernels', checkedKernels(opened.gpu).length);
        const checks = await selfCheck(opened.gpu, { onCompiled: (kernel) => progress.advance(1, kernel), signal });
        return this.#options.post({ kind: 'checked', checks });
      }
    }
  }

  async #open({ url, files = [] }: Extract<Job, { kind: 'open' }>, signal: AbortSignal): Promise<void> {
    const { post } = this.#options;
    const progress = this.#progress();
    const started = new Date();
    this.#shown = '';
    progress.start('opening the adapter', 4);
    await this.close();
    this.#url = url;
    const gpu = await this.#options.openGpu();
    // Without this, the loss of a device while nothing runs would not be noticed.
    void gpu.device.lost.then(({ reason, message }) => {
      if (reason !== 'destroyed') post({ kind: 'lost', message: message || 'the GPU device was lost' });
    });
    try {
      progress.advance(1, 'networks');
      const networks = await networksOf(await this.#options.shipped(), files);
      this.#opened = { gpu, networks, inverted: new Map(), searched: new Map(), started };
      progress.advance(1, 'drawing faces');
      post({
        kind: 'opened',
        adapter: gpu.adapter,
        limits: limitsOf(gpu),
        features: [...gpu.device.features].sort(),
        networks: networks.label,
      });
      await this.#inverted(this.#opened, DEFAULTS, signal);
      progress.advance(1, 'ready');
    } catch (error) {
      // Without networks that belong together there is nothing to measure.
      await this.close().catch(() => {});
      await gpu.close().catch(() => {});
      throw error;
    }
  }

  /** The victim of the inversion network, from the shipped networks or trained here; the page is told if the victim changes. */
  async #inverted(opened: Opened, setting: Setting, signal: AbortSignal): Promise<Ready> {
    const { victim: kind, release } = setting;
    const key = `${kind} ${release}`;
    const known = opened.inverted.get(key);
    if (known) {
      this.#show(kind, key, known);
      return known;
    }
    const { gpu, networks } = opened;
    const plain = kind === 'yang' ? networks.config : invertedConfig(kind, networks.config);
    const config = { ...plain, releases: releasesOf(setting) };
    const data = { ...(await this.#faces(gpu, config.data)), ...(kind === 'yang' && { pretrained: networks.files }) };
    const ready = await this.#ready(gpu, config, data, `inverted ${kind} ${networks.size}`, signal);
    opened.inverted.set(key, ready);
    this.#show(kind, key, ready);
    return ready;
  }

  /** Posts the victim unless the page shows it already. */
  #show(kind: VictimKind, key: string, ready: Ready): void {
    if (this.#shown === key) return;
    this.#shown = key;
    this.#options.post(victimReply(kind, ready));
  }

  /** The victim from which people are reconstructed. */
  async #searched(opened: Opened, setting: Setting, signal: AbortSignal): Promise<Ready> {
    const { model: kind, attack, release } = setting;
    const key = `${kind} ${attack} ${release}`;
    const known = opened.searched.get(key);
    if (known) return known;
    const { gpu, networks } = opened;
    const config = { ...searchedConfig(kind, attack, networks.config), releases: releasesOf(setting) };
    const data = { ...(await this.#faces(gpu, config.data)), ...(kind === 'yang' && { pretrained: networks.files }) };
    const ready = await this.#ready(gpu, config, data, `searched ${kind}`, signal);
    opened.searched.set(key, ready);
    return ready;
  }

  async #faces(gpu: Gpu, data: DataConfig): Promise<ExperimentData> {
    if (data.kind !== 'procedural') throw new MidasError('the page supports procedural faces only');
    return proceduralData(gpu, data, FACES_SEED);
  }

  /** @param name under which the trained networks are stored */
  async #ready(
    gpu: Gpu,
    config: ExperimentConfig,
    data: ExperimentData,
    name: string,
    signal: AbortSignal,
  ): Promise<Ready> {
    const store = this.#trained.get(name) ?? new InMemoryRunStore();
    this.#trained.set(name, store);
    const testbed = await Testbed.build(gpu, data, config, { store, progress: this.#progress(), signal });
    return { config, data, testbed, undefended: new Map() };
  }

  /** Closes the device. Rows are kept. */
  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    if (!opened) return;
    for (const { testbed } of [...opened.inverted.values(), ...opened.searched.values()]) testbed.destroy();
    await opened.gpu.close();
  }

  async #measure(opened: Opened, setting: Setting, signal: AbortSignal): Promise<void> {
    const { post } = this.#options;
    const progress = this.#progress();
    const planned = await this.#planned(opened, setting, 'one', progress, signal);
    const { condition, store, sweep } = planned;
    progress.start('samples of the faults', setting.draws + 1);
    await this.#undefended(planned, setting);
    const results = await sweep.measure(condition, setting.draw);
    refuseAborted(signal);
    // A draw beyond `setting.draws` is shown but not counted, so that an address always has the same means.
    for (const { row } of results) if (row.draw < setting.draws) store.add(row);
    post({ kind: 'measured', setting, what: 'memory', attacks: shownAttacks(planned.ready, results) });
    this.#results(opened, setting, planned);
    progress.advance(1, `draw ${setting.draw}`);
    for (let draw = 0; draw < setting.draws; draw++) {
      await this.#gate.pass(signal);
      if (!store.has(condition, draw)) {
        for (const { row } of await sweep.measure(condition, draw)) store.add(row);
        this.#results(opened, setting, planned);
      }
      progress.advance(1, `draw ${draw}`);
    }
  }

  async #curve(opened: Opened, setting: Setting, signal: AbortSignal): Promise<void> {
    const planned = await this.#planned(opened, setting, 'curve', this.#progress(), signal);
    await this.#undefended(planned, setting);
    const { store, ready } = planned;
    let shown = 0;
    store.onRow = async () => {
      // The attacks of a draw are reported one after the other; one update of the curve for all of them is enough.
      const now = performance.now();
      if (store.rows.length % ready.testbed.outputs.length === 0 && now > shown + SHOW_EVERY) {
        this.#results(opened, setting, planned);
        shown = performance.now();
      }
      await this.#gate.pass(signal);
    };
    try {
      await planned.sweep.run(planned.conditions);
    } finally {
      store.onRow = () => {};
    }
    this.#results(opened, setting, planned);
  }

  /** Measures the undefended model once, and adds its rows to every sweep. */
  async #undefended({ sweep, undefended, store, ready }: Planned, setting: Setting): Promise<void> {
    const key = conditionKey(undefended);
    const results = ready.undefended.get(key) ?? (await sweep.measure(undefended, 0));
    ready.undefended.set(key, results);
    const [output] = ready.testbed.outputs;
    if (!ready.baselines) {
      const persons = ready.testbed.shown(output, true).map(({ person }) => person);
      const found = results.find(({ row }) => row.attack === output.name)!;
      ready.baselines = ready.testbed.baselines(found.images.map(asStored), persons);
    }
    for (const { row } of results) store.add(row);
    this.#options.post({ kind: 'measured', setting, what: 'none', attacks: shownAttacks(ready, results) });
  }

  async #planned(
    opened: Opened,
    setting: Setting,
    what: 'one' | 'curve',
    progress: ProgressSink,
    signal: AbortSignal,
  ): Promise<Planned> {
    const ready = await this.#inverted(opened, setting, signal);
    const sweep = sweepOfSetting(setting, what);
    const { spec } = ready.testbed;
    // Only the release of the setting is measured, not also exact confidences.
    const conditionsOf = (config: SweepConfig) =>
      plannedConditions(config, spec).filter(
        ({ release }) => (release === undefined) === (config.releases.length === 0),
      );
    const conditions = conditionsOf(sweep);
    const condition = conditionsOf(sweepOfSetting(setting, 'one')).at(-1)!;
    const store = this.#store(opened, setting);
    return {
      ready,
      config: sweep,
      conditions,
      undefended: conditions[0],
      condition,
      store,
      sweep: new Sweep(ready.testbed, sweep, { store, progress, signal }),
    };
  }

  #store({ networks }: Opened, setting: Setting): LiveStore {
    const key = `${networks.hash} ${sweepKey(setting)}`;
    const store = this.#stores.get(key) ?? new LiveStore();
    this.#stores.set(key, store);
    return store;
  }

  #results(opened: Opened, setting: Setting, { ready, store, config, undefended, condition }: Planned): void {
    const { gpu, started } = opened;
    const { dataset, publicFaces } = ready.data;
    const { data } = ready.config;
    const results: Results = {
      schema: RESULTS_SCHEMA,
      manifest: {
        version: this.#options.version,
        command: `${this.#url}?${writeSetting(setting)}`,
        config: { ...ready.config, ...config },
        seed: setting.seed,
        adapter: gpu.adapter.name,
        dataset: {
          name: dataset.name,
          sha256: dataset.sha256,
          split: splitName(data.kind === 'procedural' ? data.trained : 1),
          classes: dataset.classNames.length,
          ...(publicFaces && { publicFaces: { name: publicFaces.name, sha256: publicFaces.sha256 } }),
        },
        started: started.toISOString(),
        seconds: Math.round((Date.now() - started.getTime()) / 100) / 10,
        attacks: descriptionsOf(ready),
      },
      rows: [...store.rows],
      summary: store.summary(),
      baselines: ready.baselines!,
    };
    const keys = [undefended, condition].map(conditionKey);
    const chosen = results.summary.filter((entry) => keys.includes(conditionKey(entry.condition)));
    const energy = results.rows.find((row) => conditionKey(row.condition) === keys[1])?.energy;
    this.#options.post({ kind: 'results', setting, results, chosen, energy });
  }

  async #invert(opened: Opened, setting: Setting, signal: AbortSignal): Promise<void> {
    const { post } = this.#options;
    const progress = this.#progress();
    progress.start('drawing faces', 1);
    const { testbed, data, config } = await this.#searched(opened, setting, signal);
    const { dataset, split, meanFace } = data;
    const { width, height, channels } = dataset;
    const size = { width, height, channels };
    const sweepConfig = sweepOfLayers(setting, productLayers(testbed.spec.layers));
    const conditions = plannedConditions(sweepConfig, testbed.spec);
    const store = new InMemoryRunStore();
    const sweep = new Sweep(testbed, sweepConfig, { store, progress, signal });
    const [output] = testbed.outputs;
    const iterations = output.units;
    const people = config.people!;
    const names = people.map((person) => dataset.classNames[person]);
    const pixels = imageValues(size);
    const photographs = people.map((person) => split.train.find((image) => dataset.labels[image] === person)!);
    const reply = (what: 'truth' | 'none' | 'memory', iteration: number, shown: Pictures) =>
      ({ kind: 'inversion', setting, what, iteration, iterations, names, pictures: shown }) as const;
    post(
      reply('truth', 0, {
        ...size,
        images: photographs.map((i) => dataset.images.slice(i * pixels, (i + 1) * pixels)),
      }),
    );
    // Attacks from black leave faces too dark to see; brightness and contrast do not change the PCC.
    const shown = (images: readonly Float32Array[]) =>
      pictures(
        images.map((image) => levelled(image, meanFace)),
        size,
      );
    let baselines: Baselines | undefined;
    for (const what of ['none', 'memory'] as const) {
      const { title } = attackOfKind(setting.attack);
      progress.start(`${title}, ${what === 'none' ? 'no defence' : 'approximate memory'}`, iterations);
      let last = 0;
      const condition = what === 'none' ? conditions[0] : conditions[conditions.length - 1];
      const [result] = await sweep.measure(condition, what === 'none' ? 0 : setting.draw, async (iteration, images) => {
        await this.#gate.pass(signal);
        post(reply(what, iteration, shown(await images())));
        progress.advance(iteration - last, `iteration ${iteration}`);
        last = iteration;
      });
      baselines ??= testbed.baselines(result.images.map(asStored), people);
      post({ ...reply(what, iterations, shown(result.images)), row: result.row, baselines });
    }
  }

  async #map(opened: Opened, setting: Setting, signal: AbortSignal): Promise<void> {
    const progress = this.#progress();
    const { sweep, condition, ready } = await this.#planned(opened, setting, 'one', progress, signal);
    const { memory, spec } = ready.testbed;
    const slice = modelLayout(spec).find(setting.tensor);
    if (!Object.hasOwn(condition.rates, slice.layer)) {
      throw new DataError(`${setting.tensor} lies in exact memory; choose layers that include ${slice.layer}`);
    }
    await sweep.measure(condition, setting.draw);
    const { bits, storageBits } = memory.codecOf(setting.tensor);
    const { rows, columns, stride } = slice;
    const stored = await memory.readCodes(setting.tensor);
    const returned = await memory.fetchCodes(setting.tensor);
    const read = { rows, columns, stride, storageBits, bits, stored, returned };
    const flips = Uint32Array.from(
      { length: rows * stride },
      (_, i) => codeAt(stored, i, storageBits) ^ codeAt(returned, i, storageBits),
    );
    this.#options.post({
      kind: 'map',
      setting,
      rows,
      columns,
      stride,
      bits,
      flips,
      ...flipRates(read),
      cacheLines: flippedLines(read),
    });
  }

  async #own(opened: Opened, job: Extract<Job, { kind: 'own' }>, signal: AbortSignal): Promise<void> {
    const { setting, images } = job;
    const planned = await this.#planned(opened, setting, 'one', this.#progress(), signal);
    const { sweep, undefended, condition: defended, ready } = planned;
    const { width, height, channels } = ready.testbed;
    const size = { width, height, channels };
    const dataset = await createDataset({
      name: 'your images',
      ...size,
      classNames: ['you'],
      images: Uint8Array.from(images.flatMap(({ pixels }) => [...pixels])),
      labels: new Uint32Array(images.length),
      ids: images.map(({ name }) => name),
    });
    const floats = toFloat(dataset, [...dataset.labels.keys()]);
    const values = imageValues(size);
    const truth = images.map((_, i) => floats.subarray(i * values, (i + 1) * values));
    type OwnRow = Extract<Reply, { kind: 'own' }>['rows'][number];
    const shown: OwnRow[] = [{ label: 'your images', pictures: pictures(truth, size) }];
    for (const [label, condition] of [
      ['reconstructed, no defence', undefended],
      ['reconstructed, approximate memory', defended],
    ] as const) {
      await sweep.measure(condition, setting.draw);
      const found = (await ready.testbed.invert(dataset, condition.release)).get(setting.attacker)!;
      const similarity = found.map((image, i) => pcc(image, truth[i]));
      shown.push({ label, pictures: pictures(found, size), pcc: similarity });
    }
    this.#options.post({ kind: 'own', setting, names: images.map(({ name }) => name), rows: shown });
  }

  #progress(): ProgressSink {
    const { post } = this.#options;
    const id = this.#id;
    const state = { label: '', done: 0, total: 1, note: '' };
    const send = () => post({ kind: 'progress', id, ...state });
    return {
      start(label, totalUnits, alreadyDone = 0) {
        Object.assign(state, { label, done: alreadyDone, total: totalUnits, note: '' });
        send();
      },
      advance(units, note) {
        state.done += units;
        if (note !== undefined) state.note = note;
        send();
      },
      done() {},
      warn(line) {
        state.note = line;
        send();
      },
    };
  }
}

/** A sweep of a setting, with the objects that it needs. */
interface Planned {
  readonly ready: Ready;
  readonly config: SweepConfig;
  readonly conditions: readonly Condition[];
  /** The undefended model, as it releases its confidences under the setting. */
  readonly undefended: Condition;
  /** The one condition that the setting shows. */
  readonly condition: Condition;
  readonly store: LiveStore;
  readonly sweep: Sweep;
}

function outputsOf({ testbed }: Ready): ShownOutput[] {
  return testbed.outputs.map(({ name, title, split, attacker }) => ({ name, title, split, attacker }));
}

function shownAttacks(ready: Ready, results: readonly DrawResult[]): ShownAttack[] {
  const { width, height, channels } = ready.testbed;
  const outputs = outputsOf(ready);
  return results.map(({ row, images }) => ({
    row,
    output: outputs.find(({ name }) => name === row.attack)!,
    pictures: pictures(images, { width, height, channels }),
  }));
}

/** The attacks as results describe them. */
function descriptionsOf({ config }: Ready): AttackDescription[] {
  return config.attacks.flatMap((attack) => {
    const { kind, title: family, outputs } = attackOfKind(attack.kind);
    return outputs(attack).map(({ name, title, split }) => ({ name, kind, family, split, title }));
  });
}

function victimReply(victim: VictimKind, ready: Ready): Reply {
  const { testbed, data } = ready;
  const { width, height, channels, images, labels, classNames } = data.dataset;
  const pixels = imageValues(data.dataset);
  const truth = (split: SplitName) => {
    const output = testbed.outputs.find((each) => each.split === split)!;
    const shown = testbed.shown(output, true).map(({ photograph }) => photograph!);
    return {
      width,
      height,
      channels,
      images: shown.map((image) => images.slice(image * pixels, (image + 1) * pixels)),
      names: shown.map((image) => classNames[labels[image]]),
    };
  };
  const layers = productLayers(testbed.spec.layers);
  const tensors = modelLayout(testbed.spec).slices.filter(({ layer }) => layers.includes(layer));
  const [heldOut, training] = SPLITS;
  return {
    kind: 'victim',
    victim,
    tensors: tensors.map(({ name }) => name),
    size: width,
    channels,
    outputs: outputsOf(ready),
    truth: { [heldOut]: truth(heldOut), [training]: truth(training) } as Record<SplitName, ReturnType<typeof truth>>,
    trainAccuracy: testbed.trainAccuracy,
    evaluatorAccuracy: testbed.evaluatorAccuracies().linear,
  };
}

/** Configures a victim of dense layers and an inversion network against it, on the faces of the convolutional victim. */
function invertedConfig(kind: VictimKind, { data }: ExperimentConfig): ExperimentConfig {
  if (data.kind !== 'procedural') throw new MidasError('the page supports procedural faces only');
  const preset = presetInput('deep', { victim: kind, images: data });
  return parseExperiment({ ...preset, data, ...invertedAttacks(preset), ...COMMON }, 'page');
}

function invertedAttacks({ attacks }: Pick<ExperimentInput, 'attacks'>): Partial<ExperimentInput> {
  const [inversion] = attacks as object[];
  return { attacks: [{ ...inversion, attackers: ATTACKERS }], photographs: 1 };
}

/** Configures a victim and one attack that reconstructs people from it; the convolutional victim is the shipped network. */
function searchedConfig(kind: VictimKind, attack: string, shipped: ExperimentConfig): ExperimentConfig {
  const people = [...Array(PEOPLE.people).keys()];
  const images = kind === 'yang' && shipped.data.kind === 'procedural' ? shipped.data : PEOPLE;
  const preset = presetInput('shallow', { victim: kind, images });
  const victim = kind === 'yang' ? { data: shipped.data, victim: shipped.victim } : {};
  const attacks = (attacksOfKinds([attack], preset, images) as object[]).slice(0, 1);
  return parseExperiment({ ...preset, ...victim, people, attacks, ...COMMON }, 'page');
}

/** An image rounded to bytes, as a run folder stores it: baselines are computed from stored images. */
function asStored(image: Float32Array): Float32Array {
  return image.map((x) => Math.round(255 * x) / 255);
}

/** Images in 0..1 as bytes. */
function pictures(images: readonly Float32Array[], { width, height, channels }: ImageSize): Pictures {
  const bytes = (image: Float32Array) => Uint8Array.from(image, (x) => Math.round(255 * Math.min(Math.max(x, 0), 1)));
  return { width, height, channels, images: images.map(bytes) };
}

interface Networks {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly config: ExperimentConfig;
  /** Side of their images, pixels. */
  readonly size: number;
  readonly label: string;
  /** Hash of the networks; rows of different networks are kept apart. */
  readonly hash: string;
}

/**
 * The networks of the convolutional victim and its attacker, from files if they are given and otherwise the shipped ones, and
 * the configuration that fits them.
 *
 * @throws DataError if a file is neither of these networks, or the networks do not belong together
 */
async function networksOf(
  shipped: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
  files: readonly ChosenFile[],
): Promise<Networks> {
  const networks = new Map<string, Uint8Array>(shipped);
  for (const { name, bytes } of files) {
    const { spec, parameters } = importNetwork(bytes, name);
    const file = spec.description.kind === 'yang-classifier' ? 'victim.safetensors' : 'inversion.safetensors';
    const state = { epoch: 0, parameters, optimizer: [] };
    networks.set(file, writeCheckpoint({ spec, state, metadata: { source: name } }));
  }
  const describe = (file: string) => readCheckpoint(networks.get(file)!, file).spec.description;
  const [victim, inversion] = [describe('victim.safetensors'), describe('inversion.safetensors')];
  if (victim.kind !== 'yang-classifier' || inversion.kind !== 'yang-inversion')
    throw new DataError('the networks must be a classifier and an inversion network of Yang et al.');
  const { size } = victim;
  const preset = presetInput('deep', { images: { width: size, height: size } });
  const [inverting] = preset.attacks as object[];
  const config = parseExperiment(
    {
      ...preset,
      victim: { ...preset.victim, ndf: victim.ndf },
      attacks: [{ ...inverting, network: { kind: 'yang', ngf: inversion.ngf }, attackers: ATTACKERS }],
      photographs: 1,
      ...COMMON,
    },
    'page',
  );
  if (config.data.kind !== 'procedural') throw new MidasError('the page supports procedural faces only');
  requirePeople(victim.classes, config.data.people);
  const spec: ModelSpec = readCheckpoint(networks.get('victim.safetensors')!, 'victim.safetensors').spec;
  const label =
    files.length === 0 ? 'trained by this project on its embedded faces' : files.map(({ name }) => name).join(', ');
  const bytes = new Blob([...networks.values()].map((each) => Uint8Array.from(each)));
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await bytes.arrayBuffer()));
  return { files: networks, config, size, label: `${modelName(spec)}: ${label}`, hash: digest.join() };
}

/** @throws DataError if the classifier does not have as many people as the page */
function requirePeople(classes: number, people: number): void {
  if (classes !== people)
    throw new DataError(`the classifier knows ${classes} people, but the page has faces of ${people}`);
}
