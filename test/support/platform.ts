/** The functions of the platform that tests need, for Node; platform.browser.ts replaces this file in a browser. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Gpu } from '../../src/gpu/device.ts';
import { openNodeGpu } from '../../src/gpu/node.ts';

export { fileShaderSource as shaderSource } from '../../src/gpu/node.ts';

/** Opens a device on the adapter called $MIDAS_TEST_ADAPTER (`auto` for a real one), or on a software adapter. */
export const openTestGpu = (): Promise<Gpu> => openNodeGpu({ adapter: process.env.MIDAS_TEST_ADAPTER ?? 'software' });

const FOLDER = process.env.MIDAS_FIXTURES ?? fileURLToPath(new URL('../fixtures/', import.meta.url));

/** Reads a file of $MIDAS_FIXTURES, or of test/fixtures. */
export const readFixture = (name: string): Uint8Array => readFileSync(join(FOLDER, name));
