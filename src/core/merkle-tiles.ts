import { limits } from './limits.ts'
import { HASH_BYTES, leafHash, merkleRoot, nodeHash } from './merkle.ts'
import { foldSubtrees } from './merkle-proofs.ts'

/**
 * 256 neighbouring hashes of one level of tiles; each spans 256^level leaves. Source: C2SP tlog-
 * tiles.
 */
export interface Tile {
  readonly level: number
  readonly index: number
  /** 256 × 32 bytes. */
  readonly bytes: Uint8Array
}

const WIDTH = limits.auditTileWidth
export const TILE_BYTES = WIDTH * HASH_BYTES

/**
 * A growing tree that remembers only its right edge: at most 255 hashes a level of tiles.
 * `push` is O(1) on average, `root` O(log size).
 */
export class TileTree {
  #size = 0
  /** Hashes of the open tile of each level. */
  readonly #open: Uint8Array[][]
  /** Full subtrees from the largest to the smallest: one per bit set in the size. */
  #edge: { hash: Uint8Array; leaves: number }[] = []

  /**
   * @param open hashes of the open (partial) tile of each level, the leaves' first; what is full is
   * above
   */
  constructor(open: readonly (readonly Uint8Array[])[] = []) {
    this.#open = open.map((hashes) => [...hashes])
    for (let level = open.length - 1; level >= 0; level--) {
      const leaves = WIDTH ** level
      const hashes = open[level] ?? []
      if (hashes.length >= WIDTH) throw new RangeError('an open tile is not full')
      for (const hash of hashes) this.#merge(hash, leaves)
      this.#size += hashes.length * leaves
    }
  }

  get size(): number {
    return this.#size
  }

  /** Adds one leaf hash. Returns the tiles that it filled, the lowest first. */
  push(leaf: Uint8Array): Tile[] {
    this.#size += 1
    this.#merge(leaf, 1)
    const filled: Tile[] = []
    let hash = leaf
    for (let level = 0; ; level++) {
      const open = this.#open[level] ?? []
      this.#open[level] = open
      open.push(hash)
      if (open.length < WIDTH) return filled
      const index = Math.round(this.#size / WIDTH ** (level + 1)) - 1
      filled.push({ level, index, bytes: Buffer.concat(open) })
      hash = merkleRoot(open)
      this.#open[level] = []
    }
  }

  /** RFC 6962 root over all leaves, 32 bytes. */
  root(): Uint8Array {
    return this.#edge.length === 0 ? merkleRoot([]) : foldSubtrees(this.#edge.map((e) => e.hash))
  }

  /** The hash at `position` in the open tile of `level`. */
  openHash(level: number, position: number): Uint8Array | undefined {
    return this.#open[level]?.[position]
  }

  #merge(hash: Uint8Array, leaves: number): void {
    let right = { hash, leaves }
    for (let left = this.#edge.at(-1); left?.leaves === right.leaves; left = this.#edge.at(-1)) {
      right = { hash: nodeHash(left.hash, right.hash), leaves: left.leaves * 2 }
      this.#edge.pop()
    }
    this.#edge.push(right)
  }
}

/** The hashes of a tile's bytes, without copying them. */
export function tileHashes(bytes: Uint8Array): Uint8Array[] {
  const hashes: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += HASH_BYTES) {
    hashes.push(bytes.subarray(at, at + HASH_BYTES))
  }
  return hashes
}

/** The level-0 tile of 256 entries' exact bytes. */
export const leafTile = (entries: readonly Uint8Array[]): Uint8Array =>
  Buffer.concat(entries.map(leafHash))
