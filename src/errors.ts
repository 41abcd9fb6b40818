/**
 * The errors a user can meet, one class each, so that a caller can tell them apart and the command line can turn each
 * into one line and an exit code. A message names the thing that is wrong (file, offset, key, layer), both values where
 * two disagree, and what to do.
 */

/**
 * The base class of all errors that this project throws on purpose. `exitCode` is the exit code of the command line.
 * Every class sets `name` to a literal, because the bundler of a page renames classes.
 */
export class MidasError extends Error {
  override readonly name: string = 'MidasError';
  readonly exitCode: number = 1;
}

/** Two shapes that should agree do not; the message names both and the layer or kernel. */
export class ShapeError extends MidasError {
  override readonly name = 'ShapeError';
}

/** A WGSL source does not compose or compile; the message starts with `file:line:`. */
export class ShaderError extends MidasError {
  override readonly name = 'ShaderError';
}

/** No usable adapter was found. */
export class AdapterError extends MidasError {
  override readonly name = 'AdapterError';
  override readonly exitCode = 3;
}

/** The adapter cannot do what the plan needs: "maxBufferSize: 4096 are needed, this adapter has 2048". */
export class LimitError extends MidasError {
  override readonly name = 'LimitError';
  override readonly exitCode = 3;
}

/** The device was lost; nothing computed since the last finished row can be trusted. */
export class DeviceLostError extends MidasError {
  override readonly name = 'DeviceLostError';
  override readonly exitCode = 3;
}

/** An argument or a configuration is wrong; the message names its path. */
export class ConfigError extends MidasError {
  override readonly name = 'ConfigError';
  override readonly exitCode = 2;
}

/** A file is missing, damaged, of the wrong kind, or cannot be written; the message names it and, if known, the offset. */
export class DataError extends MidasError {
  override readonly name = 'DataError';
  override readonly exitCode = 4;
}

/** A file does not fit: the disk is full, a quota is used up, or a limit on the size of files is reached. */
export class DiskFullError extends MidasError {
  override readonly name = 'DiskFullError';
}

/** The user interrupted the run (Ctrl-C). Finished rows of an experiment are saved. */
export class InterruptedError extends MidasError {
  override readonly name = 'InterruptedError';
  override readonly exitCode = 130;
}
