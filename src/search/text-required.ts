import { Bitset } from '../core/bitset.ts'
import type { JsonObject } from '../core/json.ts'
import { anyRow, lowerBound } from './ranked-union.ts'
import type { TextIndex } from './text-index.ts'
import { textOf } from './text-index-builder.ts'
import type { BlockPositions, PostingBlock, TextPostings } from './text-postings.ts'
import type { TextQuery } from './text-query.ts'
import type { FieldWeights } from './text-scores.ts'
import { tokenize } from './tokenizer.ts'

/**
 * Rows that have every word and phrase which the query says must be there; undefined where it says
 * none.
 *
 * In an index without positions the rows of a phrase are those with all its words in one field:
 * there the texts must be asked (see `hasPhrases`).
 * @throws INTEGRITY where postings are damaged
 */
export function requiredRows(
  index: TextIndex,
  query: TextQuery,
  weights: FieldWeights,
): Bitset | undefined {
  if (query.must.size === 0) return undefined
  const postings = new Map<string, TextPostings>()
  for (const word of query.must) {
    const found = index.postings(word)
    if (found === undefined) return new Bitset(index.rows)
    postings.set(word, found)
  }
  const isSearched = (field: number): boolean => weights?.[field] !== 0
  const rows = rowsOfAll([...postings.values()], { rows: index.rows, isSearched })
  for (const phrase of query.phrases) {
    const words = phrase.map((word) => postings.get(word) as TextPostings)
    rows.and(rowsOfPhrase(index, { words, rows, isSearched }))
  }
  return rows
}

/** Whether a record has every phrase of a query in one of its fields that are searched. */
export function hasPhrases(
  payload: JsonObject,
  query: TextQuery,
  known: readonly string[],
): boolean {
  const fields = known.filter((field) => query.fields?.has(field) ?? true)
  const texts = fields.map((field) => tokenize(textOf(payload.get(field))))
  return query.phrases.every((phrase) => texts.some((tokens) => hasRun(tokens, phrase)))
}

function hasRun(tokens: readonly string[], run: readonly string[]): boolean {
  for (let start = 0; start + run.length <= tokens.length; start++) {
    if (run.every((word, i) => tokens[start + i] === word)) return true
  }
  return false
}

interface RowsQuery {
  readonly rows: number
  readonly isSearched: (field: number) => boolean
  /** Only rows of this set. */
  readonly within?: Bitset
}

function rowsOfAll(lists: readonly TextPostings[], query: RowsQuery): Bitset {
  let found = query.within
  for (const list of lists.toSorted((a, b) => a.count - b.count)) {
    found = rowsOf(list, found === undefined ? query : { ...query, within: found })
  }
  return found ?? Bitset.full(query.rows)
}

function rowsOf(list: TextPostings, { rows, isSearched, within }: RowsQuery): Bitset {
  const found = new Bitset(rows)
  let from = 0
  for (let number = 0; number < list.blocks; number++) {
    const last = list.lastRow(number)
    const isWanted = within === undefined || anyRow(within, from, last + 1)
    from = last + 1
    if (!isWanted) continue
    const block = list.open(number)
    for (let i = 0; i < block.count; i++) {
      const row = block.rows[i] as number
      if (within !== undefined && !within.has(row)) continue
      if (standsIn(block, i, isSearched)) found.add(row)
    }
  }
  return found
}

function standsIn(
  block: PostingBlock,
  posting: number,
  isSearched: (field: number) => boolean,
): boolean {
  for (let slot = 0; slot < block.fields.length; slot++) {
    if (block.counts(slot)[posting] !== 0 && isSearched(block.fields[slot] as number)) return true
  }
  return false
}

interface PhraseQuery {
  readonly words: readonly TextPostings[]
  /** Rows with all the words in any fields. */
  readonly rows: Bitset
  readonly isSearched: (field: number) => boolean
}

function rowsOfPhrase(index: TextIndex, { words, rows, isSearched }: PhraseQuery): Bitset {
  const found = new Bitset(index.rows)
  for (let field = 0; field < index.fields.length; field++) {
    if (!isSearched(field)) continue
    const isField = (other: number): boolean => other === field
    const query = { rows: index.rows, isSearched: isField, within: rows }
    const all = rowsOfAll([...new Set(words)], query)
    if (!index.positions) {
      found.or(all)
      continue
    }
    const places = words.map((word) => new WordPlaces(word))
    for (const row of all) {
      const runs = places.map((word) => word.at(row, field))
      if (isRun(runs)) found.add(row)
    }
  }
  return found
}

/** Places of a word in rows that are asked for in ascending order. */
class WordPlaces {
  readonly #postings: TextPostings
  #block = 0
  #read: { readonly block: number; readonly positions: BlockPositions } | undefined

  constructor(postings: TextPostings) {
    this.#postings = postings
  }

  at(row: number, field: number): Uint32Array {
    while (this.#block < this.#postings.blocks - 1 && this.#postings.lastRow(this.#block) < row) {
      this.#block++
    }
    const block = this.#postings.open(this.#block)
    const posting = lowerBound(block.rows, block.count, row)
    if (this.#read?.block !== this.#block) {
      this.#read = { block: this.#block, positions: this.#postings.positions(this.#block) }
    }
    return this.#read.positions.of(posting, field)
  }
}

/** Whether some place of the first word is followed by one of the second, and so on. */
function isRun(places: readonly Uint32Array[]): boolean {
  const [first = new Uint32Array(0), ...others] = places
  return first.some((place) =>
    others.every((list, i) => {
      const at = lowerBound(list, list.length, place + i + 1)
      return list[at] === place + i + 1
    }),
  )
}
