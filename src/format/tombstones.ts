import { AkidbError } from '../errors/errors.ts'
import { type BlobInput, type DecodedBlob, section } from './blob.ts'
import { asUint32, bytesOf } from './views.ts'

/** Segment key → all its dead rows, ascending. */
export type Tombstones = ReadonlyMap<number, Uint32Array>

/**
 * A blob of role `tombstones`: `segs` u32 pairs (segment key, count), `rows` u32 rows in the same
 * order.
 */
export function tombstoneBlob(tombstones: Tombstones): BlobInput {
  const keys = [...tombstones.keys()].sort((a, b) => a - b)
  const segments = new Uint32Array(keys.length * 2)
  let total = 0
  for (const [i, key] of keys.entries()) {
    const count = tombstones.get(key)?.length ?? 0
    segments.set([key, count], i * 2)
    total += count
  }
  const rows = new Uint32Array(total)
  let at = 0
  for (const key of keys) {
    const dead = tombstones.get(key) ?? new Uint32Array()
    rows.set(dead, at)
    at += dead.length
  }
  return {
    role: 'tombstones',
    records: total,
    dimension: 0,
    sections: [section('segs', bytesOf(segments)), section('rows', bytesOf(rows))],
  }
}

/**
 * Dead rows of one segment. @throws INTEGRITY where the blob does not hold `count` rows below
 * `rowCount` for it.
 */
export function decodeTombstones(
  blob: DecodedBlob,
  key: number,
  count: number,
  rowCount: number,
): Uint32Array {
  const segments = asUint32(blob.sections.get('segs') ?? new Uint8Array())
  const rows = asUint32(blob.sections.get('rows') ?? new Uint8Array())
  let at = 0
  for (let i = 0; i + 1 < segments.length; i += 2) {
    const length = segments[i + 1] as number
    if (segments[i] === key) {
      const dead = rows.subarray(at, at + length)
      if (dead.length !== count || !ascendingBelow(dead, rowCount)) break
      return dead
    }
    at += length
  }
  throw new AkidbError('INTEGRITY', `a tombstone blob does not fit segment ${key}`)
}

function ascendingBelow(rows: Uint32Array, limit: number): boolean {
  for (let i = 0; i < rows.length; i++) {
    if (i > 0 && (rows[i] as number) <= (rows[i - 1] as number)) return false
  }
  return rows.length === 0 || (rows[rows.length - 1] as number) < limit
}
