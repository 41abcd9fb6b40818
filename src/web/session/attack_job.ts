/** Runs an attack that reconstructs people, or classes, without a defence and under the memory of a setting. */
import { attackOfKind } from '../../attacks/registry.ts';
import { plannedConditions } from '../../experiments/conditions.ts';
import { InMemoryRunStore } from '../../experiments/store.ts';
import { Sweep } from '../../experiments/sweep.ts';
import { productLayers } from '../../layers/kinds.ts';
import { levelled } from '../../results/figures/sheet.ts';
import type { Row } from '../../results/results.ts';
import type { Believed, Pictures, Reply } from '../protocol.ts';
import type { Setting } from '../setting.ts';
import { type JobContext, testbedOf } from './job.ts';
import { asStored, photographsOf, picturesOf } from './pictures.ts';
import { publishedVictim } from './published_victim.ts';
import { sweepOfLayers } from './sweeps.ts';
import type { Ready } from './victim.ts';

type AttackReply = Extract<Reply, { kind: 'inversion' }>;

/** An attack on a victim that is ready, and what the page shows of it. */
export interface PageAttack {
  readonly of: AttackReply['of'];
  readonly setting: Setting;
  /** Kind of the attack, from the registry. */
  readonly attack: string;
  readonly ready: Ready;
  /** Layers in approximate memory. */
  readonly layers: readonly string[];
  /** The person, or class, that each picture should show. */
  readonly persons: readonly number[];
  readonly names: readonly string[];
  /** The true images; absent if there are none, and nothing can be compared with them. */
  readonly truth?: Pictures;
  /** The answers of the victim without errors to reconstructions; absent if the page does not show them. */
  believe?(images: readonly Float32Array[], persons: readonly number[]): Promise<Believed>;
}

/** Attacks the model of a setting, without a defence and with all of its layers in the memory of the setting. */
export async function attackModel(context: JobContext, setting: Setting): Promise<void> {
  context.progress.start('drawing faces', 1);
  const { model, attack } = setting;
  const ready = await testbedOf(
    context,
    publishedVictim(model, context.networks, context.faces).attacked(attack),
    setting,
  );
  const { dataset, split } = ready.data;
  const persons = ready.config.people!;
  const photographs = persons.map((person) => split.train.find((image) => dataset.labels[image] === person)!);
  await runAttack(context, {
    ...{ of: 'model', setting, attack, ready, persons },
    layers: productLayers(ready.testbed.spec.layers),
    names: persons.map((person) => dataset.classNames[person]),
    truth: photographsOf(ready, photographs),
  });
}

/**
 * Posts the pictures of an attack as they develop, and its scores at the end.
 * @returns its rows, the one without a defence first
 */
export async function runAttack(context: JobContext, page: PageAttack): Promise<Row[]> {
  const { post, progress, signal, gate } = context;
  const { of, setting, ready, persons, names, truth } = page;
  const { testbed, data } = ready;
  const config = sweepOfLayers(setting, page.layers, 'one');
  const conditions = plannedConditions(config, testbed.spec);
  const sweep = new Sweep(testbed, config, { store: new InMemoryRunStore(), progress, signal });
  const { title, onPhotographs } = attackOfKind(page.attack);
  const iterations = testbed.outputs[0].units;
  const reply = (what: AttackReply['what'], iteration: number, pictures: Pictures): AttackReply => ({
    ...{ kind: 'inversion', of, setting, what, iteration, iterations, names, pictures },
  });
  if (truth) post(reply('truth', 0, truth));
  // Attacks from black leave faces too dark to see; brightness and contrast do not change the PCC.
  const level = (image: Float32Array) => (onPhotographs ? image : levelled(image, data.meanFace));
  const shown = (images: readonly Float32Array[]) => picturesOf(images.map(level), testbed);
  const rows: Row[] = [];
  for (const what of ['none', 'memory'] as const) {
    progress.start(`${title}, ${what === 'none' ? 'no defence' : 'approximate memory'}`, iterations);
    let last = 0;
    const condition = what === 'none' ? conditions[0] : conditions[conditions.length - 1];
    const [result] = await sweep.measure(condition, what === 'none' ? 0 : setting.draw, async (iteration, images) => {
      await gate.pass(signal);
      post(reply(what, iteration, shown(await images())));
      progress.advance(iteration - last, `iteration ${iteration}`);
      last = iteration;
    });
    if (truth) ready.baselines ??= testbed.baselines(result.images.map(asStored), persons);
    const { baselines } = ready;
    rows.push(result.row);
    const believed = await page.believe?.(result.images, persons);
    post({
      ...reply(what, iterations, shown(result.images)),
      row: result.row,
      ...(baselines && { baselines }),
      ...(believed && { believed }),
    });
  }
  return rows;
}
