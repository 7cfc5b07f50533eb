import { AkidbError } from '../errors/errors.ts'

/**
 * Text index of one segment (role `text`), little endian:
 *
 *   offset  bytes  type  meaning
 *   0       4      u32   format, 1
 *   4       4      u32   rows
 *   8       4      u32   fields
 *   12      4      u32   length of the whole
 *   16      40·f   u32   one entry a field, FIELD_WORDS words in the order of FieldEntry
 *   …              -     parts of the fields, each at a multiple of 4
 *
 * Parts of a field: its name (UTF-8); the ends of its terms (u32) in `terms` (UTF-8, sorted
 * bytewise); the ends of their postings (u32) in `postings`; `lengths`, the tokens of each row (u8,
 * u16 or u32, the narrowest that fits).
 *
 * Postings of a term: for each row that has it, ascending, a varint of 2·(rows skipped since the
 * last) + (1 where it occurs more than once), and in that case a varint of its occurrences − 2. A
 * varint has 7 bits a byte, low bits first, the top bit set where more follow.
 */
export const TEXT_INDEX_FORMAT = 1
export const HEADER_BYTES = 16
export const FIELD_WORDS = 10
/** Text fields of one collection. */
export const TEXT_FIELDS_MAX = 256

/** Offsets count from the start of the index. */
export interface FieldEntry {
  readonly nameAt: number
  readonly nameBytes: number
  readonly terms: number
  readonly termEndsAt: number
  readonly termsAt: number
  readonly termsBytes: number
  readonly postingEndsAt: number
  readonly postingsAt: number
  readonly postingsBytes: number
  readonly lengthsAt: number
}

/** Width in bytes of a row's length; it stands in the part before the lengths: a u32. */
export const LENGTH_WIDTHS = [1, 2, 4] as const

/** The next multiple of four. */
export const align4 = (offset: number): number => Math.ceil(offset / 4) * 4

export const damagedText = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `a text index is damaged: ${what}`, {
    hint: 'Run akidb check, then akidb repair.',
  })
