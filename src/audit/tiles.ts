import { limits } from '../core/limits.ts'
import { merkleRoot } from '../core/merkle.ts'
import {
  foldSubtrees,
  type LeafRange,
  type PerfectSubtree,
  perfectSubtrees,
} from '../core/merkle-proofs.ts'
import { leafTile, TILE_BYTES, type Tile, TileTree, tileHashes } from '../core/merkle-tiles.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { BATCH_BYTES_MAX, readBounded } from './bounded-read.ts'
import { splitFrames } from './frames.ts'
import { type AuditKeys, brokenLog } from './layout.ts'

const WIDTH = limits.auditTileWidth
const TILE_HEIGHT = Math.log2(WIDTH)

/**
 * Reads hashes of a log from its full tiles; a missing tile is computed from what it was derived
 * from.
 */
export class TileReader {
  readonly #store: ObjectStore
  readonly #keys: AuditKeys
  readonly #cache = new Map<string, readonly Uint8Array[]>()

  constructor(store: ObjectStore, keys: AuditKeys) {
    this.#store = store
    this.#keys = keys
  }

  /**
   * The tree over the first `batches` closed batches: reads at most 255 tiles a level, no entries.
   * @throws AUDIT_BROKEN where a tile has another size, or neither tile nor entries are there
   */
  async openTree(batches: number): Promise<TileTree> {
    const open: Uint8Array[][] = [[]]
    for (let level = 1, full = batches; full > 0; level++, full = Math.floor(full / WIDTH)) {
      const hashes: Uint8Array[] = []
      for (let index = full - (full % WIDTH); index < full; index++) {
        hashes.push(merkleRoot(await this.#tile(level - 1, index)))
      }
      open.push(hashes)
    }
    return new TileTree(open)
  }

  /** Keeps a tile that was just filled, so that it need not be read back. */
  remember(tile: Tile): void {
    this.#cache.set(`${tile.level}/${tile.index}`, tileHashes(tile.bytes))
    const oldest = this.#cache.keys().next()
    if (this.#cache.size > limits.auditTileCacheMax && !oldest.done)
      this.#cache.delete(oldest.value)
  }

  /**
   * RFC 6962 hash of a range of `tree` that ends at a subtree's edge or at a size that the log had.
   */
  async rangeHash(tree: TileTree, range: LeafRange): Promise<Uint8Array> {
    if (range.end === 0) return merkleRoot([])
    const hashes: Uint8Array[] = []
    for (const subtree of perfectSubtrees(range)) {
      hashes.push(await this.#subtreeHash(tree, subtree))
    }
    return foldSubtrees(hashes)
  }

  async #subtreeHash(tree: TileTree, { start, height }: PerfectSubtree): Promise<Uint8Array> {
    const level = Math.floor(height / TILE_HEIGHT)
    const first = start / WIDTH ** level
    const hashes: Uint8Array[] = []
    for (let i = 0; i < 2 ** (height % TILE_HEIGHT); i++) {
      hashes.push(await this.#hashAt(tree, level, first + i))
    }
    return merkleRoot(hashes)
  }

  async #hashAt(tree: TileTree, level: number, position: number): Promise<Uint8Array> {
    const index = Math.floor(position / WIDTH)
    const full = Math.floor(tree.size / WIDTH ** (level + 1))
    const hash =
      index < full
        ? (await this.#tile(level, index))[position % WIDTH]
        : tree.openHash(level, position % WIDTH)
    if (hash === undefined) throw new RangeError(`hash ${level}/${position} is not in the tree`)
    return hash
  }

  async #tile(level: number, index: number): Promise<readonly Uint8Array[]> {
    const cached = this.#cache.get(`${level}/${index}`)
    if (cached !== undefined) return cached
    const bytes = (await this.#stored(level, index)) ?? (await this.#derive(level, index))
    this.remember({ level, index, bytes })
    return tileHashes(bytes)
  }

  async #stored(level: number, index: number): Promise<Uint8Array | undefined> {
    const key = this.#keys.tile(level, index)
    const info = await this.#store.head(key)
    if (info === undefined) return undefined
    if (info.bytes !== TILE_BYTES) {
      throw brokenLog(this.#keys.folder, `${key} has ${info.bytes} bytes instead of ${TILE_BYTES}`)
    }
    return await this.#store.get(key, { offset: 0, bytes: TILE_BYTES })
  }

  async #derive(level: number, index: number): Promise<Uint8Array> {
    if (level === 0) return leafTile(await readBatch(this.#store, this.#keys, index))
    const hashes: Uint8Array[] = []
    for (let i = index * WIDTH; i < (index + 1) * WIDTH; i++) {
      hashes.push(merkleRoot(await this.#tile(level - 1, i)))
    }
    return Buffer.concat(hashes)
  }
}

/**
 * The 256 entries of a closed batch, as bytes.
 * @throws AUDIT_BROKEN where it is missing or holds another count
 */
export async function readBatch(
  store: ObjectStore,
  keys: AuditKeys,
  batch: number,
): Promise<readonly Uint8Array[]> {
  const key = keys.entries(batch)
  const bytes = await readBounded(store, key, BATCH_BYTES_MAX)
  if (bytes === undefined) throw brokenLog(keys.folder, `${key} is missing`, batch * WIDTH)
  if (bytes !== 'too long') {
    const { entries, wholeBytes } = splitFrames(bytes)
    if (entries.length === WIDTH && wholeBytes === bytes.length) return entries
  }
  throw brokenLog(keys.folder, `${key} does not hold ${WIDTH} whole entries`, batch * WIDTH)
}
