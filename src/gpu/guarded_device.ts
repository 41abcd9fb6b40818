import { DeviceLostError, LimitError, MidasError } from '../errors.ts';

/** The description of an adapter, as a result's manifest contains it. */
export interface AdapterSummary {
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  /** True when the adapter runs on the CPU (SwiftShader, llvmpipe). */
  readonly software: boolean;
}

/** Waits for a promise of the device. */
export type Rest = <T>(promise: Promise<T>) => Promise<T>;

/** A part of a GPU buffer. Offsets and sizes are bytes, multiples of 4. */
export interface BufferView {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

// The flag objects GPUBufferUsage and GPUMapMode are globals in a browser only.
export const GPU_BUFFER_USAGE = {
  MAP_READ: 1,
  COPY_SRC: 4,
  COPY_DST: 8,
  UNIFORM: 64,
  STORAGE: 128,
  QUERY_RESOLVE: 512,
};
export const GPU_MAP_MODE_READ = 1;

/**
 * An open device with uploads, read-back and a guard against its loss. Its subclass {@link Gpu} also runs programs.
 */
export class GuardedDevice {
  readonly device: GPUDevice;
  readonly adapter: AdapterSummary;
  /** Number of queue submissions so far; tests and the benchmark count them. */
  submissions = 0;
  #lost: string | undefined;
  #failure: string | undefined;
  #closing = false;
  readonly #loss: Promise<void>;
  /** Functions that reject pending awaits. A race with `#loss` instead would retain a reaction for every await ever made. */
  readonly #waiting = new Set<(error: DeviceLostError) => void>();
  /** The error scopes of submits whose outcome is not known yet. */
  readonly #scopes = new Set<Promise<unknown>>();
  // Dawn frees its instance when the object that `create()` returned is collected, and the process crashes: retain it here.
  readonly #entry: GPU;
  readonly #rest: Rest;

  /**
   * @param entry `navigator.gpu` of a browser, or the object that `create()` of the webgpu package returned
   * @param rest how to wait for a software adapter; a plain await by default
   */
  constructor(entry: GPU, device: GPUDevice, adapter: AdapterSummary, rest?: Rest) {
    this.#entry = entry;
    this.#rest = rest && adapter.software ? rest : (promise) => promise;
    this.device = device;
    this.adapter = adapter;
    this.#loss = device.lost.then((info) => {
      this.#lost = info.message || info.reason || 'no reason given';
      for (const reject of this.#waiting) reject(this.#lostError());
    });
    device.addEventListener('uncapturederror', (event) => {
      this.#failure ??= event.error.message;
    });
  }

  /**
   * True if kernels whose invocations exchange values in groups of four are faster. That is the case on a software adapter
   * with subgroups, whose lanes are the lanes of the CPU's vectors, numbered along x.
   */
  get quads(): boolean {
    return this.adapter.software && this.device.features.has('subgroups');
  }

  /**
   * Awaits `promise`, and throws if the device is lost or reports an error in the meantime. Use it for every await on the
   * device: otherwise a lost device returns stale numbers without an error.
   * @throws DeviceLostError, MidasError (a validation or out-of-memory error of the device)
   */
  async guard<T>(promise: Promise<T>): Promise<T> {
    this.check();
    let value: T;
    let reject!: (error: DeviceLostError) => void;
    const loss = new Promise<never>((_, refuse) => {
      reject = refuse;
    });
    this.#waiting.add(reject);
    try {
      const settled = Promise.all([promise, ...this.#scopes]);
      [value] = await this.#rest(Promise.race([settled, loss]));
    } catch (error) {
      // mapAsync rejects shortly before device.lost resolves: wait up to 50 ms for the loss to be reported.
      await Promise.race([this.#loss, new Promise((resolve) => setTimeout(resolve, 50))]);
      this.check();
      throw error;
    } finally {
      this.#waiting.delete(reject);
    }
    this.check();
    return value;
  }

  /** @throws DeviceLostError, MidasError when the device is lost or has reported an error. */
  check(): void {
    if (this.#lost !== undefined) throw this.#lostError();
    if (this.#failure !== undefined) throw new MidasError(`the GPU reported: ${this.#failure.split('\n')[0]}`);
  }

  /** Creates a storage buffer of `bytes` (rounded up to 16), zero-filled. @throws LimitError when it is too large. */
  createBuffer(label: string, bytes: number, usage = 0): GPUBuffer {
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    const largest = Math.min(this.device.limits.maxStorageBufferBindingSize, this.device.limits.maxBufferSize);
    if (size > largest) {
      throw new LimitError(`${label} needs a storage buffer of ${size} bytes, this adapter has ${largest}`);
    }
    return this.device.createBuffer({
      label,
      size,
      usage: usage | GPU_BUFFER_USAGE.STORAGE | GPU_BUFFER_USAGE.COPY_SRC | GPU_BUFFER_USAGE.COPY_DST,
    });
  }

  /** Writes `data` to `view`, from `byteOffset` on. */
  write(view: BufferView, data: ArrayBufferView<ArrayBuffer>, byteOffset = 0): void {
    this.device.queue.writeBuffer(view.buffer, view.offset + byteOffset, data.buffer, data.byteOffset, data.byteLength);
  }

  /** Copies the first `bytes` of a view into another, from `byteOffset` on, in a submit of its own. */
  copy(from: BufferView, to: BufferView, bytes: number, byteOffset = 0): void {
    const encoder = this.device.createCommandEncoder({ label: 'copy' });
    encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset + byteOffset, bytes);
    this.submit(encoder);
  }

  /** Reads views back, all in one submit. @returns a copy of the bytes of each view. @throws DeviceLostError */
  async read(...views: readonly BufferView[]): Promise<ArrayBuffer[]> {
    const total = views.reduce((sum, view) => sum + view.size, 0);
    const staging = this.device.createBuffer({
      label: 'read-back',
      size: total,
      usage: GPU_BUFFER_USAGE.COPY_DST | GPU_BUFFER_USAGE.MAP_READ,
    });
    const encoder = this.device.createCommandEncoder({ label: 'read-back' });
    let at = 0;
    for (const view of views) {
      encoder.copyBufferToBuffer(view.buffer, view.offset, staging, at, view.size);
      at += view.size;
    }
    this.submit(encoder);
    await this.guard(staging.mapAsync(GPU_MAP_MODE_READ));
    const bytes = staging.getMappedRange();
    at = 0;
    const copies = views.map((view) => {
      const copy = bytes.slice(at, at + view.size);
      at += view.size;
      return copy;
    });
    staging.destroy();
    return copies;
  }

  /** {@link read} of one view, as f32. */
  async readFloats(view: BufferView): Promise<Float32Array<ArrayBuffer>> {
    return new Float32Array((await this.read(view))[0]);
  }

  /** {@link read} of one view, as u32. Use it to move weights: JavaScript may change the bits of a NaN in an f32. */
  async readWords(view: BufferView): Promise<Uint32Array<ArrayBuffer>> {
    return new Uint32Array((await this.read(view))[0]);
  }

  /**
   * Submits commands. Their errors are caught in an error scope of their own, because one that a caller of the library has opened
   * would hide them, and a read would return what the buffers held before the failed pass.
   */
  submit(encoder: GPUCommandEncoder): void {
    this.check();
    this.submissions++;
    this.device.pushErrorScope('validation');
    this.device.queue.submit([encoder.finish()]);
    const scope: Promise<void> = this.device.popErrorScope().then(
      (error) => {
        if (error) this.#failure ??= error.message;
        this.#scopes.delete(scope);
      },
      () => {
        // The device is lost, which `check` reports.
        this.#scopes.delete(scope);
      },
    );
    this.#scopes.add(scope);
  }

  /** Waits until everything submitted is done. @throws DeviceLostError */
  async idle(): Promise<void> {
    await this.guard(this.device.queue.onSubmittedWorkDone());
  }

  /** Closes the device: waits for its work, destroys it, waits for its loss. This order never crashed at process exit. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    if (this.#lost === undefined) await this.device.queue.onSubmittedWorkDone();
    this.device.destroy();
    await this.device.lost;
    void this.#entry;
  }

  #lostError(): DeviceLostError {
    return new DeviceLostError(
      `the GPU device was lost (${(this.#lost ?? '').split('\n')[0]}); finished rows are saved, run again with --resume`,
    );
  }
}
