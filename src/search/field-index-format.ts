import { crc32 } from 'node:zlib'
import { AkidbError } from '../errors/errors.ts'

/**
 * Field index of one segment (role `fields`), little endian:
 *
 *   offset  bytes  type  meaning
 *   0       4      u32   format, 2
 *   4       4      u32   length of the directory
 *   8       4      u32   CRC-32 of directory and sums
 *   12      4      u32   number of sums
 *   16      …      json  directory: one entry a key, in bytewise order of the keys
 *   …       …      u32   sums: CRC-32 of each BLOCK_BYTES of the parts; padded to a multiple of 8
 *   …              -     parts, each at a multiple of 8
 *
 * docs/format.md has the entries and their parts.
 */
export const FIELD_INDEX_FORMAT = 2
export const PREFIX_BYTES = 16
/** Bytes of the parts that share a checksum. */
export const BLOCK_BYTES = 16_384

/** Keys indexed in one segment; further ones are looked up in the payload. */
export const KEYS_MAX = 256
/** Text longer than this is not listed; its rows are looked up in the payload where it matters. */
export const VALUE_BYTES_MAX = 1_024
/** Bytes of listed texts of one key; further ones are not listed. */
export const DISTINCT_BYTES_MAX = 32 * 1024 * 1024
/** Tokens of all texts of one key, each once a text, and bytes of distinct ones. */
export const TOKENS_MAX = 2 ** 23
export const TOKEN_BYTES_MAX = 32 * 1024 * 1024

/** A part of the index: offset from the first part, length in bytes. */
export type Part = readonly [offset: number, bytes: number]

/** Sets of rows (row-postings.ts). */
export interface PostingParts {
  readonly heads: Part
  readonly words: Part
}

/** Distinct texts in bytewise order, and a set for each. */
export interface TextParts extends PostingParts {
  readonly count: number
  readonly offsets: Part
  readonly bytes: Part
}

/** Rows of ascending values: `starts` is empty where each value has one row. */
export interface SortedParts {
  readonly count: number
  readonly starts: Part
  readonly rows: Part
}

export interface NumberParts extends SortedParts {
  readonly tags: Part
  readonly values: Part
}

export interface TimeParts extends SortedParts {
  readonly seconds: Part
  readonly nanoseconds: Part
}

export interface PointParts {
  readonly count: number
  readonly lons: Part
  readonly lats: Part
  readonly rows: Part
}

export interface KeyEntry {
  readonly key: string
  /** Rows by what the value is, in the order of FIXED_SETS. */
  readonly sets: PostingParts
  /** Rows by how many values they have; `counts` ascending. */
  readonly counts: PostingParts & { readonly numbers: Part }
  readonly texts: TextParts | null
  /** Texts that are not listed: the row of each, ascending. */
  readonly unlisted: Part | null
  /** Whether an unlisted text may be of VALUE_BYTES_MAX bytes or fewer. */
  readonly shortUnlisted: boolean
  /** Tokens, with sets of texts: those that are listed, then those that are not. */
  readonly tokens: TextParts | null
  readonly numbers: NumberParts | null
  readonly times: TimeParts | null
  readonly points: PointParts | null
}

export interface Directory {
  readonly rows: number
  /** Whether there were more keys than KEYS_MAX: a key that is not listed may exist. */
  readonly overflow: boolean
  readonly keys: readonly KeyEntry[]
}

/** Sets of rows that every key has. */
export const FIXED_SETS = ['false', 'true', 'null', 'filled'] as const
export type FixedSet = (typeof FIXED_SETS)[number]

/** CRC-32 of ISO-HDLC, as in zlib. */
export const checksum = (bytes: Uint8Array): number => crc32(bytes)

export const damagedIndex = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `a field index is damaged: ${what}`, {
    hint: 'Run akidb check, then akidb repair.',
  })
