import { decodeFloat16 } from '../../core/float16.ts'
import { componentBytes, type VectorStorage } from '../../core/schema.ts'
import { AkidbError } from '../../errors/errors.ts'
import { VECTORS_SECTION } from '../../format/blob.ts'
import type { ChunkDigests } from '../../format/chunks.ts'
import type { BlobRef } from '../../format/manifest.ts'
import { asFloat32, asUint16, bytesOf } from '../../format/views.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import type { RangeTarget } from '../../storage/read-ranges.ts'
import { CheckedBlob, type ChunkHashing } from './checked-blob.ts'

/** The stored vectors of a segment as float32, read as they are needed. */
export interface VectorRows {
  /**
   * Copies of some rows, shape (rows.length, dimension), in the order asked for. Neighbours that
   * stand together in the list are read together.
   *
   * @param into where they go, of at least that length; absent: memory of their own
   * @throws INTEGRITY where what holds them is damaged
   */
  read(rows: ArrayLike<number>, into?: Float32Array): Promise<Float32Array>
  /** All rows in order, in pieces of whole rows; a piece is valid until the next. */
  pieces(): AsyncIterable<Float32Array>
  /**
   * All components in order, in pieces of any length; a piece is valid until the next. Absent as
   * `fill` is.
   */
  components?(hashing?: ChunkHashing): AsyncIterable<Float32Array>
  /**
   * Reads all rows to where they are to be, without a copy on the way; absent where they are in
   * memory already, or stored as float16.
   *
   * @param into shape (rows × dimension,)
   * @throws INTEGRITY where what holds them is damaged; the signal's reason
   */
  fill?(into: Float32Array, digests?: ChunkDigests, signal?: AbortSignal): Promise<void>
}

export interface RowsShape {
  readonly rows: number
  readonly dimension: number
  /** Absent: float32. */
  readonly storage?: VectorStorage | undefined
}

/** Bytes of a piece of `pieces`: at least one row. */
const PIECE_BYTES = 1024 * 1024
/** Bytes read ahead of somebody who asks for one row after the other. */
const AHEAD_BYTES = 256 * 1024

/** Rows that are in memory already. @throws INTEGRITY where they are of another number */
export function rowsInMemory(vectors: Uint8Array, shape: RowsShape): VectorRows {
  checkBytes(vectors.byteLength, shape)
  const { dimension } = shape
  const rowsAt = rowsOf(vectors, shape)
  return {
    read: async (rows, into) => {
      const found = roomFor(rows.length * dimension, into)
      for (let i = 0; i < rows.length; i++) {
        const row = rowAt(rows, i, shape)
        const place = found.subarray(i * dimension, (i + 1) * dimension)
        const vector = rowsAt(row, place)
        if (vector !== place) place.set(vector)
      }
      return found
    },
    pieces: async function* () {
      const step = pieceRows(shape)
      const piece = new Float32Array(Math.min(step, shape.rows) * dimension)
      for (let row = 0; row < shape.rows; row += step) {
        const rows = Math.min(step, shape.rows - row)
        yield rowsAt(row, piece.subarray(0, rows * dimension))
      }
    },
  }
}

/** As many rows from `row` on as `room` is for: decoded into it, or float32 where they are. */
type RowsAt = (row: number, room: Float32Array) => Float32Array

function rowsOf(vectors: Uint8Array, { dimension, storage }: RowsShape): RowsAt {
  if (storage === 'f16') {
    const all = asUint16(vectors)
    return (row, room) =>
      decodeFloat16(all.subarray(row * dimension, row * dimension + room.length), room)
  }
  const all = asFloat32(vectors)
  return (row, room) => all.subarray(row * dimension, row * dimension + room.length)
}

/**
 * Rows of a blob of role `vectors`, left where they are.
 *
 * @throws INTEGRITY where it is missing or damaged, or has rows of another number
 */
export async function rowsOnDisk(
  store: ObjectStore,
  ref: BlobRef,
  shape: RowsShape,
): Promise<VectorRows> {
  const blob = await CheckedBlob.open(store, ref)
  checkBytes(blob.sectionBytes(VECTORS_SECTION), shape)
  const rows = new RowsOnDisk(blob, shape)
  if (shape.storage === 'f16') return rows
  const fill = (into: Float32Array, digests?: ChunkDigests, signal?: AbortSignal): Promise<void> =>
    blob.fill(VECTORS_SECTION, bytesOf(into), digests, signal)
  return Object.assign(rows, {
    fill,
    components: (hashing?: ChunkHashing) => componentsOf(blob, hashing),
  })
}

async function* componentsOf(blob: CheckedBlob, hashing?: ChunkHashing) {
  for await (const piece of blob.stream(VECTORS_SECTION, hashing)) yield asFloat32(piece)
}

class RowsOnDisk implements VectorRows {
  readonly #blob: CheckedBlob
  readonly #shape: RowsShape
  /** The rows read last for somebody who goes through them one by one. */
  #ahead: { readonly first: number; readonly vectors: Float32Array } | undefined
  #lastRow = -2

  constructor(blob: CheckedBlob, shape: RowsShape) {
    this.#blob = blob
    this.#shape = shape
  }

  async read(rows: ArrayLike<number>, into?: Float32Array): Promise<Float32Array> {
    const { dimension } = this.#shape
    if (rows.length === 1) return await this.#readOne(rowAt(rows, 0, this.#shape))
    const found = roomFor(rows.length * dimension, into)
    const stored = storedIn(found, this.#shape)
    const bytes = rowBytes(this.#shape)
    const ranges: RangeTarget[] = []
    for (let from = 0; from < rows.length; ) {
      const first = rowAt(rows, from, this.#shape)
      let to = from + 1
      while (to < rows.length && rowAt(rows, to, this.#shape) === first + to - from) to++
      const target = stored.subarray(from * bytes, to * bytes)
      ranges.push({ offset: first * bytes, target })
      from = to
    }
    // In the order of the file: a disk and the operating system's reading ahead like that best.
    await this.#blob.read(
      VECTORS_SECTION,
      ranges.sort((a, b) => a.offset - b.offset),
    )
    return decoded(found, this.#shape)
  }

  async *pieces(): AsyncIterable<Float32Array> {
    const { rows, dimension } = this.#shape
    const step = pieceRows(this.#shape)
    const buffer = new Float32Array(Math.min(step, rows) * dimension)
    for (let first = 0; first < rows; first += step) {
      yield await this.#load(first, buffer.subarray(0, Math.min(step, rows - first) * dimension))
    }
  }

  async #readOne(row: number): Promise<Float32Array> {
    const { rows, dimension } = this.#shape
    const goesOn = row > this.#lastRow && row - this.#lastRow <= pieceRows(this.#shape)
    this.#lastRow = row
    const known = this.#ahead
    const at = known === undefined ? -1 : (row - known.first) * dimension
    if (known !== undefined && at >= 0 && at < known.vectors.length) {
      return known.vectors.slice(at, at + dimension)
    }
    const wanted = goesOn ? Math.max(1, Math.floor(AHEAD_BYTES / (dimension * 4))) : 1
    const count = Math.min(wanted, rows - row)
    const vectors = await this.#load(row, new Float32Array(count * dimension))
    this.#ahead = goesOn ? { first: row, vectors } : undefined
    return vectors.slice(0, dimension)
  }

  async #load(first: number, into: Float32Array): Promise<Float32Array> {
    const target = storedIn(into, this.#shape)
    await this.#blob.read(VECTORS_SECTION, [{ offset: first * rowBytes(this.#shape), target }])
    return decoded(into, this.#shape)
  }
}

const roomFor = (length: number, into: Float32Array | undefined): Float32Array =>
  into?.subarray(0, length) ?? new Float32Array(length)

/** Where stored rows are read to that are to fill `into`: of f16 its second half. */
function storedIn(into: Float32Array, { storage }: RowsShape): Uint8Array {
  const bytes = bytesOf(into)
  return storage === 'f16' ? bytes.subarray(bytes.byteLength / 2) : bytes
}

/** What was read to `storedIn`, as float32. */
const decoded = (into: Float32Array, shape: RowsShape): Float32Array =>
  shape.storage === 'f16' ? decodeFloat16(asUint16(storedIn(into, shape)), into) : into

const rowBytes = (shape: RowsShape): number => shape.dimension * componentBytes(shape.storage)

const pieceRows = ({ dimension }: RowsShape): number =>
  Math.max(1, Math.floor(PIECE_BYTES / (dimension * 4)))

function rowAt(rows: ArrayLike<number>, at: number, { rows: count }: RowsShape): number {
  const row = rows[at] as number
  if (!Number.isInteger(row) || row < 0 || row >= count) throw new RangeError(`row ${row}`)
  return row
}

function checkBytes(bytes: number | undefined, shape: RowsShape): void {
  if (bytes === shape.rows * rowBytes(shape)) return
  throw new AkidbError('INTEGRITY', 'a segment is damaged: vectors of another length', {
    hint: 'Run akidb check --read-data.',
  })
}
