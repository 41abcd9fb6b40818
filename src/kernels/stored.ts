/** A tensor in a memory image, and the variant of shaders/common/fetch_approximate.wgsl that reads it. */
import type { ShaderRequest } from '../gpu/composer.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import { formatBits, storageBitsOf } from '../memory/codec.ts';
import type { NumberFormat, StoredMemory } from '../memory/config.ts';
import { type FaultSource, failingBits, isUniform } from '../memory/faults.ts';

/** Includes and constants of a shader that fetches from approximate memory. */
export interface Fetch {
  readonly includes: NonNullable<ShaderRequest['includes']>;
  readonly constants: NonNullable<ShaderRequest['constants']>;
  /** True if so few cells fail that two random words determine most masks (shaders/memory/fast_uniform.wgsl). */
  readonly fastPath: boolean;
}

/** The place of a tensor in a memory image: its row in the fault table and its first block. */
export interface StoredTensor {
  readonly map: number;
  /** First block of 16 codes in the image, in blocks of this tensor's codes. */
  readonly origin: number;
  readonly rows: number;
  readonly columns: number;
  readonly stride: number;
  readonly fetch: Fetch;
}

/** The decoder of a matrix of 16-bit codes: the scale in row `map` of the fault table. */
export interface Codes16 {
  readonly faultTable: BufferView;
  readonly map: number;
}

/** True if a read may be retained as codes of 16 bits, which a product decodes: sign-magnitude of 9 to 15 bits. */
export function retainsCodes16({ format }: StoredMemory): boolean {
  return format.kind === 'fixed' && !isTwosComplement(format) && format.bits > 8 && format.bits < 16;
}

function isTwosComplement(format: NumberFormat): boolean {
  return format.kind === 'fixed' && format.representation === 'twos-complement';
}

const NON_FINITE = { propagate: 0, zero: 1, saturate: 2 } as const;
const ECC = { zero: 1, pass: 2 } as const;

/** The shader that draws these faults: faults_sources.wgsl draws any, the others some more quickly. */
function samplerOf(
  { ecc, inverted }: StoredMemory,
  sources: readonly FaultSource[],
): 'none' | 'uniform' | 'rows' | 'banks' | 'sources' | 'inverted' {
  if (sources.length === 0) return 'none';
  if (isUniform(sources, ecc)) return 'uniform';
  if (inverted) return 'inverted';
  const [first, second] = sources;
  const plain = sources.every(
    ({ firstBit, effect, failure, lines, drawn }) =>
      firstBit === 0 && effect === 'flip' && failure === 1 && !lines && drawn === first.drawn,
  );
  if (ecc || !plain) return 'sources';
  if (!second && first.zone?.kind === 'rows' && first.stored === 'any') return 'rows';
  const banks = sources.length === 2 && sources.every(({ zone }) => zone?.kind === 'banks');
  return banks && first.stored === 'zero' && second.stored === 'one' ? 'banks' : 'sources';
}

/** The fetch of the tensors of a layer. @param sources fault sources of the layer; empty for a read without faults */
export function fetchOf(memory: StoredMemory, sources: readonly FaultSource[]): Fetch {
  const { format, ecc } = memory;
  const kind = isTwosComplement(format)
    ? 'fixed_twos_complement'
    : format.kind === 'int8' || format.kind === 'int4'
      ? 'integer'
      : format.kind;
  const storageBits = storageBitsOf(formatBits(format));
  // The number of cells of a block that two random words select; some may turn out unused.
  const places = storageBits === 32 ? 4 : 8;
  const faults = samplerOf(memory, sources);
  const zoned = sources.some(({ zone }) => zone);
  return {
    includes: {
      words: `memory/words_${storageBits}.wgsl`,
      format: `memory/format_${kind}.wgsl`,
      faults: `memory/faults_${faults}.wgsl`,
      ...((faults === 'sources' || faults === 'inverted') && {
        limit: `memory/limit_${zoned ? 'zones' : 'image'}.wgsl`,
      }),
    },
    constants: {
      FINITE: !('nonFinite' in format && format.nonFinite === 'propagate'),
      ...(format.kind === 'fixed' && { FAITHFUL: format.encoding === 'faithful' }),
      ...('scale' in format && { PER_CHANNEL: format.scale === 'per-channel' }),
      ...('nonFinite' in format && { NON_FINITE: NON_FINITE[format.nonFinite] }),
      ...(faults === 'inverted' && { INVERTED_BITS: failingBits(memory) }),
      ...((faults === 'sources' || faults === 'inverted') && {
        ECC: ecc ? ECC[ecc.detected] : 0,
        LINES: sources.some(({ lines }) => lines && lines.kind !== 'bitline'),
        EACH: sources.some(({ lines, failure }) => lines?.kind === 'bitline' || failure < 1),
      }),
    },
    fastPath: faults === 'uniform' && 16 * storageBits * sources[0].rate <= places,
  };
}
