/**
 * The engine behind the page: opens a device, keeps the victims and the rows that were measured, and does one job at a time.
 * It knows no page and no worker: replies go to a function.
 */
import { createDataset, toFloat } from '../data/dataset.ts';
import { DataError, DeviceLostError, InterruptedError, MidasError } from '../errors.ts';
import { bitErrorConditions } from '../experiments/conditions.ts';
import { type DeepInput, DeepSubject, deepVictim, SIDES, type Side } from '../experiments/deep.ts';
import { type DeepConfig, deepPreset, parseDeepConfig } from '../experiments/deep_config.ts';
import { embeddedDeepInput, embeddedShallowInput, TRAINED } from '../experiments/embedded.ts';
import { type ShallowInput, ShallowSubject, shallowVictim } from '../experiments/shallow.ts';
import { parseShallowConfig, shallowPreset } from '../experiments/shallow_config.ts';
import { MemoryStore, type ProgressSink } from '../experiments/store.ts';
import { type Look, refuseAborted, Sweep } from '../experiments/sweep.ts';
import { type Gpu, limitsOf } from '../gpu/device.ts';
import { codeAt } from '../memory/codec.ts';
import { flippedLines, flipRates } from '../memory/flips.ts';
import { pcc } from '../metrics/similarity.ts';
import { packTensors, readCheckpoint, writeCheckpoint } from '../models/checkpoint.ts';
import { readTensors, recogniseModel } from '../models/recognise.ts';
import { type ModelSpec, modelName } from '../models/specs.ts';
import { modelLayout } from '../models/trainer.ts';
import { levelled } from '../results/figures/sheet.ts';
import { type Baselines, type Condition, conditionKey, RESULTS_SCHEMA, type Results } from '../results/results.ts';
import { Gate, LiveStore } from './live_store.ts';
import type { ChosenFile, Job, JobKind, Pictures, Reply, Request, Seen } from './protocol.ts';
import { type Setting, shallowSweepOfSetting, sweepKey, sweepOfSetting, writeSetting } from './setting.ts';

/** What the shipped networks were trained with; the seed of a setting draws errors only. */
const FACES_SEED = 1;
/** The shallow victim's images, pixels. */
const SHALLOW = { width: 56, height: 64, people: 10 } as const;

/** Milliseconds at least between two states of a curve. */
const SHOW_EVERY = 200;

type Identified = Job & { readonly id: number };

export interface LabOptions {
  openGpu(): Promise<Gpu>;
  /** The networks that come with the project, by the names they have in the folder of a run. */
  shipped(): Promise<ReadonlyMap<string, Uint8Array<ArrayBuffer>>>;
  readonly version: string;
  post(reply: Reply): void;
}

/** Everything that lives as long as a device. */
interface Opened {
  readonly gpu: Gpu;
  readonly input: DeepInput;
  readonly config: DeepConfig;
  readonly spec: ModelSpec;
  readonly subject: DeepSubject;
  /** Hash of the networks: rows of others have a store of their own. */
  readonly networks: string;
  /** The undefended model, and what is reached without any attack: measured once. */
  none?: { readonly looks: readonly Look[]; readonly baselines: Baselines };
  shallowInput?: ShallowInput;
  readonly shallow: Map<Setting['model'], ShallowSubject>;
  readonly started: Date;
}

export class Lab {
  readonly #options: LabOptions;
  readonly #gate = new Gate();
  #controller = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #opened: Opened | undefined;
  #url = '';
  /** Of the job that is being done. */
  #id = 0;
  /** Rows by the networks and the settings they belong to; they outlive a device. */
  readonly #stores = new Map<string, LiveStore>();
  /** Checkpoints of shallow victims, which outlive a device too. */
  readonly #trained = new Map<Setting['model'], MemoryStore>();

  constructor(options: LabOptions) {
    this.#options = options;
  }

  /** Takes a request; what comes of it is posted. @returns when a job is over */
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

  /** A device that has reported an error is of no use any more, as if it were lost. */
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
      case 'look':
        return this.#look(opened, job.setting, signal);
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
    progress.start('opening the adapter', 4);
    await this.close();
    this.#url = url;
    const gpu = await this.#options.openGpu();
    // A device that goes while nothing runs would go unnoticed.
    void gpu.device.lost.then(({ reason, message }) => {
      if (reason !== 'destroyed') post({ kind: 'lost', message: message || 'the GPU device was lost' });
    });
    try {
      progress.advance(1, 'networks');
      const networks = await networksOf(await this.#options.shipped(), files);
      const { config, spec } = networks;
      progress.advance(1, 'drawing faces');
      const input = { ...(await embeddedDeepInput(gpu, config.size, FACES_SEED)), pretrained: networks.files };
      progress.advance(1, 'compiling kernels');
      const subject = await DeepSubject.build(gpu, input, config, new MemoryStore(), progress, signal);
      this.#opened = { gpu, input, config, spec, subject, networks: networks.hash, shallow: new Map(), started };
      progress.advance(1, 'ready');
      const { dataset } = input;
      const { width, height, images, labels, classNames } = dataset;
      const truth = (side: Side) => ({
        width,
        height,
        images: subject.shown[side].map((image) => images.slice(image * width * height, (image + 1) * width * height)),
        names: subject.shown[side].map((image) => classNames[labels[image]]),
      });
      const stored = modelLayout(spec).slices.filter(({ layer }) => /^(conv|fc)/.test(layer));
      post({
        kind: 'opened',
        adapter: gpu.adapter,
        limits: limitsOf(gpu),
        features: [...gpu.device.features].sort(),
        tensors: stored.map(({ name }) => name),
        networks: networks.label,
        size: config.size,
        truth: { 'held-out': truth('held-out'), training: truth('training') },
        trainAccuracy: subject.trainAccuracy,
        judgeAccuracy: subject.judgeAccuracy(),
      });
    } catch (error) {
      if (!this.#opened) await gpu.close().catch(() => {});
      throw error;
    }
  }

  /** Ends the device. Rows stay. */
  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    if (!opened) return;
    for (const subject of opened.shallow.values()) subject.destroy();
    opened.subject.destroy();
    await opened.gpu.close();
  }

  async #look(opened: Opened, setting: Setting, signal: AbortSignal): Promise<void> {
    const { post } = this.#options;
    const progress = this.#progress();
    const sweep = this.#sweep(opened, setting, 'one', progress, signal);
    const { condition, store } = sweep;
    progress.start('fault maps', setting.draws + 1);
    await this.#none(opened, sweep, setting);
    const looks = await sweep.sweep.look(condition, setting.draw);
    refuseAborted(signal);
    // A draw beyond those that are counted is shown only: an address has the same means whatever was looked at before.
    for (const { row } of looks) if (row.draw < setting.draws) store.add(row);
    post({ kind: 'look', setting, what: 'memory', seen: looks.map((look) => this.#seen(opened, look)) });
    this.#results(opened, setting, sweep);
    progress.advance(1, `draw ${setting.draw}`);
    for (let draw = 0; draw < setting.draws; draw++) {
      await this.#gate.pass(signal);
      if (!store.has(condition, draw)) {
        for (const { row } of await sweep.sweep.look(condition, draw)) store.add(row);
        this.#results(opened, setting, sweep);
      }
      progress.advance(1, `draw ${draw}`);
    }
  }

  async #curve(opened: Opened, setting: Setting, signal: AbortSignal): Promise<void> {
    const sweep = this.#sweep(opened, setting, 'curve', this.#progress(), signal);
    await this.#none(opened, sweep, setting);
    const { store } = sweep;
    let shown = 0;
    store.onRow = async () => {
      // All attacks of a draw come one after the other: one look at them is enough.
      const now = performance.now();
      if (store.rows.length % opened.subject.attacks.length === 0 && now > shown + SHOW_EVERY) {
        this.#results(opened, setting, sweep);
        shown = performance.now();
      }
      await this.#gate.pass(signal);
    };
    try {
      await sweep.sweep.run(sweep.conditions);
    } finally {
      store.onRow = () => {};
    }
    this.#results(opened, setting, sweep);
  }

  /** The undefended model: looked at once, a part of every sweep. */
  async #none(opened: Opened, { sweep, conditions, store }: Prepared, setting: Setting): Promise<void> {
    if (!opened.none) {
      const looks = await sweep.look(conditions[0], 0);
      const heldOut = looks.find(({ row }) => row.attack.endsWith(SIDES[0]))!;
      opened.none = { looks, baselines: opened.subject.baselines(heldOut.images.map(asStored)) };
    }
    const { looks } = opened.none;
    for (const { row } of looks) store.add(row);
    this.#options.post({
      kind: 'look',
      setting,
      what: 'none',
      seen: looks.map((look) => this.#seen(opened, look)),
    });
  }

  #seen({ config: { size } }: Opened, { row, images }: Look): Seen {
    return { row, pictures: pictures(images, size, size) };
  }

  #sweep(
    opened: Opened,
    setting: Setting,
    what: 'one' | 'curve',
    progress: ProgressSink,
    signal: AbortSignal,
  ): Prepared {
    const { subject, spec } = opened;
    const config = sweepOfSetting(setting, what);
    const conditions = bitErrorConditions(config, spec);
    const condition = bitErrorConditions(sweepOfSetting(setting, 'one'), spec).at(-1)!;
    const store = this.#store(opened, setting);
    return {
      config,
      conditions,
      condition,
      store,
      sweep: new Sweep(subject, subject.memory, config, store, progress, signal),
    };
  }

  #store({ networks }: Opened, setting: Setting): LiveStore {
    const key = `${networks} ${sweepKey(setting)}`;
    const store = this.#stores.get(key) ?? new LiveStore();
    this.#stores.set(key, store);
    return store;
  }

  #results(opened: Opened, setting: Setting, { store, config: sweep, conditions, condition }: Prepared): void {
    const { gpu, input, config, none } = opened;
    const { dataset, publicFaces } = input;
    const results: Results = {
      schema: RESULTS_SCHEMA,
      manifest: {
        version: this.#options.version,
        command: `${this.#url}?${writeSetting(setting)}`,
        config: { ...config, ...sweep, publicFaces: { name: publicFaces.name, sha256: publicFaces.sha256 } },
        seed: setting.seed,
        adapter: gpu.adapter.name,
        dataset: {
          name: dataset.name,
          sha256: dataset.sha256,
          split: `${Math.round(100 * TRAINED)} % of each person's photographs`,
        },
        started: opened.started.toISOString(),
        seconds: Math.round((Date.now() - opened.started.getTime()) / 100) / 10,
      },
      rows: [...store.rows],
      summary: store.summary(setting.seed),
      baselines: none!.baselines,
    };
    const keys = [conditions[0], condition].map(conditionKey);
    const chosen = results.summary.filter(({ condition }) => keys.includes(conditionKey(condition)));
    const energy = results.rows.find(({ condition }) => conditionKey(condition) === keys[1])?.energy;
    this.#options.post({ kind: 'results', setting, results, chosen, energy });
  }

  async #invert(opened: Opened, setting: Setting, signal: AbortSignal): Promise<void> {
    const { post } = this.#options;
    const { gpu } = opened;
    const { width, height, people } = SHALLOW;
    const progress = this.#progress();
    progress.start('drawing faces', 1);
    opened.shallowInput ??= await embeddedShallowInput(gpu, width, height, FACES_SEED);
    const input = opened.shallowInput;
    const { dataset, split, meanFace } = input;
    const preset = shallowPreset('quick', setting.model, width * height, FACES_SEED) as Record<string, unknown>;
    const classes = [...Array(people).keys()];
    const [attack] = preset.attacks as unknown[];
    const config = parseShallowConfig({ ...preset, classes, attacks: [attack] }, 'page');
    const store = this.#trained.get(setting.model) ?? new MemoryStore();
    this.#trained.set(setting.model, store);
    let subject = opened.shallow.get(setting.model);
    if (!subject) {
      subject = await ShallowSubject.build(gpu, input, config, store, progress, signal);
      opened.shallow.set(setting.model, subject);
    }
    const sweepConfig = shallowSweepOfSetting(setting);
    const conditions = bitErrorConditions(sweepConfig, shallowVictim(config, dataset));
    const sweep = new Sweep(subject, subject.memory, sweepConfig, new MemoryStore(), progress, signal);
    const { iterations } = config.attacks[0];
    const names = classes.map((person) => dataset.classNames[person]);
    const pixels = width * height;
    const photographs = classes.map((person) => split.train.find((image) => dataset.labels[image] === person)!);
    const reply = (what: 'truth' | 'none' | 'memory', iteration: number, shown: Pictures) =>
      ({ kind: 'inversion', setting, what, iteration, iterations, names, pictures: shown }) as const;
    post(
      reply('truth', 0, {
        width,
        height,
        images: photographs.map((i) => dataset.images.slice(i * pixels, (i + 1) * pixels)),
      }),
    );
    // Attacks from black leave faces too dark to look at; no PCC sees the difference.
    const seen = (images: readonly Float32Array[]) =>
      pictures(
        images.map((image) => levelled(image, meanFace)),
        width,
        height,
      );
    let baselines: Baselines | undefined;
    for (const what of ['none', 'memory'] as const) {
      progress.start(what === 'none' ? 'MI-Face, no defence' : 'MI-Face, approximate memory', iterations);
      let last = 0;
      const condition = what === 'none' ? conditions[0] : conditions[conditions.length - 1];
      const [look] = await sweep.look(condition, what === 'none' ? 0 : setting.draw, async (iteration, images) => {
        await this.#gate.pass(signal);
        post(reply(what, iteration, seen(await images())));
        progress.advance(iteration - last, `iteration ${iteration}`);
        last = iteration;
      });
      baselines ??= subject.baselines(look.images.map(asStored));
      post({ ...reply(what, iterations, seen(look.images)), row: look.row, baselines });
    }
  }

  async #map(opened: Opened, setting: Setting, signal: AbortSignal): Promise<void> {
    const { subject, spec } = opened;
    const { memory } = subject;
    const slice = modelLayout(spec).find(setting.tensor);
    const progress = this.#progress();
    const { sweep, condition } = this.#sweep(opened, setting, 'one', progress, signal);
    if (!Object.hasOwn(condition.rates, slice.layer)) {
      throw new DataError(`${setting.tensor} lies in exact memory; choose layers with ${slice.layer}`);
    }
    await sweep.look(condition, setting.draw);
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
    const { subject, config } = opened;
    const { setting, images } = job;
    const { size } = config;
    const dataset = await createDataset({
      name: 'your images',
      width: size,
      height: size,
      classNames: ['you'],
      images: Uint8Array.from(images.flatMap(({ pixels }) => [...pixels])),
      labels: new Uint32Array(images.length),
      ids: images.map(({ name }) => name),
    });
    const floats = toFloat(dataset, [...dataset.labels.keys()]);
    const truth = images.map((_, i) => floats.subarray(i * size * size, (i + 1) * size * size));
    const { sweep, conditions, condition: defended } = this.#sweep(opened, setting, 'one', this.#progress(), signal);
    type OwnRow = Extract<Reply, { kind: 'own' }>['rows'][number];
    const shown: OwnRow[] = [{ label: 'your images', pictures: pictures(truth, size, size) }];
    for (const [label, condition] of [
      ['reconstructed, no defence', conditions[0]],
      ['reconstructed, approximate memory', defended],
    ] as const) {
      await sweep.look(condition, setting.draw);
      const found = (await subject.invert(dataset)).get(setting.attacker)!.images;
      const similarity = found.map((image, i) => pcc(image, truth[i]));
      shown.push({ label, pictures: pictures(found, size, size), pcc: similarity });
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

/** A sweep and what it needs. */
interface Prepared {
  readonly config: ReturnType<typeof sweepOfSetting>;
  readonly conditions: ReturnType<typeof bitErrorConditions>;
  /** The one that the setting looks at. */
  readonly condition: Condition;
  readonly store: LiveStore;
  readonly sweep: Sweep;
}

/** An image as it comes back from the folder of a run, which keeps bytes: baselines are computed of those. */
function asStored(image: Float32Array): Float32Array {
  return image.map((x) => Math.round(255 * x) / 255);
}

/** Images in 0..1 as bytes. */
function pictures(images: readonly Float32Array[], width: number, height: number): Pictures {
  const bytes = (image: Float32Array) => Uint8Array.from(image, (x) => Math.round(255 * Math.min(Math.max(x, 0), 1)));
  return { width, height, images: images.map(bytes) };
}

/**
 * The networks of the deep story: those of files where they are given, the shipped ones otherwise, and the configuration
 * that fits them. @throws DataError for a file that is neither, or networks that do not belong together
 */
async function networksOf(
  shipped: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
  files: readonly ChosenFile[],
): Promise<{ files: Map<string, Uint8Array>; config: DeepConfig; spec: ModelSpec; label: string; hash: string }> {
  const networks = new Map<string, Uint8Array>(shipped);
  for (const { name, bytes } of files) {
    const tensors = readTensors(bytes, name);
    const spec = recogniseModel(tensors, name);
    if (!spec) throw new DataError(`${name}: neither a classifier nor an inversion network of Yang et al.`);
    const file = spec.description.kind === 'yang-classifier' ? 'victim.safetensors' : 'inversion.safetensors';
    const state = { epoch: 0, parameters: packTensors(spec, tensors, name), optimizer: [] };
    networks.set(file, writeCheckpoint({ spec, state, metadata: { source: name } }));
  }
  const describe = (file: string) => readCheckpoint(networks.get(file)!, file).spec.description;
  const [victim, inversion] = [describe('victim.safetensors'), describe('inversion.safetensors')];
  if (victim.kind !== 'yang-classifier' || inversion.kind !== 'yang-inversion') throw new DataError('no such networks');
  const preset = deepPreset('tiny', FACES_SEED) as Record<string, Record<string, unknown>>;
  const config = parseDeepConfig(
    {
      ...preset,
      size: victim.size,
      victim: { ...preset.victim, ndf: victim.ndf },
      inversion: { ...preset.inversion, ngf: inversion.ngf },
      photographs: 1,
      attackers: [{ name: 'direct' }, { name: 'clipped', clip: 'observed' }],
    },
    'page',
  );
  const spec = deepVictim(config, victim.classes);
  const label =
    files.length === 0 ? 'trained by this project on its embedded faces' : files.map(({ name }) => name).join(', ');
  const bytes = new Blob([...networks.values()].map((each) => Uint8Array.from(each)));
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await bytes.arrayBuffer()));
  return { files: networks, config, spec, label: `${modelName(spec)}: ${label}`, hash: digest.join() };
}
