import { limits } from '../core/limits.ts'
import { sameHash } from '../core/merkle-proofs.ts'
import { TILE_BYTES, type Tile, tileHashes } from '../core/merkle-tiles.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { readBounded } from './bounded-read.ts'
import type { AuditKeys } from './layout.ts'
import type { ProblemList } from './problems.ts'

/** What a tile check needs beside the tile. */
export interface TileCheckContext {
  readonly store: ObjectStore
  readonly keys: AuditKeys
  readonly problems: ProblemList
  /** A tile may be missing beyond this size: it is derived when the log is next written to. */
  readonly signedSize: number
  /** Places whose entry says that it belongs elsewhere; reported as such, not as altered. */
  readonly misplaced: ReadonlySet<number>
}

/** Compares a stored tile with the one computed from the entries. */
export async function checkTile(context: TileCheckContext, computed: Tile): Promise<void> {
  const { store, keys, problems, signedSize } = context
  const key = keys.tile(computed.level, computed.index)
  const span = limits.auditTileWidth ** computed.level
  const first = computed.index * limits.auditTileWidth * span
  const stored = await readBounded(store, key, TILE_BYTES)
  if (stored === undefined) {
    const end = first + limits.auditTileWidth * span
    if (end <= signedSize) problems.add('ALTERED', first, `${key} is missing`)
    return
  }
  if (stored === 'too long' || stored.length !== TILE_BYTES) {
    problems.add('ALTERED', first, `${key} does not have ${TILE_BYTES} bytes`)
    return
  }
  if (Buffer.compare(stored, computed.bytes) === 0) return
  compareHashes(context, { key, first, span, stored, computed: computed.bytes })
}

interface TilePair {
  readonly key: string
  /** First entry below the tile, and entries below each hash. */
  readonly first: number
  readonly span: number
  readonly stored: Uint8Array
  readonly computed: Uint8Array
}

function compareHashes(context: TileCheckContext, pair: TilePair): void {
  const { problems, misplaced } = context
  const [stored, computed] = [tileHashes(pair.stored), tileHashes(pair.computed)]
  const differing = computed.flatMap((hash, i) => (isOther(hash, stored[i]) ? [i] : []))
  for (const i of differing) {
    const seq = pair.first + i * pair.span
    // What differs below differs above too; it is reported once.
    if (pair.span > 1 && problems.isDamagedWithin(seq, seq + pair.span)) continue
    if (misplaced.has(seq)) continue
    const moved = differing.some((j) => j !== i && !isOther(computed[j], stored[i]))
    if (moved) problems.add('REORDERED', seq, `${pair.key} has entry ${seq} in another place`)
    else problems.add('ALTERED', seq, `${pair.key} has another hash for entry ${seq}`)
  }
}

const isOther = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === undefined || b === undefined || !sameHash(a, b)
