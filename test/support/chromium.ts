import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** The Chromium of this machine: $MIDAS_CHROMIUM, or where distributions install it; undefined if there is none. */
export function findChromium(): string | undefined {
  return process.env.MIDAS_CHROMIUM || PLACES.find((place) => existsSync(place));
}

/**
 * Starts {@link findChromium} without a window and with WebGPU, which on a machine without a GPU runs on SwiftShader. The
 * caller closes it.
 * @throws Error if there is no Chromium, or it does not start within half a minute
 */
export async function launchChromium(): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined)
    throw new Error('Chromium was not found: install it, or set MIDAS_CHROMIUM to its path');
  const args = ['--headless=new', '--no-sandbox', '--enable-unsafe-webgpu'];
  return chromium.launch({ executablePath, args, timeout: 30_000 });
}
