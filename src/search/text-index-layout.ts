/*
 * Bytes of a text index, all little endian; every part is padded with zeros to 4 bytes.
 *
 * offset  bytes  type  meaning
 * 0       4      u32   magic "text"
 * 4       4      u32   version, 1
 * 8       4      u32   rows
 * 12      4      u32   fields
 * 16      32·f         one entry a field:
 *   +0    4      u32     bytes of the name
 *   +4    4      u32     bytes of one length: 1, 2 or 4
 *   +8    4      u32     terms
 *   +12   4      u32     bytes of all terms
 *   +16   4      u32     bytes of all postings
 *   +20   4      u32     zero
 *   +24   8      u64     tokens of all rows
 * then for each field:
 *   name                 UTF-8
 *   lengths              tokens of each row
 *   term offsets         u32[terms + 1] into the terms
 *   posting offsets      u32[terms + 1] into the postings
 *   terms                UTF-8, ascending bytewise, each once
 *   postings             per term its rows, ascending: varint (step · 2 + more), where step is the
 *                        row minus the row before (the first: the row itself) and `more` says that
 *                        varint (count − 2) follows; without it the term stands there once
 */

export const TEXT_MAGIC = 0x74786574
export const TEXT_VERSION = 1
export const TEXT_HEADER_BYTES = 16
export const TEXT_FIELD_BYTES = 32

/** Bytes of a part with its padding. */
export const padded = (bytes: number): number => Math.ceil(bytes / 4) * 4

/** Bytes that one length takes where no length is above `max`. */
export const lengthWidth = (max: number): 1 | 2 | 4 => (max < 0x100 ? 1 : max < 0x10000 ? 2 : 4)
