/**
 * The engine behind the page: opens a device, keeps the victims and the rows that were measured, and runs one job at a time.
 * It does not depend on a page or a worker: replies are passed to a function.
 */

import { DeviceLostError, InterruptedError, MidasError } from '../errors.ts';
import { type InMemoryRunStore, type ProgressSink, refuseAborted } from '../experiments/store.ts';
import { type Gpu, limitsOf } from '../gpu/device.ts';
import { Gate, type LiveStore } from './live_store.ts';
import type { Job, JobKind, Reply, Request } from './protocol.ts';
import { attackModel } from './session/attack_job.ts';
import { bring } from './session/bring_job.ts';
import type { ImageDecoder } from './session/brought_images.ts';
import type { BroughtVictim } from './session/brought_victim.ts';
import { invertImages } from './session/images_job.ts';
import type { JobContext, Opened } from './session/job.ts';
import { mapFlips } from './session/map_job.ts';
import { attackBrought, planBrought } from './session/measure_brought.ts';
import { measureCurve, measureSetting, type Planned, planSetting, shownVictim } from './session/measure_job.ts';
import type { DrawnFaces } from './session/published_victim.ts';
import { networksOf } from './session/shipped_networks.ts';
import { Testbeds } from './session/victim.ts';
import { DEFAULTS } from './setting.ts';

type Identified = Job & { readonly id: number };

export interface SessionOptions {
  openGpu(): Promise<Gpu>;
  /** The networks that come with the project, by their file names in a run folder. */
  shipped(): Promise<ReadonlyMap<string, Uint8Array<ArrayBuffer>>>;
  readonly version: string;
  /** Decodes an image of a visitor. @throws DataError naming it */
  readonly decodeImage: ImageDecoder;
  post(reply: Reply): void;
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
  /** The network of a visitor; it is kept when a device is lost. */
  #brought: BroughtVictim | undefined;
  /** Number of the drops that were taken so far. */
  #broughtId = 0;
  /** Number of the job that is running. */
  #id = 0;
  /** Rows by the hash of the networks and the `sweepKey` of the setting; they are kept when a device is lost. */
  readonly #stores = new Map<string, LiveStore>();
  /** Checkpoints of networks that were trained here; they are also kept when a device is lost. */
  readonly #trained = new Map<string, InMemoryRunStore>();
  /** Kept as well: a software adapter draws faces for seconds. */
  readonly #faces: DrawnFaces = new Map();

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
    const context = this.#context(signal);
    switch (job.kind) {
      case 'measure':
        return measureSetting(context, job.setting);
      case 'curve':
        return measureCurve(context, job.setting, await this.#plan(context, job, 'curve'));
      case 'invert':
        return attackModel(context, job.setting);
      case 'map':
        return mapFlips(context, job.setting, await this.#plan(context, job, 'one'));
      case 'own':
        return invertImages(context, job.setting, job.images);
      case 'bring': {
        const before = this.#broughtId;
        this.#brought = await bring(context, job.files, before + 1, this.#brought, this.#options.decodeImage);
        this.#broughtId = before + 1;
        context.testbeds.destroy(`brought ${before} `);
        this.#trained.delete(`brought ${before}`);
        for (const key of this.#stores.keys()) if (key.startsWith(`brought ${before} `)) this.#stores.delete(key);
        return;
      }
      case 'attack':
        return attackBrought(context, this.#network(), job.setting, job.network);
      case 'check': {
        const { checkedKernels, selfCheck } = await import('../verify/kernels.ts');
        const { gpu, progress } = context;
        progress.start('checking kernels', checkedKernels(gpu).length);
        const checks = await selfCheck(gpu, { onCompiled: (kernel) => progress.advance(1, kernel), signal });
        return this.#options.post({ kind: 'checked', checks });
      }
    }
  }

  #plan(
    context: JobContext,
    { setting, network }: Extract<Job, { kind: 'curve' | 'map' }>,
    what: 'one' | 'curve',
  ): Promise<Planned> {
    return network
      ? planBrought(context, this.#network(), setting, network, what)
      : planSetting(context, setting, what);
  }

  /** The network of the visitor. @throws MidasError if there is none */
  #network(): BroughtVictim {
    if (!this.#brought) throw new MidasError('there is no network yet; drop an .onnx file');
    return this.#brought;
  }

  /** @throws MidasError if no device is open */
  #context(signal: AbortSignal): JobContext {
    if (!this.#opened) throw new MidasError('no device is open; start the engine again');
    const { version, post } = this.#options;
    return {
      ...this.#opened,
      ...{ version, post, signal },
      url: this.#url,
      stores: this.#stores,
      faces: this.#faces,
      gate: this.#gate,
      progress: this.#progress(),
      show: (key, reply) => {
        if (this.#shown === key) return;
        this.#shown = key;
        post(reply());
      },
    };
  }

  async #open({ url, files = [] }: Extract<Job, { kind: 'open' }>, signal: AbortSignal): Promise<void> {
    const { post } = this.#options;
    const progress = this.#progress();
    const started = new Date();
    this.#shown = '';
    progress.start('starting the engine', 4);
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
      this.#opened = { gpu, networks, testbeds: new Testbeds(gpu, this.#trained), started };
      progress.advance(1, 'drawing faces');
      post({
        kind: 'opened',
        adapter: gpu.adapter,
        limits: limitsOf(gpu),
        features: [...gpu.device.features].sort(),
        networks: networks.label,
      });
      await shownVictim(this.#context(signal), DEFAULTS);
      progress.advance(1, 'ready');
    } catch (error) {
      // Without networks that belong together there is nothing to measure.
      await this.close().catch(() => {});
      await gpu.close().catch(() => {});
      throw error;
    }
  }

  /** Closes the device. Rows are kept. */
  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    if (!opened) return;
    opened.testbeds.destroy();
    await opened.gpu.close();
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
