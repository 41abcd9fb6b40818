/** Opens the device of a command as its options say. */
import type { Gpu } from '../gpu/device.ts';
import { type NodeGpuOptions, openNodeGpu } from '../gpu/node.ts';
import { Trace } from '../gpu/trace.ts';
import type { Session } from './session.ts';

/**
 * Opens a device, and warns if it is a software adapter.
 * @throws AdapterError that says what to install, ConfigError for a toggle that is none
 */
export async function openCommandGpu(session: Session): Promise<Gpu> {
  const { adapter, profile, trace, tune, dumpShaders, dawn } = session.options;
  const options: NodeGpuOptions = {
    ...{ adapter, tune },
    profile: profile || trace !== undefined,
    ...(trace !== undefined && { trace: new Trace() }),
    shaderFolder: dumpShaders,
    toggles: dawn?.split(','),
  };
  const gpu = await openNodeGpu(options);
  session.opened(gpu);
  return gpu;
}
