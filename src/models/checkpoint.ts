/** Models on disk: safetensors with PyTorch's names and shapes, the model's description, and the state of training. */
import * as v from 'valibot';
import { DataError } from '../errors.ts';
import { toFloat32 } from '../formats/float.ts';
import { readSafetensors, requireFinite, type Tensor, writeSafetensors } from '../formats/safetensors.ts';
import type { Arena } from '../gpu/arena.ts';
import { FlatParameters, type ParameterSlice } from '../layers/parameters.ts';
import { bitsOfFloat, encodeFloat } from '../memory/floating_point.ts';
import { modelLayout } from './model_parameters.ts';
import { type ImportedNetwork, MODEL_KINDS, type ModelSpec, type TrainedNetwork } from './model_spec.ts';
import { NetworkDescription } from './network_description.ts';
import { describedModel, modelName } from './specs.ts';
import type { TrainingState } from './trainer.ts';

/** The format of a checkpoint, in its metadata. */
export const CHECKPOINT_FORMAT = 'midas-checkpoint/1';
const OPTIMIZER = 'training.optimizer.';

const Size = v.pipe(v.number(), v.integer(), v.minValue(1));
const ModelDescription = v.union([
  v.object({ kind: v.picklist(MODEL_KINDS), inputs: Size, classes: Size, hidden: v.array(Size) }),
  v.object({ kind: v.literal('dense-inversion'), classes: Size, hidden: v.array(Size), pixels: Size }),
  v.object({ kind: v.literal('face-network'), classes: Size }),
  v.object({
    kind: v.literal('autoencoder'),
    width: Size,
    height: Size,
    channels: v.optional(v.literal(3)),
    filters: Size,
    code: Size,
  }),
  NetworkDescription,
  v.object({ kind: v.literal('yang-classifier'), size: Size, ndf: Size, classes: Size }),
  v.object({
    kind: v.literal('yang-inversion'),
    size: Size,
    channels: v.optional(v.literal(3)),
    ngf: Size,
    classes: Size,
  }),
]);

export interface Checkpoint {
  readonly spec: ModelSpec;
  readonly state: TrainingState;
  /** Free text of the program that saved it: dataset hash, configuration. */
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Writes a checkpoint: every parameter under its key, in PyTorch's shape and order; optimiser buffers as flat u32 in the
 * padded layout, so that training resumes to the same bits. Without these buffers PyTorch's load_state_dict accepts the
 * tensors unchanged.
 */
export function writeCheckpoint({ spec, state, metadata }: Checkpoint): Uint8Array<ArrayBuffer> {
  const layout = modelLayout(spec);
  const tensors = new Map<string, Tensor>();
  for (const slice of layout.slices) {
    const data = new Float32Array(layout.unpack(slice, state.parameters).buffer);
    tensors.set(keyOf(spec, slice), { dtype: 'F32', shape: [...slice.shape], data });
  }
  for (const [i, data] of state.optimizer.entries()) {
    tensors.set(`${OPTIMIZER}${i}`, { dtype: 'U32', shape: [data.length], data });
  }
  return writeSafetensors(tensors, { ...metadata, ...described(spec, state.epoch) });
}

/** The metadata that tell what a checkpoint is. */
function described({ description }: ModelSpec, epoch: number): Record<string, string> {
  return { format: CHECKPOINT_FORMAT, model: JSON.stringify(description), epoch: String(epoch) };
}

/**
 * The network of a file of another program.
 * @param tensors float32 parameters by their keys in checkpoints
 * @param file name, for messages
 * @param dataset hash of the images that it was trained on, if its file says so
 * @throws DataError naming file and key, for a missing tensor, another shape or NaN
 */
export function importedNetwork(
  spec: ModelSpec,
  tensors: ReadonlyMap<string, Tensor>,
  file: string,
  notes: readonly string[],
  dataset?: string,
): ImportedNetwork {
  const ordered = new Map<string, Tensor>();
  for (const slice of modelLayout(spec).slices) {
    const key = keyOf(spec, slice);
    ordered.set(key, requireTensor(tensors, key, slice.shape, file));
  }
  const pack = () => packTensors(spec, ordered, file);
  return {
    spec,
    tensors: ordered,
    notes,
    dataset,
    get parameters() {
      return pack();
    },
  };
}

/**
 * The tensors and metadata of an imported network's checkpoint, for writeSafetensors or safetensorsParts. The file is the one that
 * {@link writeCheckpoint} gives for its parameters before any training.
 */
export function importedCheckpoint(
  { spec, tensors, dataset }: Pick<ImportedNetwork, 'spec' | 'tensors' | 'dataset'>,
  metadata: Readonly<Record<string, string>>,
): [tensors: ReadonlyMap<string, Tensor>, metadata: Record<string, string>] {
  return [tensors, { ...metadata, ...(dataset !== undefined && { dataset }), ...described(spec, 0) }];
}

/** Largest half float. */
const LARGEST_HALF = 65504;

/**
 * Float32 tensors rounded to the nearest half float, ties to even.
 * @param file name, for messages
 * @throws DataError naming file and key, for a number that is larger than any half float
 */
export function halfPrecision(tensors: ReadonlyMap<string, Tensor>, file: string): Map<string, Tensor> {
  return new Map(
    [...tensors].map(([key, tensor]) => {
      const data = new Uint16Array(tensor.data.length);
      for (const [i, value] of (tensor.data as Float32Array).entries()) {
        if (Math.abs(value) > LARGEST_HALF) {
          throw new DataError(
            `${file}: key ${key}: element ${i} is ${value}, larger than any half float; leave --half out`,
          );
        }
        data[i] = encodeFloat('fp16', bitsOfFloat(value));
      }
      return [key, { dtype: 'F16', shape: tensor.shape, data }];
    }),
  );
}

/**
 * Reads a checkpoint.
 * @param expected the model it must hold, where that is known
 * @throws DataError naming file and key, for another format, a missing tensor, another shape or NaN
 */
export function readCheckpoint(bytes: Uint8Array, name: string, expected?: ModelSpec): Checkpoint {
  const { tensors, metadata } = readSafetensors(bytes, name);
  const { format: _, model: __, epoch, ...rest } = metadata;
  const spec = checkpointSpec(metadata, name);
  if (expected && modelName(spec) !== modelName(expected)) {
    throw new DataError(
      `${name}: it holds a ${modelName(spec)}, this run needs a ${modelName(expected)}; give another file`,
    );
  }
  const parameters = packTensors(spec, tensors, name);
  if (!/^\d+$/.test(epoch ?? '')) throw new DataError(`${name}: key epoch: ${epoch} is not a number of epochs`);
  const optimizer: Uint32Array<ArrayBuffer>[] = [];
  for (let tensor = tensors.get(`${OPTIMIZER}0`); tensor; tensor = tensors.get(`${OPTIMIZER}${optimizer.length}`)) {
    if (tensor.dtype !== 'U32') {
      throw new DataError(`${name}: key ${OPTIMIZER}${optimizer.length} is ${tensor.dtype}, optimiser state is U32`);
    }
    optimizer.push(new Uint32Array(tensor.data.buffer as ArrayBuffer, tensor.data.byteOffset, tensor.data.length));
  }
  return { spec, state: { epoch: Number(epoch), parameters, optimizer }, metadata: rest };
}

/**
 * The model that a checkpoint's metadata describe.
 * @param name of the file
 * @throws DataError for the metadata of another format
 */
export function checkpointSpec({ format, model }: Readonly<Record<string, string>>, name: string): ModelSpec {
  if (format !== CHECKPOINT_FORMAT || model === undefined) {
    throw new DataError(
      `${name}: key format: this is not a ${CHECKPOINT_FORMAT} file; give one that a run saved, or convert it: midas import`,
    );
  }
  const described = v.safeParse(v.pipe(v.string(), v.parseJson(), ModelDescription), model);
  if (!described.success) throw new DataError(`${name}: key model: ${described.issues[0].message}`);
  return describedModel(described.output);
}

/**
 * Puts the parameters of a network on the device, for a model that is not trained any further.
 * @param arena that owns them
 * @throws LimitError where the adapter allows no buffer of that size
 */
export function loadParameters(arena: Arena, { spec, parameters }: TrainedNetwork): FlatParameters {
  const onDevice = new FlatParameters(arena, modelName(spec), modelLayout(spec));
  arena.gpu.write(onDevice.view, parameters);
  return onDevice;
}

/** A parameter's name in files: `encoder.0.weight` for `conv1.weight` in a model with the publication's names. */
export function keyOf(spec: ModelSpec, { name, layer }: ParameterSlice): string {
  return `${spec.keys[layer] ?? layer}${name.slice(layer.length)}`;
}

/**
 * The parameters of a model from a file's tensors, in the model's padded layout.
 * @param name of the file
 * @throws DataError naming file and key, for a missing tensor, another shape or NaN
 */
export function packTensors(
  spec: ModelSpec,
  tensors: ReadonlyMap<string, Tensor>,
  name: string,
): Uint32Array<ArrayBuffer> {
  const layout = modelLayout(spec);
  const parameters = new Uint32Array(layout.length);
  for (const slice of layout.slices) {
    const { data } = requireTensor(tensors, keyOf(spec, slice), slice.shape, name);
    layout.pack(slice, new Uint32Array(data.buffer, data.byteOffset, data.length), parameters);
  }
  return parameters;
}

/** @throws DataError naming file and key, for a missing tensor, another shape or NaN */
function requireTensor(
  tensors: ReadonlyMap<string, Tensor>,
  key: string,
  shape: readonly number[],
  name: string,
): Tensor {
  const tensor = tensors.get(key);
  if (!tensor) throw new DataError(`${name}: key ${key} is missing`);
  if ((tensor.dtype !== 'F32' && tensor.dtype !== 'F16') || tensor.shape.join() !== shape.join()) {
    throw new DataError(
      `${name}: key ${key} is ${tensor.dtype} [${tensor.shape}], the model needs F32 or F16 [${shape}]`,
    );
  }
  requireFinite(tensor, name, key);
  return tensor.dtype === 'F32' ? tensor : { ...tensor, dtype: 'F32', data: toFloat32(tensor)! };
}
