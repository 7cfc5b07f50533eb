import {
  BLOCK_POSTINGS,
  brokenPostings,
  packedWords,
  rowsFromSteps,
  unpackBlock,
  VarintReader,
} from './posting-blocks.ts'

/** Where one term stands: postings in blocks, rows ascending. */
export interface TextPostings {
  readonly count: number
  readonly blocks: number
  lastRow(block: number): number
  /** At least the count of every posting of the block, all fields together. */
  maxCount(block: number): number
  /** At most the length of every row of the block, all fields together. */
  minLength(block: number): number
  /** Decodes a block; what was opened before is gone. @throws INTEGRITY where it is damaged */
  open(block: number): PostingBlock
  /** Places in their fields of the postings of a block. Only where the index has positions. */
  positions(block: number): BlockPositions
}

/** A decoded block of postings. */
export class PostingBlock {
  count = 0
  readonly rows = new Uint32Array(BLOCK_POSTINGS)
  /** Fields that have the term in this block, ascending. */
  readonly fields: number[] = []
  readonly #counts: Uint32Array[] = []

  /** How often the term stands in `fields[slot]`, for each posting. */
  counts(slot: number): Uint32Array {
    return this.#counts[slot] as Uint32Array
  }

  clear(): void {
    this.count = 0
    this.fields.length = 0
  }

  /** Counts, not yet set, of one more field. */
  addField(field: number): Uint32Array {
    const slot = this.fields.push(field) - 1
    this.#counts[slot] ??= new Uint32Array(BLOCK_POSTINGS)
    return this.#counts[slot]
  }

  /** Counts of a field; zeros where it is new. Fields must come ascending within a posting. */
  countsOf(field: number): Uint32Array {
    const known = this.fields.indexOf(field)
    if (known >= 0) return this.counts(known)
    const slot = this.fields.findIndex((other) => other > field)
    if (slot < 0) return this.addField(field).fill(0)
    const counts = new Uint32Array(BLOCK_POSTINGS)
    this.fields.splice(slot, 0, field)
    this.#counts.splice(slot, 0, counts)
    return counts
  }
}

/** Places of the postings of one block in their fields. */
export interface BlockPositions {
  /** Ascending; empty where the posting has not the field. */
  of(posting: number, field: number): Uint32Array
}

/** The parts of a text index that postings are read from. */
export interface PostingParts {
  readonly rows: number
  readonly fields: number
  readonly lastRows: Uint32Array
  readonly starts: Uint32Array
  readonly maxCounts: Uint32Array
  readonly minLengths: Uint32Array
  readonly words: Uint32Array
  readonly tails: Uint8Array
  readonly tailPositions: Uint32Array | undefined
  readonly blockPositions: Uint32Array | undefined
  readonly positions: Uint8Array
}

/** Where the postings of a term lie in those parts. */
export interface PostingPlace {
  readonly term: number
  readonly firstBlock: number
  readonly endBlock: number
  readonly tailStart: number
  readonly tailEnd: number
}

/**
 * The postings of a term as they are stored (text-index-layout.ts); the tail is decoded at once.
 */
export class StoredPostings implements TextPostings {
  readonly count: number
  readonly blocks: number
  readonly #parts: PostingParts
  readonly #place: PostingPlace
  readonly #full: number
  readonly #tail: PostingBlock | undefined
  readonly #tailMaxCount: number
  readonly #tailMinLength: number
  #block: PostingBlock | undefined
  #open = -1

  /** @param lengths of each row, all fields together. @throws INTEGRITY */
  constructor(parts: PostingParts, place: PostingPlace, lengths: Uint32Array) {
    this.#parts = parts
    this.#place = place
    this.#full = place.endBlock - place.firstBlock
    this.#tail = place.tailEnd > place.tailStart ? this.#readTail() : undefined
    this.blocks = this.#full + (this.#tail === undefined ? 0 : 1)
    this.count = this.#full * BLOCK_POSTINGS + (this.#tail?.count ?? 0)
    let maxCount = 0
    let minLength = Infinity
    for (let i = 0; i < (this.#tail?.count ?? 0); i++) {
      maxCount = Math.max(maxCount, totalCount(this.#tail as PostingBlock, i))
      const row = this.#tail?.rows[i] as number
      minLength = Math.min(minLength, lengths[row] as number)
    }
    this.#tailMaxCount = maxCount
    this.#tailMinLength = minLength
  }

  lastRow(block: number): number {
    if (block < this.#full) return this.#parts.lastRows[this.#place.firstBlock + block] as number
    const tail = this.#tail as PostingBlock
    return tail.rows[tail.count - 1] as number
  }

  maxCount(block: number): number {
    if (block === this.#full) return this.#tailMaxCount
    return this.#parts.maxCounts[this.#place.firstBlock + block] as number
  }

  minLength(block: number): number {
    if (block === this.#full) return this.#tailMinLength
    return this.#parts.minLengths[this.#place.firstBlock + block] as number
  }

  open(block: number): PostingBlock {
    if (block === this.#full) return this.#tail as PostingBlock
    this.#block ??= new PostingBlock()
    if (this.#open !== block) {
      this.#open = -1
      this.#readBlock(block, this.#block)
      this.#open = block
    }
    return this.#block
  }

  positions(block: number): BlockPositions {
    const { tailPositions, blockPositions, positions } = this.#parts
    const start =
      block === this.#full
        ? tailPositions?.[this.#place.term]
        : blockPositions?.[this.#place.firstBlock + block]
    if (start === undefined) throw new Error('an index without positions')
    return readPositions(this.open(block), positions, start)
  }

  #readBlock(block: number, into: PostingBlock): void {
    const { words, starts, lastRows, rows, fields } = this.#parts
    const number = this.#place.firstBlock + block
    let at = starts[number] as number
    const head = words[at++] ?? 0
    const rowBits = head & 0xff
    const present = head >>> 8
    const heads = at
    at += present
    let end = at + packedWords(rowBits)
    if (rowBits > 32 || present > fields || end > words.length) {
      throw brokenPostings('a block is cut off')
    }
    const before = block === 0 ? -1 : (lastRows[number - 1] as number)
    unpackBlock(words, { start: at, bits: rowBits }, into.rows)
    const last = rowsFromSteps(into.rows, before)
    if (last !== lastRows[number] || last >= rows) throw brokenPostings('rows are out of order')
    into.clear()
    for (let i = 0; i < present; i++) {
      const fieldHead = words[heads + i] as number
      const bits = fieldHead & 0xff
      const least = (fieldHead >>> 8) & 0xff
      const field = fieldHead >>> 16
      const start = end
      end += packedWords(bits)
      if (bits > 32 || field >= fields || field <= (into.fields[i - 1] ?? -1)) {
        throw brokenPostings('a block has fields that are none')
      }
      if (end > words.length) throw brokenPostings('a block is cut off')
      const counts = into.addField(field)
      unpackBlock(words, { start, bits }, counts)
      if (least > 0) for (let j = 0; j < BLOCK_POSTINGS; j++) counts[j] = (counts[j] ?? 0) + least
    }
    into.count = BLOCK_POSTINGS
  }

  #readTail(): PostingBlock {
    const { tails, rows, fields, lastRows } = this.#parts
    const { firstBlock, endBlock, tailStart, tailEnd } = this.#place
    const block = new PostingBlock()
    const reader = new VarintReader(tails, tailStart + 1, tailEnd)
    const count = tails[tailStart] as number
    if (count === 0 || count >= BLOCK_POSTINGS) throw brokenPostings('a tail has no such length')
    let row = endBlock > firstBlock ? (lastRows[endBlock - 1] as number) : -1
    for (let i = 0; i < count; i++) {
      const key = reader.next()
      row += Math.floor(key / 2) + 1
      if (row >= rows) throw brokenPostings('rows are out of order')
      block.rows[i] = row
      if (key % 2 === 1) block.countsOf(0)[i] = 1
      else readCounts(reader, { block, posting: i, fields })
    }
    if (!reader.done) throw brokenPostings('something follows a tail')
    block.count = count
    return block
  }
}

function readCounts(
  reader: VarintReader,
  {
    block,
    posting,
    fields,
  }: { readonly block: PostingBlock; readonly posting: number; readonly fields: number },
): void {
  for (let before = -1, last = false; !last; ) {
    const head = reader.next()
    const field = Math.floor(head / 4)
    last = head % 2 === 1
    if (field <= before || field >= fields) throw brokenPostings('a tail has fields that are none')
    before = field
    block.countsOf(field)[posting] = (head & 2) === 0 ? 1 : reader.next() + 2
  }
}

/** How often a term stands in a row, all fields together. */
export function totalCount(block: PostingBlock, posting: number): number {
  let count = 0
  for (let slot = 0; slot < block.fields.length; slot++) {
    count += block.counts(slot)[posting] as number
  }
  return count
}

function readPositions(block: PostingBlock, bytes: Uint8Array, start: number): BlockPositions {
  const slots = block.fields.length
  let total = 0
  for (let i = 0; i < block.count; i++) total += totalCount(block, i)
  // Each takes a byte at least.
  if (total > bytes.byteLength - start) throw brokenPostings('positions are cut off')
  const values = new Uint32Array(total)
  const ends = new Uint32Array(block.count * slots)
  const reader = new VarintReader(bytes, start, bytes.byteLength)
  let at = 0
  for (let i = 0; i < block.count; i++) {
    for (let slot = 0; slot < slots; slot++) {
      let place = -1
      for (let left = block.counts(slot)[i] as number; left > 0; left--) {
        place += reader.next() + 1
        values[at++] = place
      }
      ends[i * slots + slot] = at
    }
  }
  return {
    of: (posting, field) => {
      const slot = block.fields.indexOf(field)
      if (slot < 0) return values.subarray(0, 0)
      const entry = posting * slots + slot
      return values.subarray(ends[entry - 1] ?? 0, ends[entry])
    },
  }
}
