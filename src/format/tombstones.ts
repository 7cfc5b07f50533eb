import { AkidbError } from '../errors/errors.ts'
import { type BlobInput, type DecodedBlob, section } from './blob.ts'
import { bytesOf, exactUint32 } from './views.ts'

/** Segment key → all its dead rows, ascending. */
export type Tombstones = ReadonlyMap<number, Uint32Array>

/**
 * A blob of role `tombstones`: `segs` u32 pairs (segment key, count), `rows` u32 rows in the same
 * order.
 */
export function tombstoneBlob(tombstones: Tombstones): BlobInput {
  const keys = [...tombstones].flatMap(([key, rows]) => (rows.length === 0 ? [] : [key]))
  keys.sort((a, b) => a - b)
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
  const pairs = blob.sections.get('segs')
  const segments = exactUint32(pairs, Math.floor((pairs?.byteLength ?? 0) / 8) * 2)
  const rows = exactUint32(blob.sections.get('rows'), blob.records)
  if (segments === undefined || rows === undefined) throw misfit(key)
  let at = 0
  let dead: Uint32Array | undefined
  let last = -1
  for (let i = 0; i < segments.length; i += 2) {
    const segment = segments[i] as number
    const length = segments[i + 1] as number
    if (segment <= last || length === 0) throw misfit(key)
    last = segment
    if (segment === key) dead = rows.subarray(at, at + length)
    at += length
  }
  if (at !== rows.length || dead?.length !== count) throw misfit(key)
  if (!ascendingBelow(dead, rowCount)) throw misfit(key)
  return dead
}

const misfit = (key: number): AkidbError =>
  new AkidbError('INTEGRITY', `a tombstone blob does not fit segment ${key}`)

function ascendingBelow(rows: Uint32Array, limit: number): boolean {
  for (let i = 0; i < rows.length; i++) {
    if (i > 0 && (rows[i] as number) <= (rows[i - 1] as number)) return false
  }
  return rows.length === 0 || (rows[rows.length - 1] as number) < limit
}
