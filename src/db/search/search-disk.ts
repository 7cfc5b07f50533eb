import type { RankedRows } from '../../ann/ranked-search.ts'
import type { RowSearch, VectorIndex } from '../../ann/vector-index.ts'
import { distancesFrom } from '../../core/metric.ts'
import type { VectorRows } from '../segment/vector-rows.ts'

/** A search of a segment whose float32 rows are on disk. */
export interface DiskSearch {
  readonly index: VectorIndex
  readonly rows: VectorRows
  readonly request: RowSearch
  readonly signal?: AbortSignal | undefined
}

/** Bytes that one step of an exact scan reads and ranks. */
const STEP_BYTES = 1024 * 1024

/** Rows in a rank, with their vectors in the same order, shape (rows.length, dimension). */
interface Ranked {
  readonly rows: Uint32Array
  readonly vectors: Float32Array
}

/**
 * Reads the vectors of the rows that the coarse search found, ranks them again, and gives the k
 * nearest: the bits that the same search gives where the rows are in memory.
 *
 * @throws INTEGRITY where what is read is damaged
 */
export async function rescoreFromDisk(
  { index, rows, request }: DiskSearch,
  coarse: RankedRows,
): Promise<RankedRows> {
  // In the order of the file: neighbours are read together.
  const found = coarse.rows.slice().sort()
  const room = takeRoom(found.length * index.dimension)
  const ranked = nearest(index, request, { rows: found, vectors: await rows.read(found, room) })
  giveRoom(room)
  return { ...ranked, distances: distancesOf(index, request, ranked), evaluated: coarse.evaluated }
}

/**
 * An exact search that reads every row that may be returned, some at a time: the bits that
 * 'scan-f32' gives where the rows are in memory.
 *
 * @throws INTEGRITY; the signal's reason
 */
export async function scanFromDisk(search: DiskSearch): Promise<RankedRows> {
  const { index, rows, request, signal } = search
  const { k, allowed } = request
  const step = Math.max(k, Math.floor(STEP_BYTES / (index.dimension * 4)))
  let best: Ranked = { rows: new Uint32Array(0), vectors: new Float32Array(0) }
  let evaluated = 0
  const rank = async (some: readonly number[]): Promise<void> => {
    signal?.throwIfAborted()
    const read = await rows.read(some)
    evaluated += some.length
    // Together with the best so far, so that the kernel decides about ties.
    best = nearest(index, request, {
      rows: Uint32Array.from([...best.rows, ...some]),
      vectors: joined(best.vectors, read),
    })
  }
  let some: number[] = []
  for (const row of allowed ?? everyRow(index.rows)) {
    if (some.push(row) < step) continue
    await rank(some)
    some = []
  }
  if (some.length > 0) await rank(some)
  return { rows: best.rows, distances: distancesOf(index, request, best), evaluated }
}

/**
 * Memory for the vectors of a search, used again by the next: what each search left to the garbage
 * collector would cost as much as the search.
 */
const rooms: Float32Array[] = []
const ROOMS_MAX = 8
const ROOM_BYTES_MAX = 4 * 1024 * 1024

function takeRoom(components: number): Float32Array {
  const known = rooms.pop()
  return known !== undefined && known.length >= components ? known : new Float32Array(components)
}

function giveRoom(room: Float32Array): void {
  if (rooms.length < ROOMS_MAX && room.byteLength <= ROOM_BYTES_MAX) rooms.push(room)
}

/** The k nearest of some rows, by the kernel's float32. */
function nearest(index: VectorIndex, { query, k }: RowSearch, { rows, vectors }: Ranked): Ranked {
  const { dimension } = index
  const hits = index.rescore(query, rows, vectors, Math.min(k, Math.max(1, rows.length)))
  const places = new Map<number, number>()
  for (let i = 0; i < rows.length; i++) places.set(rows[i] as number, i * dimension)
  const best = new Float32Array(hits.rows.length * dimension)
  for (let i = 0; i < hits.rows.length; i++) {
    const from = places.get(hits.rows[i] as number) as number
    best.set(vectors.subarray(from, from + dimension), i * dimension)
  }
  return { rows: hits.rows, vectors: best }
}

/** Float64, as searchRanked gives them. */
const distancesOf = (
  { metric, dimension }: VectorIndex,
  { query }: RowSearch,
  { rows, vectors }: Ranked,
): Float64Array =>
  distancesFrom(metric, query, rows.length, (at) =>
    vectors.subarray(at * dimension, (at + 1) * dimension),
  )

function joined(a: Float32Array, b: Float32Array): Float32Array {
  const both = new Float32Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

function* everyRow(rows: number): Iterable<number> {
  for (let row = 0; row < rows; row++) yield row
}
