import { Bitset } from '../core/bitset.ts'
import type { TextMode } from './condition.ts'
import { exactly, type Selection } from './selection.ts'
import type { TextColumn } from './text-column.ts'
import { textMatches } from './text-match.ts'

interface Wanted {
  readonly mode: TextMode
  readonly tokens: readonly string[]
}

/** Texts up to here are counted one by one for an estimate. */
const COUNTED_MAX = 4_096

/**
 * Finds tokens in the texts of one key. Texts are numbered: those that are listed, then those that
 * are not, of which only row and tokens are known.
 */
export class TextSearch {
  readonly #listed: TextColumn | undefined
  readonly #unlisted: Uint32Array
  readonly #tokens: TextColumn | undefined
  readonly #count: number
  readonly #texts: number

  /**
   * @param unlisted the row of each unlisted text
   * @param tokens undefined where there were too many: listed texts are read then
   */
  constructor(
    listed: TextColumn | undefined,
    unlisted: Uint32Array,
    tokens: TextColumn | undefined,
  ) {
    this.#listed = listed
    this.#unlisted = unlisted
    this.#tokens = tokens
    this.#texts = listed?.count ?? 0
    this.#count = this.#texts + unlisted.length
  }

  /** Adds the rows with such a text to `rows`, which become the answer's `sure`. */
  select(wanted: Wanted, rows: Bitset): Selection {
    if (wanted.tokens.length === 0) return exactly(rows)
    const { texts, open } = this.#find(wanted)
    const maybe = open ? rows.clone() : rows
    for (const [i, row] of this.#unlisted.entries()) {
      if (!texts.has(this.#texts + i)) continue
      maybe.add(row)
      texts.remove(this.#texts + i)
    }
    this.#listed?.postings.addEach(texts.words, rows.words)
    return open ? { sure: rows, maybe: maybe.or(rows) } : exactly(rows)
  }

  estimate(wanted: Wanted): number {
    if (wanted.tokens.length === 0) return 0
    if (this.#tokens === undefined) return Number.MAX_SAFE_INTEGER
    const found = wanted.mode === 'any' ? this.#anyOf(wanted.tokens) : this.#allOf(wanted.tokens)
    if (found.count() > COUNTED_MAX) return Number.MAX_SAFE_INTEGER
    let count = 0
    for (const text of found) {
      count += text < this.#texts ? (this.#listed?.postings.count(text) ?? 0) : 1
    }
    return count
  }

  /** Texts that match; of unlisted ones, where `open`, those that may. */
  #find({ mode, tokens }: Wanted): { readonly texts: Bitset; readonly open: boolean } {
    if (this.#tokens === undefined) return this.#readAll({ mode, tokens })
    if (mode === 'any') return { texts: this.#anyOf(tokens), open: false }
    const texts = this.#allOf(tokens)
    if (mode === 'all' || tokens.length === 1) return { texts, open: false }
    let open = false
    for (const text of texts) {
      if (text >= this.#texts) open = true
      else if (!this.#matches(text, { mode, tokens })) texts.remove(text)
    }
    return { texts, open }
  }

  #readAll(wanted: Wanted): { readonly texts: Bitset; readonly open: boolean } {
    const texts = new Bitset(this.#count)
    for (let text = 0; text < this.#texts; text++) {
      if (this.#matches(text, wanted)) texts.add(text)
    }
    for (let text = this.#texts; text < this.#count; text++) texts.add(text)
    return { texts, open: this.#unlisted.length > 0 }
  }

  #matches(text: number, { mode, tokens }: Wanted): boolean {
    return textMatches(this.#listed?.text(text) ?? '', mode, tokens)
  }

  #anyOf(tokens: readonly string[]): Bitset {
    const texts = new Bitset(this.#count)
    for (const token of tokens) this.#addTexts(token, texts)
    return texts
  }

  #allOf(tokens: readonly string[]): Bitset {
    const texts = Bitset.full(this.#count)
    for (const token of new Set(tokens)) {
      const having = new Bitset(this.#count)
      this.#addTexts(token, having)
      texts.and(having)
    }
    return texts
  }

  #addTexts(token: string, texts: Bitset): void {
    const found = this.#tokens?.find(token) ?? -1
    if (found >= 0) this.#tokens?.postings.add(found, texts.words)
    // A text that is its own only token is not listed among the tokens' texts.
    const own = this.#listed?.find(token) ?? -1
    if (own >= 0) texts.add(own)
  }
}
