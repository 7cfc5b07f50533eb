import { bytesOf } from '../format/views.ts'
import { GrowingWords } from './growing-array.ts'
import { BLOCK_POSTINGS, ByteWriter, bitsOf, packBlock, VarintReader } from './posting-blocks.ts'
import {
  lengthWidth,
  padded,
  TEXT_FIELD_BYTES,
  TEXT_HEADER_BYTES,
  TEXT_MAGIC,
  TEXT_POSITIONS,
  TEXT_VERSION,
} from './text-index-layout.ts'
import { PostingBlock, totalCount } from './text-postings.ts'

/** Postings of each term, in the order of the terms, as the builder collects them. */
export interface TermStreams {
  /** Shape (terms + 1,). */
  readonly offsets: Uint32Array
  readonly bytes: Uint8Array
}

export interface TextInput {
  readonly rows: number
  readonly fields: readonly string[]
  readonly positions: boolean
  /** Tokens of each row, a list a field. */
  readonly lengths: readonly (readonly number[])[]
  /** Ascending bytewise, each once. */
  readonly terms: readonly Uint8Array[]
  readonly streams: TermStreams
}

/** The bytes of a text index (text-index-layout.ts). */
export function encodeTextIndex(input: TextInput): Uint8Array {
  const { fields, terms } = input
  const names = fields.map((field) => Buffer.from(field, 'utf8'))
  const lengths = input.lengths.map(encodeLengths)
  const packed = new PostingPacker(input)
  for (let term = 0; term < terms.length; term++) packed.add(term)
  const termOffsets = offsetsOf(terms.map((term) => term.byteLength))
  const parts = [
    ...names.flatMap((name, i) => [name, (lengths[i] as EncodedLengths).bytes]),
    bytesOf(termOffsets),
    bytesOf(packed.blockOffsets.view()),
    bytesOf(packed.tailOffsets.view()),
    Buffer.concat(terms),
    ...packed.parts(),
  ]
  const headerBytes = TEXT_HEADER_BYTES + TEXT_FIELD_BYTES * fields.length
  const total = parts.reduce((sum, part) => sum + padded(part.byteLength), headerBytes)
  const out = new Uint8Array(total)
  const view = new DataView(out.buffer)
  const header = [
    ...[TEXT_MAGIC, TEXT_VERSION, input.rows, fields.length, terms.length],
    ...[packed.lastRows.length, termOffsets[terms.length] ?? 0, packed.words.length],
    ...[packed.tails.length, input.positions ? TEXT_POSITIONS : 0, packed.positions.length, 0],
  ]
  for (const [i, word] of header.entries()) view.setUint32(i * 4, word, true)
  for (const [i, { width, tokens }] of lengths.entries()) {
    const at = TEXT_HEADER_BYTES + TEXT_FIELD_BYTES * i
    view.setUint32(at, names[i]?.byteLength ?? 0, true)
    view.setUint32(at + 4, width, true)
    view.setBigUint64(at + 8, BigInt(tokens), true)
  }
  let at = headerBytes
  for (const part of parts) {
    out.set(part, at)
    at += padded(part.byteLength)
  }
  return out
}

interface EncodedLengths {
  readonly width: number
  readonly tokens: number
  readonly bytes: Uint8Array
}

function encodeLengths(lengths: readonly number[]): EncodedLengths {
  let max = 0
  let tokens = 0
  for (const length of lengths) {
    tokens += length
    if (length > max) max = length
  }
  const width = lengthWidth(max)
  const array = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[width]
  return { width, tokens, bytes: bytesOf(array.from(lengths)) }
}

function offsetsOf(sizes: readonly number[]): Uint32Array {
  const offsets = new Uint32Array(sizes.length + 1)
  let sum = 0
  for (let i = 0; i < sizes.length; i++) {
    sum += sizes[i] as number
    offsets[i + 1] = sum
  }
  return offsets
}

/** Packs the streams of one term after the other into blocks and tails. */
class PostingPacker {
  readonly blockOffsets = new GrowingWords()
  readonly tailOffsets = new GrowingWords()
  readonly lastRows = new GrowingWords()
  readonly words = new GrowingWords()
  readonly tails = new ByteWriter()
  readonly positions = new ByteWriter()
  readonly #starts = new GrowingWords()
  readonly #maxCounts = new GrowingWords()
  readonly #minLengths = new GrowingWords()
  readonly #tailPositions = new GrowingWords()
  readonly #blockPositions = new GrowingWords()
  readonly #input: TextInput
  readonly #rowLengths: Float64Array
  readonly #block = new PostingBlock()
  readonly #scratch = new Uint32Array(BLOCK_POSTINGS)
  /** Last row of the block before, in the same term. */
  #before = -1
  #positionStart = 0

  constructor(input: TextInput) {
    this.#input = input
    this.#rowLengths = new Float64Array(input.rows)
    for (const lengths of input.lengths) {
      for (let row = 0; row < lengths.length; row++) {
        this.#rowLengths[row] = (this.#rowLengths[row] as number) + (lengths[row] as number)
      }
    }
    this.blockOffsets.push(0)
    this.tailOffsets.push(0)
  }

  add(term: number): void {
    const { offsets, bytes } = this.#input.streams
    const { positions, fields } = this.#input
    const reader = new VarintReader(bytes, offsets[term] as number, offsets[term + 1] as number)
    const block = this.#block
    block.clear()
    this.#before = -1
    this.#positionStart = this.positions.length
    let row = -1
    while (!reader.done) {
      const key = reader.next()
      const step = key >>> 1
      const field = fields.length > 1 ? reader.next() : 0
      const count = (key & 1) === 0 ? 1 : reader.next() + 2
      if (step > 0) {
        if (block.count === BLOCK_POSTINGS) this.#closeBlock()
        row += step
        block.rows[block.count++] = row
        for (let slot = 0; slot < block.fields.length; slot++) {
          block.counts(slot)[block.count - 1] = 0
        }
      }
      block.countsOf(field)[block.count - 1] = count
      if (positions) {
        const from = reader.at
        for (let left = count; left > 0; left--) reader.next()
        this.positions.append(bytes.subarray(from, reader.at))
      }
    }
    if (block.count === BLOCK_POSTINGS) this.#closeBlock()
    this.#tailPositions.push(this.#positionStart)
    if (block.count > 0) this.#writeTail()
    this.blockOffsets.push(this.lastRows.length)
    this.tailOffsets.push(this.tails.length)
  }

  /** What follows the terms, in the order of the layout. */
  parts(): Uint8Array[] {
    const positions = [
      bytesOf(this.#tailPositions.view()),
      bytesOf(this.#blockPositions.view()),
      this.positions.bytes(),
    ]
    return [
      bytesOf(this.lastRows.view()),
      bytesOf(this.#starts.view()),
      bytesOf(this.#maxCounts.view()),
      bytesOf(this.#minLengths.view()),
      bytesOf(this.words.view()),
      this.tails.bytes(),
      ...(this.#input.positions ? positions : []),
    ]
  }

  #closeBlock(): void {
    const block = this.#block
    let maxCount = 0
    let minLength = Infinity
    for (let i = 0; i < block.count; i++) {
      maxCount = Math.max(maxCount, totalCount(block, i))
      minLength = Math.min(minLength, this.#rowLengths[block.rows[i] as number] as number)
    }
    const last = block.rows[BLOCK_POSTINGS - 1] as number
    this.lastRows.push(last)
    this.#starts.push(this.words.length)
    this.#maxCounts.push(maxCount)
    this.#minLengths.push(minLength)
    this.#blockPositions.push(this.#positionStart)
    this.#writeBlock()
    this.#before = last
    this.#positionStart = this.positions.length
    block.clear()
  }

  #writeBlock(): void {
    const block = this.#block
    const steps = this.#scratch
    let before = this.#before
    for (let i = 0; i < BLOCK_POSTINGS; i++) {
      const row = block.rows[i] as number
      steps[i] = row - before - 1
      before = row
    }
    const rowBits = bitsOf(greatest(steps))
    this.words.push(rowBits | (block.fields.length << 8))
    const leasts = block.fields.map((_, slot) => Math.min(0xff, least(block.counts(slot))))
    for (const [slot, field] of block.fields.entries()) {
      const floor = leasts[slot] as number
      const bits = bitsOf(greatest(block.counts(slot)) - floor)
      this.words.push((bits | (floor << 8) | (field << 16)) >>> 0)
    }
    packBlock(steps, rowBits, this.words)
    for (const [slot, floor] of leasts.entries()) {
      const counts = block.counts(slot)
      for (let i = 0; i < BLOCK_POSTINGS; i++) this.#scratch[i] = (counts[i] as number) - floor
      packBlock(this.#scratch, bitsOf(greatest(this.#scratch)), this.words)
    }
  }

  #writeTail(): void {
    const block = this.#block
    this.tails.byte(block.count)
    let before = this.#before
    for (let i = 0; i < block.count; i++) {
      const row = block.rows[i] as number
      const present = block.fields.flatMap((field, slot) => {
        const count = block.counts(slot)[i] as number
        return count === 0 ? [] : [{ field, count }]
      })
      const simple = present.length === 1 && present[0]?.field === 0 && present[0].count === 1
      this.tails.varint((row - before - 1) * 2 + (simple ? 1 : 0))
      before = row
      if (simple) continue
      for (const [place, { field, count }] of present.entries()) {
        const last = place === present.length - 1 ? 1 : 0
        this.tails.varint(field * 4 + (count > 1 ? 2 : 0) + last)
        if (count > 1) this.tails.varint(count - 2)
      }
    }
  }
}

const greatest = (values: Uint32Array): number => {
  let max = 0
  for (const value of values) if (value > max) max = value
  return max
}

const least = (values: Uint32Array): number => {
  let min = 0xffffffff
  for (const value of values) if (value < min) min = value
  return min
}
