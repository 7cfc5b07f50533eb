import { everyRow } from '../../ann/exact-search.ts'
import { NearestRows } from '../../ann/nearest-rows.ts'
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
  return {
    ...ranked,
    distances: distancesOf(index, request.query, ranked),
    evaluated: coarse.evaluated,
  }
}

/**
 * An exact search that reads every row that may be returned, some at a time, and measures all in
 * float64: what 'scan-f32' gives where the rows are in memory, as certain.
 *
 * @throws INTEGRITY; the signal's reason
 */
export async function scanFromDisk(search: DiskSearch): Promise<RankedRows> {
  const { index, rows, request, signal } = search
  const { k, certain = k, allowed, query } = request
  const { dimension } = index
  const step = Math.max(1, Math.floor(STEP_BYTES / (dimension * 4)))
  const nearest = new NearestRows(certain)
  const room = takeRoom(step * dimension)
  let evaluated = 0
  const measure = async (some: Uint32Array): Promise<void> => {
    signal?.throwIfAborted()
    const vectors = await rows.read(some, room)
    nearest.add({ rows: some, distances: distancesOf(index, query, { rows: some, vectors }) })
    evaluated += some.length
  }
  let some: number[] = []
  for (const row of allowed ?? everyRow(index.rows)) {
    if (some.push(row) < step) continue
    await measure(Uint32Array.from(some))
    some = []
  }
  if (some.length > 0) await measure(Uint32Array.from(some))
  giveRoom(room)
  return { ...nearest.result(), evaluated }
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
  { metric, dimension }: Pick<VectorIndex, 'metric' | 'dimension'>,
  query: Float32Array,
  { rows, vectors }: Ranked,
): Float64Array =>
  distancesFrom(metric, query, rows.length, (at) =>
    vectors.subarray(at * dimension, (at + 1) * dimension),
  )
