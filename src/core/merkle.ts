import { sha256 } from './digest.ts'

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
export function merkleRoot(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return sha256()
  let level = leaves
  while (level.length > 1) {
    const next: Uint8Array[] = []
    for (let i = 0; i + 1 < level.length; i += 2) {
      next.push(nodeHash(level[i] as Uint8Array, level[i + 1] as Uint8Array))
    }
    if (level.length % 2 === 1) next.push(level[level.length - 1] as Uint8Array)
    level = next
  }
  return level[0] as Uint8Array
}
