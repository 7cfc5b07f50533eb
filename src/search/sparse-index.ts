import { AkidbError } from '../errors/errors.ts'
import { IndexParts } from './index-parts.ts'
import {
  BLOCK_POSTINGS,
  brokenPostings,
  checkOffsets,
  packedWords,
  rowsFromSteps,
  unpackBlock,
  VarintReader,
} from './posting-blocks.ts'
import { lowerBound } from './ranked-union.ts'
import { SPARSE_HEADER_BYTES, SPARSE_MAGIC, SPARSE_VERSION } from './sparse-index-layout.ts'
import type { SparseVector } from './sparse-vector.ts'

/** Rows with a value other than 0 of one dimension: in blocks, ascending. */
export interface SparsePostings {
  readonly count: number
  readonly blocks: number
  lastRow(block: number): number
  maxValue(block: number): number
  minValue(block: number): number
  /** Decodes a block into `rows` and `values`; returns its length. @throws INTEGRITY */
  open(block: number): number
  readonly rows: Uint32Array
  readonly values: Float32Array
}

/** The sparse vectors of one segment under one name. */
export interface SparseIndex {
  readonly rows: number
  /** Of all rows together. */
  readonly pairs: number
  /** Distinct indices with a value other than 0. */
  readonly dimensions: number
  /**
   * The vector of a row, indices ascending; undefined where it has no pairs. Views: do not change
   * them. @throws INTEGRITY
   */
  vector(row: number): SparseVector | undefined
  /** Undefined where no row has that dimension. @throws INTEGRITY */
  postings(dimension: number): SparsePostings | undefined
}

/**
 * Opens what a sparse index builder encoded (sparse-index-layout.ts); `rows` are those of the
 * segment. Postings stay in `bytes` and are decoded as they are needed.
 *
 * @throws INTEGRITY where lengths or offsets do not fit; FORMAT_VERSION for another version
 */
export function openSparseIndex(bytes: Uint8Array, rows: number): SparseIndex {
  const parts = openParts(bytes, rows)
  const { rowOffsets, indices, values, dimensions } = parts
  return {
    rows,
    pairs: indices.length,
    dimensions: dimensions.length,
    vector: (row) => {
      const start = rowOffsets[row] as number
      const end = rowOffsets[row + 1] as number
      if (start === end) return undefined
      const vector = { indices: indices.subarray(start, end), values: values.subarray(start, end) }
      checkVector(vector)
      return vector
    },
    postings: (dimension) => {
      const place = lowerBound(dimensions, dimensions.length, dimension)
      return dimensions[place] === dimension ? new StoredSparse(parts, place) : undefined
    },
  }
}

function checkVector({ indices, values }: SparseVector): void {
  for (let i = 0; i < indices.length; i++) {
    const isAscending = i === 0 || (indices[i] as number) > (indices[i - 1] as number)
    if (!isAscending || !Number.isFinite(values[i])) throw broken('a vector is none')
  }
}

interface SparseParts {
  readonly rows: number
  readonly rowOffsets: Uint32Array
  readonly indices: Uint32Array
  readonly values: Float32Array
  readonly dimensions: Uint32Array
  readonly blockOffsets: Uint32Array
  readonly tailOffsets: Uint32Array
  readonly lastRows: Uint32Array
  readonly starts: Uint32Array
  readonly greatest: Float32Array
  readonly least: Float32Array
  readonly words: Uint32Array
  readonly tails: Uint8Array
}

function openParts(bytes: Uint8Array, rows: number): SparseParts {
  if (bytes.byteLength < SPARSE_HEADER_BYTES) throw broken('it is cut off')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const word = (i: number): number => view.getUint32(i * 4, true)
  if (word(0) !== SPARSE_MAGIC) throw broken('its magic is missing')
  if (word(1) !== SPARSE_VERSION) {
    throw new AkidbError('FORMAT_VERSION', `the sparse index of a segment has version ${word(1)}`, {
      hint: 'Use a newer akidb.',
    })
  }
  if (word(2) !== rows) throw broken('it has another number of rows')
  const cut = new IndexParts(bytes, SPARSE_HEADER_BYTES, broken)
  const [pairs, dimensions, blocks] = [word(3), word(4), word(5)]
  const parts = {
    rows,
    rowOffsets: cut.words(rows + 1),
    indices: cut.words(pairs),
    values: cut.floats(pairs),
    dimensions: cut.words(dimensions),
    blockOffsets: cut.words(dimensions + 1),
    tailOffsets: cut.words(dimensions + 1),
    lastRows: cut.words(blocks),
    starts: cut.words(blocks),
    greatest: cut.floats(blocks),
    least: cut.floats(blocks),
    words: cut.words(word(6)),
    tails: cut.take(word(7)),
  }
  cut.end()
  checkOffsets(parts.rowOffsets, pairs, { mayBeEmpty: true })
  checkOffsets(parts.blockOffsets, blocks, { mayBeEmpty: true })
  checkOffsets(parts.tailOffsets, parts.tails.byteLength, { mayBeEmpty: true })
  return parts
}

interface SparseBlock {
  readonly rows: Uint32Array
  readonly values: Float32Array
}

/** The postings of a dimension as they are stored; the tail is decoded at once. */
class StoredSparse implements SparsePostings {
  readonly count: number
  readonly blocks: number
  rows: Uint32Array = new Uint32Array(0)
  values: Float32Array = new Float32Array(0)
  readonly #parts: SparseParts
  readonly #first: number
  readonly #full: number
  readonly #tail: SparseBlock | undefined
  readonly #tailMax: number
  readonly #tailMin: number
  #block: SparseBlock | undefined
  #open = -1

  constructor(parts: SparseParts, place: number) {
    this.#parts = parts
    this.#first = parts.blockOffsets[place] as number
    const end = parts.blockOffsets[place + 1] as number
    this.#full = end - this.#first
    const start = parts.tailOffsets[place] as number
    const tailEnd = parts.tailOffsets[place + 1] as number
    const before = this.#full === 0 ? -1 : (parts.lastRows[end - 1] as number)
    this.#tail = tailEnd > start ? readTail(parts, { start, end: tailEnd, before }) : undefined
    this.#tailMax = Math.max(...(this.#tail?.values ?? []))
    this.#tailMin = Math.min(...(this.#tail?.values ?? []))
    this.blocks = this.#full + (this.#tail === undefined ? 0 : 1)
    this.count = this.#full * BLOCK_POSTINGS + (this.#tail?.rows.length ?? 0)
    if (this.count === 0) throw broken('a dimension stands nowhere')
  }

  lastRow(block: number): number {
    const row =
      block === this.#full ? this.#tail?.rows.at(-1) : this.#parts.lastRows[this.#first + block]
    return row as number
  }

  maxValue(block: number): number {
    if (block === this.#full) return this.#tailMax
    return this.#parts.greatest[this.#first + block] as number
  }

  minValue(block: number): number {
    if (block === this.#full) return this.#tailMin
    return this.#parts.least[this.#first + block] as number
  }

  open(block: number): number {
    if (block === this.#open) return this.rows.length
    this.#open = -1
    const { rows, values } = block === this.#full && this.#tail ? this.#tail : this.#read(block)
    this.rows = rows
    this.values = values
    this.#open = block
    return rows.length
  }

  #read(block: number): SparseBlock {
    const { words, starts, lastRows, rows } = this.#parts
    const number = this.#first + block
    const start = starts[number] as number
    const bits = words[start] ?? 0
    const values = start + 1 + packedWords(bits)
    if (bits > 32 || values + BLOCK_POSTINGS > words.length)
      throw brokenPostings('a block is cut off')
    this.#block ??= {
      rows: new Uint32Array(BLOCK_POSTINGS),
      values: new Float32Array(BLOCK_POSTINGS),
    }
    unpackBlock(words, { start: start + 1, bits }, this.#block.rows)
    const before = block === 0 ? -1 : (lastRows[number - 1] as number)
    const last = rowsFromSteps(this.#block.rows, before)
    if (last !== lastRows[number] || last >= rows) throw brokenPostings('rows are out of order')
    const found = words.subarray(values, values + BLOCK_POSTINGS)
    this.#block.values.set(new Float32Array(found.buffer, found.byteOffset, BLOCK_POSTINGS))
    checkValues(this.#block.values)
    return this.#block
  }
}

function readTail(
  { tails, rows }: SparseParts,
  { start, end, before }: { readonly start: number; readonly end: number; readonly before: number },
): SparseBlock {
  const count = tails[start] as number
  const valuesAt = end - count * 4
  if (count === 0 || count >= BLOCK_POSTINGS || valuesAt <= start) {
    throw brokenPostings('a tail has no such length')
  }
  const reader = new VarintReader(tails, start + 1, valuesAt)
  let row = before
  const found = new Uint32Array(count)
  for (let i = 0; i < count; i++) {
    row += reader.next() + 1
    if (row >= rows) throw brokenPostings('rows are out of order')
    found[i] = row
  }
  if (!reader.done) throw brokenPostings('something follows a tail')
  const values = new Float32Array(new Uint8Array(tails.subarray(valuesAt, end)).buffer)
  checkValues(values)
  return { rows: found, values }
}

function checkValues(values: Float32Array): void {
  for (const value of values) if (!Number.isFinite(value)) throw brokenPostings('a value is none')
}

const broken = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `the sparse index of a segment is damaged: ${what}`)
