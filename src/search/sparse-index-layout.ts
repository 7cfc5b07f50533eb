/*
 * Bytes of a sparse index, all little endian; every part is padded with zeros to 4 bytes.
 *
 * offset  bytes  type  meaning
 * 0       4      u32   magic "spar"
 * 4       4      u32   version, 1
 * 8       4      u32   rows
 * 12      4      u32   pairs of all rows
 * 16      4      u32   dimensions: distinct indices of values other than 0
 * 20      4      u32   full blocks of all dimensions
 * 24      4      u32   words of all full blocks
 * 28      4      u32   bytes of all tails
 * then the vectors:
 *   row offsets          u32[rows + 1] into the pairs
 *   indices              u32[pairs], ascending in each row
 *   values               f32[pairs]
 * then what is searched:
 *   dimensions           u32[dimensions], ascending
 *   block offsets        u32[dimensions + 1]: the first full block of each dimension
 *   tail offsets         u32[dimensions + 1] into the tails
 *   last rows            u32[blocks]
 *   starts               u32[blocks] into the words
 *   greatest values      f32[blocks]
 *   least values         f32[blocks]
 *   words                u32[words]
 *   tails
 *
 * A posting is a row with its value of a dimension, other than 0. Those of a dimension, rows
 * ascending, are full blocks of 128 and a tail of fewer.
 *
 * Full block, in words: bits of a row; 128 rows packed without gaps, lowest bits first, each less
 * the one before it, less 1, the first counted from the last row of the block before, or from −1;
 * 128 values (f32).
 *
 * Tail, in bytes; nothing where there is none: u8 postings; for each a varint of its row, as above;
 * for each its value (f32).
 */

export const SPARSE_MAGIC = 0x72617073
export const SPARSE_VERSION = 1
export const SPARSE_HEADER_BYTES = 32
