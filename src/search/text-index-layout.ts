/*
 * Bytes of a text index, all little endian; every part is padded with zeros to 4 bytes.
 *
 * offset  bytes  type  meaning
 * 0       4      u32   magic "text"
 * 4       4      u32   version, 2
 * 8       4      u32   rows
 * 12      4      u32   fields
 * 16      4      u32   terms
 * 20      4      u32   full blocks of all terms
 * 24      4      u32   bytes of all terms
 * 28      4      u32   words of all full blocks
 * 32      4      u32   bytes of all tails
 * 36      4      u32   flags: 1 where positions are stored
 * 40      4      u32   bytes of all positions
 * 44      4      u32   zero
 * 48      16·f         one entry a field:
 *   +0    4      u32     bytes of the name
 *   +4    4      u32     bytes of one length: 1, 2 or 4
 *   +8    8      u64     tokens of all rows
 * then for each field:
 *   name                 UTF-8
 *   lengths              tokens of each row
 * then, over all fields together:
 *   term offsets         u32[terms + 1] into the terms
 *   block offsets        u32[terms + 1]: the first full block of each term
 *   tail offsets         u32[terms + 1] into the tails
 *   terms                UTF-8, ascending bytewise, each once
 *   last rows            u32[blocks]
 *   starts               u32[blocks] into the words
 *   greatest counts      u32[blocks]: of one posting, all fields together
 *   least lengths        u32[blocks]: of one row, all fields together
 *   words                u32[words]
 *   tails
 * and with positions:
 *   tail positions       u32[terms]: where those of each term's tail begin
 *   block positions      u32[blocks]: where those of each full block begin
 *   positions
 *
 * A posting is a row with the counts of a term in its fields. Those of a term, rows ascending, are
 * full blocks of 128 and a tail of fewer.
 *
 * Full block, in words:
 *   bits of a row | fields << 8
 *   for each field with the term in the block, ascending: bits of a count | least count << 8 |
 *   field << 16, the least count being at most 255
 *   128 rows: each less the one before it, less 1; the first counted from the last row of the block
 *   before, or from −1
 *   for each of those fields 128 counts, less the least
 * Numbers are packed without gaps, lowest bits first.
 *
 * Tail, in bytes; nothing where there is none: u8 postings, then for each of them
 *   varint (step · 2 + simple), step being as a row above; simple: the term stands in it once, in
 *   the first field. Otherwise for each field with the term, ascending:
 *   varint (field · 4 + more · 2 + last); more: varint (count − 2) follows, else it is 1
 *
 * Positions: for each posting, for each of its fields, the places of the term in the field, counted
 * in tokens, as varints: the first as it is, each next less the one before, less 1.
 */

export const TEXT_MAGIC = 0x74786574
export const TEXT_VERSION = 2
export const TEXT_HEADER_BYTES = 48
export const TEXT_FIELD_BYTES = 16
/** Bit of the flags. */
export const TEXT_POSITIONS = 1
/** Fields that the header of a packed count can tell apart. */
export const TEXT_FIELDS_MAX = 0x10000

/** Bytes of a part with its padding. */
export const padded = (bytes: number): number => Math.ceil(bytes / 4) * 4

/** Bytes that one length takes where no length is above `max`. */
export const lengthWidth = (max: number): 1 | 2 | 4 => (max < 0x100 ? 1 : max < 0x10000 ? 2 : 4)
