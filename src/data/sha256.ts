import { MidasError } from '../errors.ts';

/**
 * SHA-256 in hex.
 * @param data bytes, or a text that is hashed as UTF-8
 * @throws MidasError where the page has no `crypto.subtle`
 */
export async function sha256(data: Uint8Array | string): Promise<string> {
  const subtle = globalThis.crypto?.subtle;
  if (!subtle) throw new MidasError('sha256: no crypto.subtle here; serve the page over https or from localhost');
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : (data as Uint8Array<ArrayBuffer>);
  const digest = new Uint8Array(await subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
