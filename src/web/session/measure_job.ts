/** Measures a victim whose predictions are inverted: under the memory of a setting, or along the curve on which it lies. */
import { attackOfKind } from '../../attacks/registry.ts';
import { plannedConditions } from '../../experiments/conditions.ts';
import type { SweepConfig } from '../../experiments/config.ts';
import { splitName } from '../../experiments/faces.ts';
import { refuseAborted } from '../../experiments/store.ts';
import { Sweep } from '../../experiments/sweep.ts';
import {
  type AttackDescription,
  type Condition,
  conditionKey,
  decodePictures,
  pictureFile,
  RESULTS_SCHEMA,
  type Results,
} from '../../results/results.ts';
import { LiveStore } from '../live_store.ts';
import type { Subject } from '../protocol.ts';
import { type Setting, sweepKey, writeSetting } from '../setting.ts';
import { type JobContext, testbedOf } from './job.ts';
import { asStored, picturesOf, shownAttacks, victimReply } from './pictures.ts';
import { publishedVictim } from './published_victim.ts';
import { shownWeights } from './shown_weights.ts';
import { sweepOfSetting } from './sweeps.ts';
import type { Ready } from './victim.ts';

/** Shortest time between two updates of a curve, in ms. */
const SHOW_EVERY = 200;

/** A victim that a sweep measures. */
export interface SweptVictim {
  readonly of: Subject;
  readonly ready: Ready;
  readonly store: LiveStore;
  /** Stands in the manifest of its results in place of a command line. */
  readonly command: string;
  /** Describes in words how its images were split. */
  readonly split: string;
}

/** A sweep of a setting, with the objects that it needs. */
export interface Planned extends SweptVictim {
  readonly config: SweepConfig;
  readonly conditions: readonly Condition[];
  /** The undefended model, as it releases its confidences under the setting. */
  readonly undefended: Condition;
  /** The one condition that the setting shows. */
  readonly condition: Condition;
  readonly sweep: Sweep;
}

/** The victim of a setting whose predictions are inverted, ready to be measured; the page is told if the victim changes. */
export async function shownVictim(context: JobContext, setting: Setting): Promise<Ready> {
  const victim = publishedVictim(setting.victim, context.networks, context.faces);
  const ready = await testbedOf(context, victim.inverted, setting);
  context.show(`${victim.kind} ${setting.release}`, () => victimReply(victim.kind, ready));
  return ready;
}

/** Plans the sweep of a setting over its own victim. */
export async function planSetting(context: JobContext, setting: Setting, what: 'one' | 'curve'): Promise<Planned> {
  const ready = await shownVictim(context, setting);
  const { data } = ready.config;
  const victim: SweptVictim = {
    of: 'model',
    ready,
    store: storeOf(context, `${context.networks.hash} ${sweepKey(setting)}`),
    command: `${context.url}?${writeSetting(setting)}`,
    split: splitName(data.kind === 'procedural' ? data.trained : 1),
  };
  return planSweep(context, victim, sweepOfSetting(setting, what), sweepOfSetting(setting, 'one'));
}

/** @param one the sweep of the one condition that the setting shows */
export function planSweep(context: JobContext, victim: SweptVictim, config: SweepConfig, one: SweepConfig): Planned {
  const { progress, signal } = context;
  const { testbed } = victim.ready;
  // Only the release of the setting is measured, not also exact confidences.
  const conditionsOf = (each: SweepConfig) =>
    plannedConditions(each, testbed.spec).filter(
      ({ release }) => (release === undefined) === (each.releases.length === 0),
    );
  const conditions = conditionsOf(config);
  return {
    ...victim,
    config,
    conditions,
    undefended: conditions[0],
    condition: conditionsOf(one).at(-1)!,
    sweep: new Sweep(testbed, config, { store: victim.store, progress, signal }),
  };
}

export function storeOf({ stores }: JobContext, key: string): LiveStore {
  const store = stores.get(key) ?? new LiveStore();
  stores.set(key, store);
  return store;
}

/** Reconstructs the faces under the memory of a setting, and then measures more draws of that memory. */
export async function measureSetting(context: JobContext, setting: Setting): Promise<void> {
  const { post, progress, signal, gate } = context;
  const planned = await planSetting(context, setting, 'one');
  const { condition, store, sweep } = planned;
  progress.start('samples of the faults', setting.draws + 1);
  await measureUndefended(context, planned, setting);
  const results = await sweep.measure(condition, setting.draw);
  refuseAborted(signal);
  // A draw beyond `setting.draws` is shown but not counted, so that an address always has the same means.
  for (const { row } of results) if (row.draw < setting.draws) store.add(row);
  post({ kind: 'measured', setting, what: 'memory', attacks: shownAttacks(planned.ready, results) });
  post(await shownWeights(planned.ready.testbed, setting));
  postResults(context, setting, planned);
  progress.advance(1, `draw ${setting.draw}`);
  for (let draw = 0; draw < setting.draws; draw++) {
    await gate.pass(signal);
    if (!store.has(condition, draw)) {
      for (const { row } of await sweep.measure(condition, draw)) store.add(row);
      postResults(context, setting, planned);
    }
    progress.advance(1, `draw ${draw}`);
  }
}

/** Measures a planned curve. */
export async function measureCurve(context: JobContext, setting: Setting, planned: Planned): Promise<void> {
  await measureUndefended(context, planned, setting);
  const { store, ready } = planned;
  let shown = 0;
  store.onRow = async ({ condition, draw, attack }) => {
    const file = pictureFile(condition, attack);
    const stored = draw === 0 ? store.files.get(file) : undefined;
    if (stored) {
      const { images } = decodePictures(stored, file);
      context.post({ kind: 'pictures', of: planned.of, file, pictures: picturesOf(images, ready.testbed) });
    }
    // The attacks of a draw are reported one after the other; one update of the curve for all of them is enough.
    const now = performance.now();
    if (store.rows.length % ready.testbed.outputs.length === 0 && now > shown + SHOW_EVERY) {
      postResults(context, setting, planned);
      shown = performance.now();
    }
    await context.gate.pass(context.signal);
  };
  try {
    await planned.sweep.run(planned.conditions);
  } finally {
    store.onRow = () => {};
  }
  postResults(context, setting, planned);
}

/** Measures the undefended model once, and adds its rows to every sweep. */
async function measureUndefended(
  { post }: JobContext,
  { of, sweep, undefended, store, ready }: Planned,
  setting: Setting,
): Promise<void> {
  const key = conditionKey(undefended);
  const results = ready.undefended.get(key) ?? (await sweep.measure(undefended, 0));
  ready.undefended.set(key, results);
  const [output] = ready.testbed.outputs;
  if (!ready.baselines) {
    const { onPhotographs } = attackOfKind(ready.config.attacks[0].kind);
    const persons = ready.testbed.shown(output, onPhotographs).map(({ person }) => person);
    const found = results.find(({ row }) => row.attack === output.name)!;
    ready.baselines = ready.testbed.baselines(found.images.map(asStored), persons);
  }
  for (const { row } of results) store.add(row);
  if (of === 'model') post({ kind: 'measured', setting, what: 'none', attacks: shownAttacks(ready, results) });
}

export function postResults(
  { gpu, started, version, post }: JobContext,
  setting: Setting,
  { of, ready, store, command, split, config, undefended, condition }: Planned,
): void {
  const { dataset, publicFaces } = ready.data;
  const results: Results = {
    schema: RESULTS_SCHEMA,
    manifest: {
      version,
      command,
      config: { ...ready.config, ...config },
      seed: setting.seed,
      adapter: gpu.adapter.name,
      dataset: {
        name: dataset.name,
        sha256: dataset.sha256,
        split,
        classes: dataset.classNames.length,
        ...(publicFaces && { publicFaces: { name: publicFaces.name, sha256: publicFaces.sha256 } }),
      },
      started: started.toISOString(),
      seconds: Math.round((Date.now() - started.getTime()) / 100) / 10,
      attacks: descriptionsOf(ready),
    },
    rows: [...store.rows],
    summary: store.summary(),
    baselines: ready.baselines!,
  };
  const keys = [undefended, condition].map(conditionKey);
  const chosen = results.summary.filter((entry) => keys.includes(conditionKey(entry.condition)));
  const energy = results.rows.find((row) => conditionKey(row.condition) === keys[1])?.energy;
  post({ kind: 'results', of, setting, results, chosen, energy });
}

/** The attacks as results describe them. */
function descriptionsOf({ config }: Ready): AttackDescription[] {
  return config.attacks.flatMap((attack) => {
    const { kind, title: family, outputs } = attackOfKind(attack.kind);
    return outputs(attack).map(({ name, title, split }) => ({ name, kind, family, split, title }));
  });
}
