/** Models on disk: safetensors with PyTorch's names and shapes, the model's description, and the state of training. */
import * as v from 'valibot';
import { readSafetensors, requireFinite, type Tensor, writeSafetensors } from '../data/safetensors.ts';
import { DataError } from '../errors.ts';
import { MODEL_KINDS, type ModelSpec, modelSpec } from './specs.ts';
import { modelLayout, type TrainingState } from './trainer.ts';

const FORMAT = 'midas-checkpoint/1';
const OPTIMIZER = 'training.optimizer.';

const Size = v.pipe(v.number(), v.integer(), v.minValue(1));
const ModelDescription = v.object({
  kind: v.picklist(MODEL_KINDS),
  inputs: Size,
  classes: Size,
  hidden: v.array(Size),
});

export interface Checkpoint {
  readonly spec: ModelSpec;
  readonly state: TrainingState;
  /** Free text of whoever saved it: dataset hash, configuration. */
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Writes a checkpoint: every parameter under its name without padding, `<layer>.weight` [outputs, inputs] and
 * `<layer>.bias` [outputs]; optimiser buffers as flat u32 in the padded layout, so that training resumes to the same bits.
 */
export function writeCheckpoint({ spec, state, metadata }: Checkpoint): Uint8Array<ArrayBuffer> {
  const layout = modelLayout(spec);
  const tensors = new Map<string, Tensor>();
  for (const slice of layout.slices) {
    const data = new Float32Array(layout.unpack(slice, state.parameters).buffer);
    const shape = slice.name.endsWith('.bias') ? [slice.columns] : [slice.rows, slice.columns];
    tensors.set(slice.name, { dtype: 'F32', shape, data });
  }
  for (const [i, data] of state.optimizer.entries()) {
    tensors.set(`${OPTIMIZER}${i}`, { dtype: 'U32', shape: [data.length], data });
  }
  const { kind, inputs, classes, hidden } = spec;
  return writeSafetensors(tensors, {
    ...metadata,
    format: FORMAT,
    model: JSON.stringify({ kind, inputs, classes, hidden }),
    epoch: String(state.epoch),
  });
}

/**
 * Reads a checkpoint.
 * @param expected the model it must hold, where that is known
 * @throws DataError naming the file and the key: another format, a missing tensor, another shape, NaN
 */
export function readCheckpoint(bytes: Uint8Array, name: string, expected?: ModelSpec): Checkpoint {
  const { tensors, metadata } = readSafetensors(bytes, name);
  const { format, model, epoch, ...rest } = metadata;
  if (format !== FORMAT || model === undefined) {
    throw new DataError(`${name}: key format: this is no ${FORMAT} file; train a model with midas train`);
  }
  const described = v.safeParse(v.pipe(v.string(), v.parseJson(), ModelDescription), model);
  if (!described.success) throw new DataError(`${name}: key model: ${described.issues[0].message}`);
  const { kind, inputs, classes, hidden } = described.output;
  const spec = modelSpec(kind, inputs, classes, hidden);
  if (expected && JSON.stringify(spec) !== JSON.stringify(expected)) {
    const text = (s: ModelSpec) => `${s.kind} ${[s.inputs, ...s.hidden, s.classes].join('-')}`;
    throw new DataError(`${name}: it holds a ${text(spec)}, this run needs a ${text(expected)}; give another file`);
  }
  const layout = modelLayout(spec);
  const parameters = new Uint32Array(layout.length);
  for (const slice of layout.slices) {
    const tensor = tensors.get(slice.name);
    if (!tensor) throw new DataError(`${name}: key ${slice.name} is missing`);
    const shape = slice.name.endsWith('.bias') ? [slice.columns] : [slice.rows, slice.columns];
    if (tensor.dtype !== 'F32' || tensor.shape.join() !== shape.join()) {
      throw new DataError(
        `${name}: key ${slice.name} is ${tensor.dtype} [${tensor.shape}], the model needs F32 [${shape}]`,
      );
    }
    requireFinite(tensor, name, slice.name);
    layout.pack(slice, new Uint32Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.length), parameters);
  }
  if (!/^\d+$/.test(epoch ?? '')) throw new DataError(`${name}: key epoch: ${epoch} is no number of epochs`);
  const optimizer: Uint32Array<ArrayBuffer>[] = [];
  for (let tensor = tensors.get(`${OPTIMIZER}0`); tensor; tensor = tensors.get(`${OPTIMIZER}${optimizer.length}`)) {
    if (tensor.dtype !== 'U32') {
      throw new DataError(`${name}: key ${OPTIMIZER}${optimizer.length} is ${tensor.dtype}, optimiser state is U32`);
    }
    optimizer.push(new Uint32Array(tensor.data.buffer as ArrayBuffer, tensor.data.byteOffset, tensor.data.length));
  }
  return { spec, state: { epoch: Number(epoch), parameters, optimizer }, metadata: rest };
}
