import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import { isWordAt, tokenize } from './tokenizer.ts'

/**
 * A search for words in parts. Every word of every part adds to the score; `must` and `phrase` also
 * decide which records are found at all.
 */
export interface TextSearch {
  /** As a query that is a plain text: see `parseTextQuery`. */
  readonly query?: string
  /** Words that a record must have, each of them. */
  readonly must?: readonly string[]
  /** Each must stand in one field of a record, its words one right after the other. */
  readonly phrase?: readonly string[]
  /** Beginnings of words. */
  readonly prefix?: readonly string[]
  /**
   * Fields to be searched, each as `name` or `name^weight`, 0 < weight ≤ 1,000; default: all with
   * weight 1.
   */
  readonly fields?: readonly string[]
}

/** What a query asks for, in tokens. */
export interface TextQuery {
  /** Tokens in the order of their first place, and how often each stands there. */
  readonly words: ReadonlyMap<string, number>
  /** The same of the beginnings of words. */
  readonly prefixes: ReadonlyMap<string, number>
  /** Words that a row must have. */
  readonly must: ReadonlySet<string>
  /** Words that must follow each other in one field: at least two each. */
  readonly phrases: readonly (readonly string[])[]
  /** Weight by field; undefined: all with weight 1. */
  readonly fields: ReadonlyMap<string, number> | undefined
}

const WEIGHT_MAX = 1_000

/**
 * What a search for words means. In a plain text
 *
 * - "…" between double quotes is a phrase: its words must follow each other in one field. A quote
 *   without a partner is no sign at all. A phrase of one word is a word that must be there.
 * - `wor*`, a star right after a word and not before another, stands for all words that begin so.
 *   They count as one word.
 * - everything else is words that may be there, as the tokenizer finds them.
 *
 * There is nothing to escape: signs that mean nothing here are never part of a word.
 *
 * @param known text fields of the collection
 * @throws LIMIT over queryTextBytesMax or queryTermsMax; USAGE for a field that is none, or a
 *   prefix that is not one word
 */
export function parseTextQuery(search: string | TextSearch, known: readonly string[]): TextQuery {
  const parts = typeof search === 'string' ? { query: search } : search
  checkTextLength(parts)
  const query = new QueryWords()
  query.addText(parts.query ?? '')
  for (const text of parts.must ?? []) for (const word of tokenize(text)) query.addMust(word)
  for (const text of parts.phrase ?? []) query.addPhrase(text)
  for (const text of parts.prefix ?? []) query.addPrefix(onlyWord(text))
  const { words, prefixes, must, phrases } = query
  if (words.size + prefixes.size > limits.queryTermsMax) {
    throw tooLong(`has ${words.size + prefixes.size} distinct words`, 'queryTermsMax')
  }
  const fields = parts.fields === undefined ? undefined : weightsOf(parts.fields, known)
  return { words, prefixes, must, phrases, fields }
}

class QueryWords {
  readonly words = new Map<string, number>()
  readonly prefixes = new Map<string, number>()
  readonly must = new Set<string>()
  readonly phrases: string[][] = []

  addText(text: string): void {
    const pieces = text.split('"')
    for (const [i, piece] of pieces.entries()) {
      // The last piece follows a quote without a partner where their number is even.
      if (i % 2 === 1 && i < pieces.length - 1) this.addPhrase(piece)
      else this.#addPlain(piece)
    }
  }

  #addPlain(text: string): void {
    const pieces = text.split('*')
    for (const [i, piece] of pieces.entries()) {
      const words = tokenize(piece)
      const next = pieces[i + 1]
      const isPrefix =
        next !== undefined && endsInWord(piece) && (next === '' || !isWordAt(next, 0))
      const prefix = isPrefix ? words.pop() : undefined
      for (const word of words) count(this.words, word)
      if (prefix !== undefined) this.addPrefix(prefix)
    }
  }

  addMust(word: string): void {
    count(this.words, word)
    this.must.add(word)
  }

  addPhrase(text: string): void {
    const words = tokenize(text)
    for (const word of words) this.addMust(word)
    if (words.length > 1) this.phrases.push(words)
  }

  addPrefix(prefix: string): void {
    count(this.prefixes, prefix)
  }
}

const count = (counts: Map<string, number>, word: string): void => {
  counts.set(word, (counts.get(word) ?? 0) + 1)
}

/** Whether the last code point is part of a word. */
function endsInWord(text: string): boolean {
  if (text === '') return false
  const last = text.charCodeAt(text.length - 1)
  const isLow = last >= 0xdc00 && last <= 0xdfff
  return isWordAt(text, text.length - (isLow && text.length > 1 ? 2 : 1))
}

function onlyWord(text: string): string {
  const [word, ...more] = tokenize(text)
  if (word !== undefined && more.length === 0) return word
  throw new AkidbError('USAGE', `the prefix "${text.slice(0, 100)}" is not the beginning of a word`)
}

/** @throws LIMIT over queryTextBytesMax, all parts together */
export function checkTextLength(search: string | TextSearch): void {
  const parts = typeof search === 'string' ? { query: search } : search
  const { query = '', must = [], phrase = [], prefix = [] }: TextSearch = parts
  let bytes = 0
  for (const text of [query, ...must, ...phrase, ...prefix]) bytes += Buffer.byteLength(text)
  if (bytes > limits.queryTextBytesMax) {
    throw tooLong(`has ${bytes} bytes`, 'queryTextBytesMax')
  }
}

export const tooLong = (
  what: string,
  limit: 'queryTextBytesMax' | 'queryTermsMax' | 'queryPrefixTermsMax',
): AkidbError =>
  new AkidbError('LIMIT', `The text of a query ${what}.`, {
    hint: `At most ${limits[limit]} (${limit}).`,
    details: { limit, max: limits[limit] },
  })

function weightsOf(
  fields: readonly string[],
  known: readonly string[],
): ReadonlyMap<string, number> | undefined {
  const weights = new Map<string, number>()
  for (const text of fields) {
    const { field, weight } = weightOf(text, known)
    if (weights.has(field)) throw new AkidbError('USAGE', `the field "${field}" is named twice`)
    weights.set(field, weight)
  }
  if (weights.size === 0) throw new AkidbError('USAGE', 'no text field is to be searched')
  const isPlain = known.every((field) => weights.get(field) === 1)
  return isPlain ? undefined : weights
}

function weightOf(
  text: string,
  known: readonly string[],
): { readonly field: string; readonly weight: number } {
  if (known.includes(text)) return { field: text, weight: 1 }
  const [, field = text, digits = '1'] = /^(.*)\^([0-9.]+)$/s.exec(text) ?? []
  const weight = Number(digits)
  if (!known.includes(field)) {
    throw new AkidbError('USAGE', `there is no text index over "${field}"`, {
      hint: `The text fields are ${known.map((name) => `"${name}"`).join(', ')}.`,
    })
  }
  if (weight > 0 && weight <= WEIGHT_MAX) return { field, weight }
  throw new AkidbError('USAGE', `the weight in "${text}" is not above 0 and up to ${WEIGHT_MAX}`)
}
