/** Measures the network that a visitor brought: attacks it, and sweeps memories over it. */
import { attackOfKind } from '../../attacks/registry.ts';
import { createDataset } from '../../data/dataset.ts';
import { DataError } from '../../errors.ts';
import type { Gpu } from '../../gpu/device.ts';
import { imageValues } from '../../image_size.ts';
import type { Believed, NetworkChoice } from '../protocol.ts';
import { type Setting, sweepKey } from '../setting.ts';
import { runAttack } from './attack_job.ts';
import { answersTo } from './bring_job.ts';
import type { BroughtNetwork } from './brought_network.ts';
import type { BroughtVictim } from './brought_victim.ts';
import { type JobContext, testbedOf } from './job.ts';
import { type Planned, planSweep, postResults, storeOf } from './measure_job.ts';
import { photographsOf } from './pictures.ts';
import { sweepOfLayers } from './sweeps.ts';

/** Attacks the network. With images, its rows also count in the results of the sweep that contains the setting. */
export async function attackBrought(
  context: JobContext,
  victim: BroughtVictim,
  setting: Setting,
  choice: NetworkChoice,
): Promise<void> {
  const planned = await planBrought(context, victim, setting, choice, 'one');
  const { ready, store } = planned;
  const { network, images } = victim;
  const { dataset } = ready.data;
  const persons = ready.config.people!;
  const photographs = victim.shown(ready.config);
  const { onPhotographs } = attackOfKind(choice.attack);
  const rows = await runAttack(quiet(context), {
    ...{ of: 'network', setting, ready, persons, ...choice },
    names: onPhotographs
      ? photographs.map((image) => dataset.ids[image])
      : persons.map((person) => dataset.classNames[person]),
    ...(images && { truth: photographsOf(ready, photographs) }),
    believe: (found, wanted) => believedBy(context.gpu, network, found, wanted),
  });
  if (!images) return;
  // A draw beyond `setting.draws` is shown but not counted, as everywhere on the page.
  for (const row of rows) if (row.draw < setting.draws) store.add(row);
  postResults(context, setting, planned);
}

/**
 * Plans a sweep of the network.
 * @throws DataError for no layers, and for a curve without images
 */
export async function planBrought(
  context: JobContext,
  victim: BroughtVictim,
  setting: Setting,
  { attack, layers }: NetworkChoice,
  what: 'one' | 'curve',
): Promise<Planned> {
  if (layers.length === 0) throw new DataError('no layer is in this memory; choose at least one');
  if (what === 'curve' && !victim.images) throw new DataError('a curve needs images of the classes; drop some');
  const experiment = victim.attacked(attack);
  const ready = await testbedOf(quiet(context), experiment, setting);
  const swept = {
    of: 'network' as const,
    ready,
    store: storeOf(context, `${experiment.key} ${layers.join('+')} ${sweepKey(setting)}`),
    command: `${context.url} with ${victim.network.name}`,
    split: attackOfKind(attack).onPhotographs
      ? 'the attacker learns from all images but the first of every class; all count in the accuracy'
      : 'all images count in the accuracy',
  };
  return planSweep(context, swept, sweepOfLayers(setting, layers, what), sweepOfLayers(setting, layers, 'one'));
}

/** Testbeds warn of networks near chance, also on noise; the page shows the accuracy. */
function quiet(context: JobContext): JobContext {
  return { ...context, progress: { ...context.progress, warn() {} } };
}

async function believedBy(
  gpu: Gpu,
  network: BroughtNetwork,
  found: readonly Float32Array[],
  wanted: readonly number[],
): Promise<Believed> {
  const { input, spec } = network;
  const values = imageValues(input);
  const images = new Uint8Array(found.length * values);
  for (const [i, image] of found.entries())
    images.set(
      image.map((x) => Math.round(255 * x)),
      i * values,
    );
  const dataset = await createDataset({
    ...{ name: 'reconstructions', ...input, images },
    classNames: Array.from({ length: spec.outputs }, (_, i) => String(i)),
    labels: Uint32Array.from(wanted),
    ids: wanted.map(String),
  });
  const { classes, all } = await answersTo(gpu, network, dataset);
  const confidences = wanted.map((label, i) => all[i * spec.outputs + label]);
  return {
    recognised: wanted.filter((label, i) => classes[i] === label).length,
    of: wanted.length,
    confidence: confidences.reduce((sum, each) => sum + each, 0) / wanted.length,
  };
}
