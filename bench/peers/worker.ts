/**
 * One engine in its own process: builds, runs and times the cases that its parent requests, one request after the other.
 * Arguments: engine, adapter, clock. Started by {@link startEngine} (bench/peers/process.ts).
 */
import { readFileSync } from 'node:fs';
import { globals } from 'webgpu';
import { repeatsFor, timeRuns } from '../../src/cli/doctor.ts';
import { AdapterError } from '../../src/errors.ts';
import { summarize } from '../../src/gpu/device.ts';
import type { Rest } from '../../src/gpu/guarded_device.ts';
import { findNodeEntry } from '../../src/gpu/node/software.ts';
import { rest } from '../../src/gpu/node.ts';
import { CLOCKS, type ClockName, SHORTEST } from '../timing.ts';
import { caseNamed } from './cases.ts';
import type { Engine, Runnable } from './engine.ts';
import { openJax } from './jax.ts';
import { openMidas } from './midas.ts';
import { openOnnxruntime } from './onnxruntime.ts';
import type { EngineName, Reply, Request } from './process.ts';
import { openTfjs } from './tfjs.ts';

function versionOf(manifest: string): string {
  return JSON.parse(readFileSync(new URL(manifest, import.meta.url), 'utf8')).version;
}

/** Opens an engine. @returns the engine, and a function that waits for its promises */
async function open(name: EngineName, wanted: string): Promise<{ engine: Engine; wait: Rest }> {
  if (name === 'midas') {
    const engine = await openMidas(wanted, versionOf('../../package.json'));
    return { engine, wait: (promise) => promise };
  }
  if (name === 'onnxruntime') return { engine: await openOnnxruntime(wanted), wait: (promise) => promise };
  // The peers find the adapter in `navigator.gpu`, as in a browser.
  const entry = await findNodeEntry(wanted);
  const adapter = await entry.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new AdapterError('no WebGPU adapter was found');
  Object.assign(globalThis, globals);
  const navigator = { gpu: entry, userAgent: `Node ${process.version}` };
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
  const { name: found, software } = summarize(adapter.info);
  const engine =
    name === 'tfjs' ? await openTfjs(found) : await openJax(found, versionOf('node_modules/@jax-js/jax/package.json'));
  // Our engine does this itself: no engine takes a core away from a software adapter by polling it all the time.
  return { engine, wait: software ? rest : (promise) => promise };
}

const [name, wanted, clockName] = process.argv.slice(2) as [EngineName, string, ClockName];
const clock = CLOCKS[clockName];
const { engine, wait } = await open(name, wanted);
let built: Runnable | undefined;
let repeats = 1;

const idle = () => wait(built!.idle());
const run = () => {
  const submitted = built!.run();
  return submitted instanceof Promise ? wait(submitted) : submitted;
};

async function answer(request: Request): Promise<unknown> {
  switch (request.kind) {
    case 'describe':
      return { version: engine.version, adapter: engine.adapter };
    case 'build':
      built?.free();
      built = undefined;
      built = await engine.build(caseNamed(request.name));
      return wait(built.results());
    case 'warm':
      // Building has compiled everything. If one run is long enough for a timing, more would only cost minutes.
      repeats = 1;
      if ((await timeRuns({ idle }, run, 1, clock)) < SHORTEST)
        repeats = await repeatsFor({ idle }, run, SHORTEST, clock);
      return repeats;
    case 'time':
      return timeRuns({ idle }, run, repeats, clock);
  }
}

let turn: Promise<void> = Promise.resolve();
process.on('message', (request: Request) => {
  turn = turn.then(async () => {
    let reply: Reply;
    try {
      reply = { value: await answer(request) };
    } catch (error) {
      reply = { error: (error as Error).message ?? String(error) };
    }
    process.send!(reply);
  });
});
process.on('disconnect', () => process.exit());
