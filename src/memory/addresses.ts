/** Where the bytes of a physical address space lie in DRAM: channel, bank, row and column of an address. */

/** The size of a DRAM, and how addresses are mapped to it; counts are powers of two except that of rows. */
export interface Geometry {
  /** Default: 1. */
  readonly channels?: number;
  /** Banks per channel. */
  readonly banks: number;
  /** Rows per bank. */
  readonly rows: number;
  readonly rowBytes: number;
  /** Default: row-interleaved. */
  readonly mapping?: Mapping;
}

/** Bytes of a page, in which memory is allocated. */
export const PAGE_BYTES = 4096;

/** Bytes of a cache line, the smallest unit that an address mapping keeps together. */
export const LINE_BYTES = 64;

/** The address mappings, each with its fields from the highest bits of an address to the lowest. */
export const MAPPINGS = {
  'row-interleaved': 'row, bank, channel, column: addresses fill one row of every channel and bank in turn',
  permuted:
    'as row-interleaved, but the number of the bank is combined by XOR with the lowest bits of that of the row ' +
    '(Zhang et al., MICRO 2000)',
  'line-interleaved':
    'row, column, bank, channel: consecutive cache lines of 64 bytes lie in different channels and banks',
  'bank-sequential': 'channel, bank, row, column: addresses fill a whole bank before the next',
} as const;
export type Mapping = keyof typeof MAPPINGS;
export const MAPPING_NAMES = Object.keys(MAPPINGS) as Mapping[];

/** The place of a byte. */
export interface Place {
  /** Number of the bank among those of all channels: channel * banks + bank. */
  readonly bank: number;
  readonly row: number;
  /** Byte within the row. */
  readonly column: number;
}

/** Bytes of all channels. */
export function capacityOf({ channels = 1, banks, rows, rowBytes }: Geometry): number {
  return channels * banks * rows * rowBytes;
}

/** Bytes, from a multiple of them on, that always lie in the same row: at most a page. */
export function unitBytes({ mapping, rowBytes }: Geometry): number {
  return mapping === 'line-interleaved' ? LINE_BYTES : Math.min(PAGE_BYTES, rowBytes);
}

/** The place of an address. @param address byte, 0 .. capacityOf - 1 */
export function placeOf({ mapping = 'row-interleaved', ...geometry }: Geometry, address: number): Place {
  const { channels = 1, banks, rows, rowBytes } = geometry;
  let rest = address;
  const take = (count: number): number => {
    const value = rest % count;
    rest = (rest - value) / count;
    return value;
  };
  if (mapping === 'line-interleaved') {
    const byte = take(LINE_BYTES);
    const channel = take(channels);
    const bank = take(banks);
    const line = take(rowBytes / LINE_BYTES);
    return { bank: channel * banks + bank, row: rest, column: line * LINE_BYTES + byte };
  }
  const column = take(rowBytes);
  if (mapping === 'bank-sequential') {
    const row = take(rows);
    return { bank: rest, row, column };
  }
  const channel = take(channels);
  const bank = take(banks);
  const permuted = mapping === 'permuted' ? bank ^ (rest & (banks - 1)) : bank;
  return { bank: channel * banks + permuted, row: rest, column };
}

/** The address of a place: the inverse of {@link placeOf}. */
export function addressOf({ mapping = 'row-interleaved', ...geometry }: Geometry, place: Place): number {
  const { channels = 1, banks, rows, rowBytes } = geometry;
  const { row, column } = place;
  const channel = Math.floor(place.bank / banks);
  const bank = place.bank % banks;
  if (mapping === 'line-interleaved') {
    const byte = column % LINE_BYTES;
    const line = (column - byte) / LINE_BYTES;
    return (((row * (rowBytes / LINE_BYTES) + line) * banks + bank) * channels + channel) * LINE_BYTES + byte;
  }
  if (mapping === 'bank-sequential') return (place.bank * rows + row) * rowBytes + column;
  const permuted = mapping === 'permuted' ? bank ^ (row & (banks - 1)) : bank;
  return ((row * banks + permuted) * channels + channel) * rowBytes + column;
}
