/**
 * Memory layouts that host and device share, each declared once. TypeScript gets the offsets of the fields; a shader that
 * says `#include "struct/<name>"` gets the struct or, for a table of words, one constant per field.
 */

const WORDS = { u32: 1, f32: 1, vec2u: 2, vec4u: 4 } as const;

/** The type and the meaning of a field. */
type Field = readonly [type: keyof typeof WORDS, meaning: string];

export interface Layout<Name extends string> {
  /** Number of 32-bit words. */
  readonly words: number;
  /** The word at which each field begins. */
  readonly at: Readonly<Record<Name, number>>;
  /** Fields that hold a float. */
  readonly floats: ReadonlySet<string>;
  /** The text that a shader includes. */
  readonly wgsl: string;
}

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function layoutOf<Name extends string>(
  fields: Readonly<Record<Name, Field>>,
  wgsl: (lines: (line: (name: string, at: number, field: Field) => string) => string, words: number) => string,
): Layout<Name> {
  const entries = Object.entries(fields) as [Name, Field][];
  let words = 0;
  const at = {} as Record<Name, number>;
  for (const [name, [type]] of entries) {
    at[name] = words;
    words += WORDS[type];
  }
  const lines = (line: (name: string, at: number, field: Field) => string) =>
    entries.map(([name, field]) => line(snake(name), at[name], field)).join('\n');
  const floats = new Set(entries.filter(([, [type]]) => type === 'f32').map(([name]) => name));
  return { words, at, floats, wgsl: wgsl(lines, words) };
}

/** A WGSL struct. Vectors must lie at multiples of their own size, because WGSL aligns them so. */
function structOf<Name extends string>(struct: string, fields: Readonly<Record<Name, Field>>): Layout<Name> {
  return layoutOf(
    fields,
    (lines) => `struct ${struct} {\n${lines((name, _, [type, meaning]) => `  ${name}: ${type}, // ${meaning}`)}\n}`,
  );
}

/** A part of a table of u32 words, for which WGSL gets the offset of every field as a constant, and their number. */
function wordsOf<Name extends string>(prefix: string, fields: Readonly<Record<Name, Field>>): Layout<Name> {
  const constant = (name: string, value: number) => `const ${prefix}_${name.toUpperCase()}: u32 = ${value}u;`;
  return layoutOf(fields, (lines, words) =>
    [constant('words', words), lines((name, at, [, meaning]) => `${constant(name, at)} // ${meaning}`)].join('\n'),
  );
}

/** Values of some fields that are one word each. */
export type Values<L> = L extends Layout<infer Name> ? Partial<Record<Name, number>> : never;

/** Writes fields of one word into the words of a layout that begins at word `first`. */
export function writeFields<Name extends string>(
  { at, floats }: Layout<Name>,
  words: Uint32Array<ArrayBuffer>,
  values: Partial<Record<Name, number>>,
  first = 0,
): void {
  const asFloats = new Float32Array(words.buffer, words.byteOffset, words.length);
  for (const [name, value] of Object.entries(values) as [Name, number][]) {
    (floats.has(name) ? asFloats : words)[first + at[name]] = value;
  }
}

/** The uniform buffer that changes from step to step; it is written before each submit (src/gpu/recorder.ts). */
export const STEP = structOf('Step', {
  passIndex: ['u32', 'forward or backward pass counter: the read index of approximate memory at granularity pass'],
  firstImage: ['u32', "index of the batch's first image in the data set: the image key of granularity inference"],
  batchOffset: ['u32', 'position of the batch in the shuffled order of the epoch'],
  iteration: ['u32', 'optimiser step (from 1) or attack iteration (from 0)'],
  learningRate: ['f32', 'learning rate of the optimiser, or step length of an attack'],
  draw: ['u32', 'counter of the random numbers of the step (input corruption, search directions)'],
  adamStepSize: ['f32', 'learning rate divided by the bias correction of the first moment'],
  adamSecondCorrection: ['f32', 'bias correction of the second moment'],
  chunk: ['vec4u', 'for rendered faces: width, height, words of the chunk, images of the chunk'],
  pad: ['vec4u', 'unused'],
});

/** A tensor that shaders/initialize.wgsl fills: data and not constants, so that one pipeline serves all tensors of all models. */
export const INITIALIZATION = structOf('Initialization', {
  rows: ['u32', 'rows of the tensor'],
  columns: ['u32', 'columns of the tensor'],
  stride: ['u32', 'elements from row to row'],
  gridWidth: ['u32', 'invocations in x'],
  channels: ['u32', 'of every `padded` columns, the first that hold weights'],
  padded: ['u32', 'see channels'],
  kind: ['u32', '0 constant, 1 normal, 2 uniform'],
  scale: ['f32', 'factor of the drawn number'],
  tensor: ['u32', 'number of the tensor, XOR the stream of the draws'],
  seedLow: ['u32', 'low word of the seed'],
  seedHigh: ['u32', 'high word of the seed'],
  pad: ['u32', 'unused'],
});

/** One attacked class in the state of MI-Face (src/kernels/mi_face.ts). */
export const MI_FACE_STATE = structOf('MiFaceState', {
  best: ['f32', 'lowest objective so far'],
  confidence: ['f32', 'confidence of the image that is retained'],
  objective: ['f32', 'objective of the image that is retained'],
  waited: ['u32', 'iterations without progress'],
  isActive: ['u32', '1 until the class stops'],
  retain: ['u32', '1 where the image of this iteration is to be retained'],
  bestIteration: ['u32', 'iteration of the lowest objective'],
  judged: ['u32', 'iterations judged'],
});

/**
 * The entry of a tensor in the fault table, of FAULT_ENTRY_WORDS words: these fields, then its sources of faults, then their
 * quantile tables. Behind the entries of all tensors lie the scales of rows (shaders/memory/format_integer.wgsl).
 */
export const FAULT_ENTRY = wordsOf('ENTRY', {
  key: ['vec2u', 'hash of seed, chip and tensor'],
  read: ['u32', 'read counter, to which the pass is added'],
  granularity: ['u32', '0 fixed for all passes (chip, load), 1 pass, 2 inference'],
  scale: ['f32', 'value of one unit of a code, or the scale of noise'],
  inverseScale: ['f32', 'its inverse'],
  bits: ['u32', 'bits of a code'],
  scales: ['u32', 'where the scales of rows begin'],
  load: ['u32', 'number of the load'],
  device: ['vec2u', 'hash of seed and chip, which all tensors share'],
  rowBits: ['u32', 'bits per row of the geometry, a power of two'],
  banks: ['u32', 'banks of the geometry, a power of two'],
  count: ['u32', 'number of sources'],
  scrubbed: ['u32', 'number of leading sources that are scrubbed on load'],
  rows: ['u32', 'rows of the tensor'],
  columns: ['u32', 'columns of the tensor'],
  rowBlocks: ['u32', 'blocks per row'],
  sparseFaults: ['u32', 'where the tables of memory/sparse_faults.wgsl begin, counted from the entry'],
  unused: ['u32', 'unused'],
});

/** A source of faults in the entry of its tensor. */
export const FAULT_SOURCE = wordsOf('SOURCE', {
  table: [
    'u32',
    'where its table begins, counted from the entry; at least k + 1 cells are drawn if the random u32 is <= value k',
  ],
  limit: ['u32', 'number of values in the table'],
  firstBit: ['u32', 'bits FIRST_BIT .. FIRST_BIT + BITS - 1 of a code can fail'],
  bits: ['u32', 'see FIRST_BIT'],
  drawn: ['u32', '0 once per chip, 1 once per load, 2 at every read'],
  salt: ['u32', 'separates the random numbers of sources, 0 .. 127; sources with the same salt draw the same cells'],
  stored: ['u32', '0 whatever is stored, 1 only cells that store 0, 2 only cells that store 1'],
  effect: ['u32', '0 the cell reads the wrong value, 1 it reads 0, 2 it reads 1'],
  lines: [
    'u32',
    '0 cells fail everywhere; 1 only in cache lines, 2 wordlines, 3 bitlines whose hash lies in FROM .. TO',
  ],
  from: ['u32', 'see LINES'],
  to: ['u32', 'see LINES'],
  failure: ['u32', 'a drawn cell fails in a read if its hash is <= this'],
});

/**
 * The head of the zones of a tensor (src/memory/zones.ts), which lie behind the entries of all tensors, where TO of a source with
 * a zone says. Such a source has LINES 4, and cells fail only in units of which a bit of FROM is set; or 5, and its TABLE begins
 * with a record of LIMIT words for each bank: the number of values in the bank's table, and the values.
 */
export const FAULT_ZONES = wordsOf('ZONES', {
  shift: ['u32', 'block b of the tensor lies in unit (FIRST + b) >> SHIFT'],
  first: ['u32', 'see SHIFT'],
});

/** Number of words of a tensor's entry in the fault table, including its sources and their tables. */
export const FAULT_ENTRY_WORDS = 2048;

/** The text that replaces `#include "struct/<name>"`. */
export const STRUCTS: Readonly<Record<string, string>> = {
  step: STEP.wgsl,
  initialization: INITIALIZATION.wgsl,
  mi_face_state: MI_FACE_STATE.wgsl,
  fault_table: [
    `const FAULT_ENTRY_WORDS: u32 = ${FAULT_ENTRY_WORDS}u;`,
    FAULT_ENTRY.wgsl,
    `const ENTRY_SOURCES: u32 = ${FAULT_ENTRY.words}u; // where the sources begin`,
    FAULT_SOURCE.wgsl,
  ].join('\n'),
  fault_zones: FAULT_ZONES.wgsl,
};
