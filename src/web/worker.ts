/// <reference types="vite/client" />
/** Runs an {@link EngineSession} in a worker; requests and replies are messages, so that the page stays responsive. */
import inversion from '../../data/deep-tiny/inversion.safetensors?url';
import victim from '../../data/deep-tiny/victim.safetensors?url';
import { version } from '../../package.json';
import { DataError } from '../errors.ts';
import { openWebGpu } from '../gpu/web.ts';
import { decodeChosen } from './decode_image.ts';
import { EngineSession } from './engine_session.ts';
import type { Request } from './protocol.ts';

async function fetched(name: string, url: string): Promise<[string, Uint8Array<ArrayBuffer>]> {
  const response = await fetch(url).catch(() => undefined);
  if (!response?.ok) throw new DataError(`${name}: the server has no ${url}; load the page again`);
  return [name, new Uint8Array(await response.arrayBuffer())];
}

const session = new EngineSession({
  openGpu: openWebGpu,
  shipped: async () =>
    new Map(await Promise.all([fetched('victim.safetensors', victim), fetched('inversion.safetensors', inversion)])),
  version,
  decodeImage: decodeChosen,
  post: (reply) => self.postMessage(reply),
});

self.addEventListener('message', ({ data }: MessageEvent<Request>) => void session.handle(data));
