/** The engine of the page without a page. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Gpu } from '../../src/gpu/device.ts';
import { openNodeGpu } from '../../src/gpu/node.ts';
import { EngineSession } from '../../src/web/engine_session.ts';
import type { Job, Reply } from '../../src/web/protocol.ts';
import { decode } from './images.ts';

const NETWORKS = fileURLToPath(new URL('../../data/deep-tiny/', import.meta.url));
const FILES = ['victim.safetensors', 'inversion.safetensors'];

/** A file of the networks that come with the page, or of another folder. */
export const fileOf = (name: string, folder = NETWORKS) => Uint8Array.from(readFileSync(folder + name));

/** The networks that come with the page. */
export const shipped = async () => new Map(FILES.map((name) => [name, fileOf(name)]));

/** A session whose replies are kept; `posted` is called with each of them. */
export class Page {
  replies: Reply[] = [];
  posted: (reply: Reply) => void = () => {};
  gpu!: Gpu;
  #id = 0;
  readonly session = new EngineSession({
    openGpu: async () => {
      this.gpu = await openNodeGpu({ adapter: 'software' });
      return this.gpu;
    },
    shipped,
    version: '0.0.0',
    decodeImage: decode,
    post: (reply) => {
      this.replies.push(structuredClone(reply));
      this.posted(reply);
    },
  });

  /** Sends a request. @returns the replies to it */
  async ask(job: Job): Promise<Reply[]> {
    this.replies = [];
    await this.start(job);
    return this.replies;
  }

  start(job: Job): Promise<void> {
    return this.session.handle({ ...job, id: ++this.#id });
  }

  of<K extends Reply['kind']>(kind: K): Extract<Reply, { kind: K }>[] {
    return this.replies.filter((reply) => reply.kind === kind) as Extract<Reply, { kind: K }>[];
  }
}
