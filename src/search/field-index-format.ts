/**
 * Field index of one segment (role `fields`), little endian:
 *
 *   offset  bytes  type  meaning
 *   0       4      u32   format, 1
 *   4       4      u32   length of the directory
 *   8       …      json  directory: one entry a key, in bytewise order of the keys
 *   …              -     parts, each at a multiple of 8
 *
 * A directory entry names its parts by offset and length: `strings` (u32 offsets and UTF-8 bytes of
 * the distinct values, sorted), `numbers` (u8 tags: 0 f64, 1 i64, 2 u64; 8 bytes each; sorted by
 * value), and `postings`: for each distinct value (strings, numbers, false, true), then null, then
 * "not empty", a u32 pair (word offset, row count) into `words`. A posting is its rows as u32
 * ascending, or a bitmap of ⌈rows ÷ 32⌉ words where that is shorter.
 */
export const FIELD_INDEX_FORMAT = 1
export const PREFIX_BYTES = 8

/** Keys indexed in one segment; further ones are looked up in the payload. */
export const KEYS_MAX = 256
/** Text longer than this is not indexed: its key is looked up in the payload. */
export const VALUE_BYTES_MAX = 1_024
/** Bytes of distinct text values of one key. */
export const DISTINCT_BYTES_MAX = 32 * 1024 * 1024

/** A part of the index: offset from the start, length in bytes. */
export type Part = readonly [offset: number, bytes: number]

export interface KeyEntry {
  readonly key: string
  /** false: only null and emptiness are known; values are looked up in the payload. */
  readonly indexed: boolean
  readonly strings: number
  readonly numbers: number
  readonly stringOffsets: Part
  readonly stringBytes: Part
  readonly numberTags: Part
  readonly numberValues: Part
  readonly postings: Part
  readonly words: Part
}

export interface Directory {
  readonly rows: number
  /** Whether there were more keys than KEYS_MAX: a key that is not listed may exist. */
  readonly overflow: boolean
  readonly keys: readonly KeyEntry[]
}

/** Words of a bitmap over the rows. */
export const bitmapWords = (rows: number): number => (rows + 31) >>> 5
/** A posting is a bitmap where its list would be longer. */
export const isBitmap = (count: number, rows: number): boolean => count > bitmapWords(rows)
/** Postings after those of strings and numbers, in this order. */
export const EXTRA_POSTINGS = ['false', 'true', 'null', 'filled'] as const
