/** The page's side of the worker: sends requests, and passes replies to listeners for their kind. */
import type { Reply, Request } from './protocol.ts';

type Of<K extends Reply['kind']> = Extract<Reply, { kind: K }>;

export class Engine {
  readonly #listeners = new Map<Reply['kind'], ((reply: never) => void)[]>();
  readonly #worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });

  constructor(onCrash: (message: string) => void) {
    this.#worker.addEventListener('message', ({ data }: MessageEvent<Reply>) => {
      for (const listener of this.#listeners.get(data.kind) ?? []) (listener as (reply: Reply) => void)(data);
    });
    this.#worker.addEventListener('error', ({ message }) => onCrash(message || 'the engine could not be loaded'));
  }

  on<K extends Reply['kind']>(kind: K, listener: (reply: Of<K>) => void): void {
    this.#listeners.set(kind, [...(this.#listeners.get(kind) ?? []), listener]);
  }

  send(request: Request): void {
    this.#worker.postMessage(request);
  }
}
