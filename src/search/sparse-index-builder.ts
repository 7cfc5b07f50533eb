import { bytesOf } from '../format/views.ts'
import { GrowingWords } from './growing-array.ts'
import { BLOCK_POSTINGS, ByteWriter, bitsOf, packBlock } from './posting-blocks.ts'
import { SPARSE_HEADER_BYTES, SPARSE_MAGIC, SPARSE_VERSION } from './sparse-index-layout.ts'
import { checkedSparse, type SparseVector } from './sparse-vector.ts'
import { padded } from './text-index-layout.ts'

/** Collects the sparse vectors of one segment, in row order, into an index. */
export interface SparseIndexBuilder {
  /**
   * The next row; undefined where it has no such vector. @throws BAD_INPUT, LIMIT (see
   * checkedSparse)
   */
  add(vector: SparseVector | undefined): void
  /** The index of all rows so far; the bytes depend on the rows alone (sparse-index-layout.ts). */
  encode(): Uint8Array
}

/** Memory: 8 bytes a pair, and 16 more while encoding. */
export function createSparseIndexBuilder(): SparseIndexBuilder {
  const offsets = new GrowingWords()
  const indices = new GrowingWords()
  const values = new GrowingWords()
  offsets.push(0)
  return {
    add: (vector) => {
      if (vector !== undefined) {
        const checked = checkedSparse(vector)
        for (const index of checked.indices) indices.push(index)
        for (const value of checked.values) values.push(bitsOfFloat(value))
      }
      offsets.push(indices.length)
    },
    encode: () =>
      encodeSparseIndex({
        offsets: offsets.view(),
        indices: indices.view(),
        values: values.view(),
      }),
  }
}

const float = new Float32Array(1)
const floatBits = new Uint32Array(float.buffer)
function bitsOfFloat(value: number): number {
  float[0] = value
  return floatBits[0] as number
}

/** The vectors row by row; values as the bits of their f32. */
interface SparseRows {
  readonly offsets: Uint32Array
  readonly indices: Uint32Array
  readonly values: Uint32Array
}

function encodeSparseIndex(rows: SparseRows): Uint8Array {
  const postings = transposed(rows)
  const packed = new SparsePacker()
  let start = 0
  for (const end of postings.ends) {
    packed.add(postings.rows.subarray(start, end), postings.values.subarray(start, end))
    start = end
  }
  const header = [
    ...[SPARSE_MAGIC, SPARSE_VERSION, rows.offsets.length - 1, rows.indices.length],
    ...[postings.dimensions.length, packed.lastRows.length, packed.words.length],
    packed.tails.length,
  ]
  const parts = [
    ...[Uint32Array.from(header), rows.offsets, rows.indices, rows.values].map(bytesOf),
    bytesOf(postings.dimensions),
    ...packed.parts(),
  ]
  const total = parts.reduce((sum, part) => sum + padded(part.byteLength), 0)
  const out = new Uint8Array(total)
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += padded(part.byteLength)
  }
  if (parts[0]?.byteLength !== SPARSE_HEADER_BYTES) throw new Error('a header of another length')
  return out
}

interface SparsePostings {
  readonly dimensions: Uint32Array
  /** Where the postings of each dimension end. */
  readonly ends: Uint32Array
  readonly rows: Uint32Array
  readonly values: Uint32Array
}

/** Pairs sorted by index, then row; without those of value 0. */
function transposed({ offsets, indices, values }: SparseRows): SparsePostings {
  const isZero = (pair: number): boolean => ((values[pair] as number) & 0x7fffffff) === 0
  const counts = new Map<number, number>()
  for (let pair = 0; pair < indices.length; pair++) {
    if (isZero(pair)) continue
    const index = indices[pair] as number
    counts.set(index, (counts.get(index) ?? 0) + 1)
  }
  const dimensions = Uint32Array.from(counts.keys()).sort()
  const next = new Map<number, number>()
  let total = 0
  const ends = Uint32Array.from(dimensions, (dimension) => {
    next.set(dimension, total)
    total += counts.get(dimension) as number
    return total
  })
  const postings = { rows: new Uint32Array(total), values: new Uint32Array(total) }
  for (let row = 0; row + 1 < offsets.length; row++) {
    for (let pair = offsets[row] as number; pair < (offsets[row + 1] as number); pair++) {
      if (isZero(pair)) continue
      const index = indices[pair] as number
      const at = next.get(index) as number
      next.set(index, at + 1)
      postings.rows[at] = row
      postings.values[at] = values[pair] as number
    }
  }
  return { dimensions, ends, ...postings }
}

class SparsePacker {
  readonly lastRows = new GrowingWords()
  readonly words = new GrowingWords()
  readonly tails = new ByteWriter()
  readonly #blockOffsets = new GrowingWords()
  readonly #tailOffsets = new GrowingWords()
  readonly #starts = new GrowingWords()
  readonly #greatest = new GrowingWords()
  readonly #least = new GrowingWords()
  readonly #steps = new Uint32Array(BLOCK_POSTINGS)

  constructor() {
    this.#blockOffsets.push(0)
    this.#tailOffsets.push(0)
  }

  /** The postings of the next dimension. */
  add(rows: Uint32Array, values: Uint32Array): void {
    const full = rows.length - (rows.length % BLOCK_POSTINGS)
    for (let start = 0; start < full; start += BLOCK_POSTINGS) {
      const end = start + BLOCK_POSTINGS
      const before = start === 0 ? -1 : (rows[start - 1] as number)
      this.#addBlock(rows.subarray(start, end), values.subarray(start, end), before)
    }
    const before = full === 0 ? -1 : (rows[full - 1] as number)
    if (full < rows.length) this.#addTail(rows.subarray(full), values.subarray(full), before)
    this.#blockOffsets.push(this.lastRows.length)
    this.#tailOffsets.push(this.tails.length)
  }

  /** What follows the dimensions, in the order of the layout. */
  parts(): Uint8Array[] {
    return [
      bytesOf(this.#blockOffsets.view()),
      bytesOf(this.#tailOffsets.view()),
      bytesOf(this.lastRows.view()),
      bytesOf(this.#starts.view()),
      bytesOf(this.#greatest.view()),
      bytesOf(this.#least.view()),
      bytesOf(this.words.view()),
      this.tails.bytes(),
    ]
  }

  #addBlock(rows: Uint32Array, values: Uint32Array, before: number): void {
    let last = before
    let widest = 0
    for (let i = 0; i < BLOCK_POSTINGS; i++) {
      const row = rows[i] as number
      const step = row - last - 1
      this.#steps[i] = step
      if (step > widest) widest = step
      last = row
    }
    const floats = new Float32Array(values.buffer, values.byteOffset, values.length)
    this.lastRows.push(last)
    this.#starts.push(this.words.length)
    this.#greatest.push(bitsOfFloat(Math.max(...floats)))
    this.#least.push(bitsOfFloat(Math.min(...floats)))
    this.words.push(bitsOf(widest))
    packBlock(this.#steps, bitsOf(widest), this.words)
    for (const value of values) this.words.push(value)
  }

  #addTail(rows: Uint32Array, values: Uint32Array, before: number): void {
    this.tails.byte(rows.length)
    let last = before
    for (const row of rows) {
      this.tails.varint(row - last - 1)
      last = row
    }
    this.tails.append(bytesOf(values))
  }
}
