/** What the jobs of the page's engine share. */
import type { ProgressSink } from '../../experiments/store.ts';
import type { Gpu } from '../../gpu/device.ts';
import type { Gate, LiveStore } from '../live_store.ts';
import type { Reply } from '../protocol.ts';
import { releasesOf, type Setting } from '../setting.ts';
import type { DrawnFaces } from './published_victim.ts';
import type { ShippedNetworks } from './shipped_networks.ts';
import type { Ready, Testbeds, VictimExperiment } from './victim.ts';

/** The state that is lost together with a device. */
export interface Opened {
  readonly gpu: Gpu;
  readonly networks: ShippedNetworks;
  readonly testbeds: Testbeds;
  readonly started: Date;
}

/** A running job: the device, the rows so far, and its connections to the page. */
export interface JobContext extends Opened {
  readonly version: string;
  /** Address of the page, without a setting. */
  readonly url: string;
  /** Rows by the hash of the networks and the `sweepKey` of the setting. */
  readonly stores: Map<string, LiveStore>;
  readonly faces: DrawnFaces;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
  /** Closed while the job is paused. */
  readonly gate: Gate;
  post(reply: Reply): void;
  /** Posts a victim unless the page shows the one of this key already. */
  show(key: string, reply: () => Reply): void;
}

/** The testbed of an experiment under the release of a setting. */
export function testbedOf(
  { testbeds, progress, signal }: JobContext,
  experiment: VictimExperiment,
  setting: Setting,
): Promise<Ready> {
  return testbeds.get(experiment, setting.release, releasesOf(setting), { progress, signal });
}
