import { sha256, sha256Hex } from './digest.ts'

/** Bytes of a SHA-256. */
export const HASH_BYTES = 32
const LEAF = Uint8Array.of(0)
const NODE = Uint8Array.of(1)

/** Hash of a leaf, 32 bytes. Source: RFC 6962 §2.1. */
export const leafHash = (data: Uint8Array): Uint8Array => sha256(Buffer.concat([LEAF, data]))

/** Hash of an inner node, 32 bytes. Source: RFC 6962 §2.1. */
export const nodeHash = (left: Uint8Array, right: Uint8Array): Uint8Array =>
  sha256(Buffer.concat([NODE, left, right]))

/**
 * Root of the tree over leaf hashes (not leaf data), 32 bytes; SHA-256 of nothing for no leaves.
 * Source: RFC 6962 §2.1.
 */
export const merkleRoot = (leaves: readonly Uint8Array[]): Uint8Array =>
  folded(Buffer.concat(leaves), leaves.length)

/**
 * Root of the tree whose leaves have the records of a list as their data, 32 bytes.
 * Source: RFC 6962 §2.1.
 *
 * @param list shape (records × recordBytes,)
 */
export function merkleRootOfRecords(list: Uint8Array, recordBytes: number): Uint8Array {
  const count = list.length / recordBytes
  if (!Number.isInteger(count)) throw new RangeError(`${list.length} of ${recordBytes} bytes`)
  const level = Buffer.allocUnsafe(count * HASH_BYTES)
  const leaf = Buffer.concat([LEAF], 1 + recordBytes)
  for (let i = 0; i < count; i++) {
    leaf.set(list.subarray(i * recordBytes, (i + 1) * recordBytes), 1)
    level.write(sha256Hex(leaf), i * HASH_BYTES, 'hex')
  }
  return folded(level, count)
}

/** Folds a level of hashes in its own memory until one is left: a tree has a million and more. */
function folded(level: Buffer, count: number): Uint8Array {
  if (count === 0) return sha256()
  const node = Buffer.concat([NODE], 1 + 2 * HASH_BYTES)
  let left = count
  while (left > 1) {
    const pairs = Math.floor(left / 2)
    for (let i = 0; i < pairs; i++) {
      node.set(level.subarray(2 * i * HASH_BYTES, 2 * (i + 1) * HASH_BYTES), 1)
      level.write(sha256Hex(node), i * HASH_BYTES, 'hex')
    }
    if (left % 2 === 1) level.copy(level, pairs * HASH_BYTES, (left - 1) * HASH_BYTES)
    left = Math.ceil(left / 2)
  }
  // A copy: the hash of a tree may be kept for long, its leaves are not to be.
  return Buffer.from(level.subarray(0, HASH_BYTES))
}
