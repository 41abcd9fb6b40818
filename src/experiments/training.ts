/** Training as part of an experiment: it stores checkpoints in the run's store and resumes from them. */
import { DataError } from '../errors.ts';
import type { Arena } from '../gpu/arena.ts';
import { readCheckpoint, writeCheckpoint } from '../models/checkpoint.ts';
import type { ModelSpec } from '../models/model_spec.ts';
import { Trainer, type TrainingConfig, type TrainingData } from '../models/trainer.ts';
import { type ProgressSink, type RunStore, refuseAborted } from './store.ts';

/** Epochs between two checkpoints. */
const CHECKPOINT_EVERY = 10;

/**
 * Trains a model, or continues from its checkpoint in the store. The same configuration on the same adapter gives the same
 * bits.
 * @param args.file of the checkpoint
 * @param args.dataset hash of everything that the training reads except the configuration
 * @throws InterruptedError, DeviceLostError, DataError when the checkpoint is of another model or other data
 */
export async function trainModel(args: {
  arena: Arena;
  spec: ModelSpec;
  data: TrainingData;
  indices: Uint32Array;
  config: TrainingConfig;
  dataset: string;
  file: string;
  label: string;
  store: RunStore;
  progress: ProgressSink;
  signal: AbortSignal;
}): Promise<Trainer> {
  const { arena, spec, data, indices, config, dataset, file, label, store, progress, signal } = args;
  const saved = await store.read(file);
  const checkpoint = saved && readCheckpoint(saved, store.describe(file), spec);
  if (checkpoint && checkpoint.metadata.dataset !== dataset) {
    throw new DataError(`${store.describe(file)}: it was trained on other images; use another --out or delete it`);
  }
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
