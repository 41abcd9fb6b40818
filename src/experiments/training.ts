/** Training as part of an experiment: it stores checkpoints in the run's store and resumes from them. */
import * as v from 'valibot';
import { sha256 } from '../data/sha256.ts';
import { DataError } from '../errors.ts';
import { parseJson } from '../formats/json.ts';
import type { Arena } from '../gpu/arena.ts';
import { readCheckpoint, writeCheckpoint } from '../models/checkpoint.ts';
import type { ModelSpec } from '../models/model_spec.ts';
import { Trainer, type TrainingData } from '../models/trainer.ts';
import type { TrainingConfig } from '../models/training_config.ts';
import { canonical } from '../results/condition.ts';
import { type ProgressSink, type RunStore, refuseAborted } from './store.ts';

/** File of a run with the hash of what each of its networks was trained on. */
export const TRAININGS_FILE = 'trainings.json';

/** Epochs between two checkpoints. */
const CHECKPOINT_EVERY = 10;

/**
 * Trains a model, or continues from its checkpoint in the store. The same configuration on the same adapter gives the same
 * bits.
 * @param args.file of the checkpoint
 * @param args.dataset hashes of the images
 * @param args.reads anything else that the training depends on
 * @throws InterruptedError, DeviceLostError, DataError when the checkpoint is of another model or another training
 */
export async function trainModel(args: {
  arena: Arena;
  spec: ModelSpec;
  data: TrainingData;
  indices: Uint32Array;
  config: TrainingConfig;
  dataset: string;
  reads?: Uint8Array;
  file: string;
  label: string;
  store: RunStore;
  progress: ProgressSink;
  signal: AbortSignal;
}): Promise<Trainer> {
  const { arena, spec, data, indices, config, dataset, reads, file, label, store, progress, signal } = args;
  const saved = await store.read(file);
  const checkpoint = saved && readCheckpoint(saved, store.describe(file), spec);
  const read = reads && (await sha256(reads));
  const training = await sha256(JSON.stringify(canonical({ dataset, indices: [...indices], config, read })));
  await recordTraining(store, file, training, checkpoint !== undefined);
  const trainer = await Trainer.create(arena, spec, data, indices, config, checkpoint?.state);
  if (trainer.epoch === trainer.epochs) return trainer;
  arena.gpu.profiler?.enter('train');
  progress.start(label, trainer.epochs, trainer.epoch);
  while (trainer.epoch < trainer.epochs) {
    refuseAborted(signal);
    const { epoch, phase, loss, accuracy } = await trainer.trainEpoch();
    const share = phase === 'classify' ? `, accuracy ${accuracy.toFixed(3)}` : '';
    progress.advance(1, `epoch ${epoch}, loss ${loss.toFixed(4)}${share}`);
    if (epoch % CHECKPOINT_EVERY === 0 || epoch === trainer.epochs || signal.aborted) {
      const state = await trainer.state();
      await store.write(file, writeCheckpoint({ spec, state, metadata: { dataset } }));
    }
  }
  progress.done();
  return trainer;
}

/**
 * Records what a network in the store was trained on, before its first checkpoint.
 * @param training hash of everything that the training depends on
 * @throws DataError if the network is there, but was trained on something else
 */
async function recordTraining(store: RunStore, file: string, training: string, isThere: boolean): Promise<void> {
  const name = store.describe(TRAININGS_FILE);
  const saved = await store.read(TRAININGS_FILE);
  const advice = 'give another --out';
  const json = saved ? parseJson(saved, name, { advice }) : {};
  const known = v.safeParse(v.record(v.string(), v.string()), json);
  if (!known.success) throw new DataError(`${name}: ${known.issues[0].message}; ${advice}`);
  if (known.output[file] === training) return;
  if (isThere) {
    const path = store.describe(file);
    throw new DataError(`${path}: it was trained on other images, or in another way; give another --out, or delete it`);
  }
  await store.write(TRAININGS_FILE, `${JSON.stringify({ ...known.output, [file]: training }, null, 1)}\n`);
}
