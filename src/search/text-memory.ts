import type { JsonObject } from '../core/json.ts'
import { GrowingWords } from './growing-array.ts'
import { BLOCK_POSTINGS } from './posting-blocks.ts'
import type { FieldLengths, TextIndex } from './text-index.ts'
import { textOf } from './text-index-builder.ts'
import { type BlockPositions, PostingBlock, type TextPostings } from './text-postings.ts'
import { forEachToken } from './tokenizer.ts'

/**
 * A text index of rows that come one by one, for the few that are in no segment yet. Rows are only
 * added: one that is gone is left out by the `alive` of a search. It has no positions.
 */
export class MemoryTextIndex implements TextIndex {
  readonly fields: readonly string[]
  readonly fieldTokens: number[]
  readonly positions = false
  rows = 0
  tokens = 0
  readonly #terms = new Map<string, MemoryPostings>()
  readonly #lengths = new GrowingWords()
  readonly #fieldLengths: readonly GrowingWords[]

  constructor(fields: readonly string[]) {
    this.fields = fields
    this.fieldTokens = fields.map(() => 0)
    this.#fieldLengths = fields.map(() => new GrowingWords())
  }

  /** The number of the new row. Costs its tokens. */
  add(payload: JsonObject): number {
    const row = this.rows++
    const counts = new Map<string, number[]>()
    let total = 0
    for (const [field, name] of this.fields.entries()) {
      let length = 0
      forEachToken(textOf(payload.get(name)), (token) => {
        const pairs = counts.get(token) ?? []
        if (pairs.at(-2) === field) pairs[pairs.length - 1] = (pairs.at(-1) as number) + 1
        else pairs.push(field, 1)
        counts.set(token, pairs)
        length++
      })
      this.#fieldLengths[field]?.push(length)
      this.fieldTokens[field] = (this.fieldTokens[field] as number) + length
      total += length
    }
    this.#lengths.push(total)
    this.tokens += total
    for (const [token, pairs] of counts) this.#postingsOf(token).add({ row, length: total }, pairs)
    return row
  }

  lengths(): Uint32Array {
    return this.#lengths.view()
  }

  fieldLengths(field: number): FieldLengths {
    return (this.#fieldLengths[field] as GrowingWords).view()
  }

  postings(term: string): TextPostings | undefined {
    return this.#terms.get(term)
  }

  termsFrom(prefix: string, max: number): string[] {
    const found: string[] = []
    for (const term of this.#terms.keys()) {
      if (found.length === max) break
      if (term.startsWith(prefix)) found.push(term)
    }
    return found
  }

  #postingsOf(token: string): MemoryPostings {
    const known = this.#terms.get(token)
    if (known !== undefined) return known
    const postings = new MemoryPostings()
    // A copy: a slice would keep the whole text of its row in memory.
    this.#terms.set(Buffer.from(token, 'utf8').toString('utf8'), postings)
    return postings
  }
}

/** What a search wants to know of a block before it is decoded. */
interface BlockSummary {
  /** Where its postings begin. */
  readonly start: number
  lastRow: number
  maxCount: number
  minLength: number
}

/** Postings as a list of words: for each the row, how many fields, and field and count of each. */
class MemoryPostings implements TextPostings {
  count = 0
  readonly #words = new GrowingWords()
  readonly #blocks: BlockSummary[] = []
  #block: PostingBlock | undefined

  get blocks(): number {
    return this.#blocks.length
  }

  add(
    { row, length }: { readonly row: number; readonly length: number },
    pairs: readonly number[],
  ): void {
    if (this.count % BLOCK_POSTINGS === 0) {
      const start = this.#words.length
      this.#blocks.push({ start, lastRow: row, maxCount: 0, minLength: Infinity })
    }
    const block = this.#blocks.at(-1) as BlockSummary
    let total = 0
    for (let i = 1; i < pairs.length; i += 2) total += pairs[i] as number
    block.lastRow = row
    block.maxCount = Math.max(block.maxCount, total)
    block.minLength = Math.min(block.minLength, length)
    this.#words.push(row)
    this.#words.push(pairs.length / 2)
    for (const word of pairs) this.#words.push(word)
    this.count++
  }

  lastRow(block: number): number {
    return (this.#blocks[block] as BlockSummary).lastRow
  }

  maxCount(block: number): number {
    return (this.#blocks[block] as BlockSummary).maxCount
  }

  minLength(block: number): number {
    return (this.#blocks[block] as BlockSummary).minLength
  }

  open(number: number): PostingBlock {
    this.#block ??= new PostingBlock()
    const block = this.#block
    block.clear()
    const words = this.#words
    let at = (this.#blocks[number] as BlockSummary).start
    const count = Math.min(BLOCK_POSTINGS, this.count - number * BLOCK_POSTINGS)
    for (let i = 0; i < count; i++) {
      block.rows[i] = words.at(at)
      const pairs = words.at(at + 1)
      at += 2
      for (let pair = 0; pair < pairs; pair++, at += 2) {
        block.countsOf(words.at(at))[i] = words.at(at + 1)
      }
    }
    block.count = count
    return block
  }

  positions(): BlockPositions {
    throw new Error('an index without positions')
  }
}
