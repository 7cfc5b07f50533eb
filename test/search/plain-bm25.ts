import type { Bitset } from '../../src/core/bitset.ts'
import type { JsonObject } from '../../src/core/json.ts'
import { log } from '../../src/core/log.ts'
import { textOf } from '../../src/search/text-index-builder.ts'
import type { TextQuery } from '../../src/search/text-query.ts'
import { tokenize } from '../../src/search/tokenizer.ts'

/** Rows of a segment and which of them live and may be found. */
export interface PlainSegment {
  readonly payloads: readonly JsonObject[]
  readonly alive: Bitset
  readonly allowed?: Bitset | undefined
}

export interface PlainHit {
  readonly segment: number
  readonly row: number
  readonly score: number
}

/**
 * What a search for words means, straight from the texts: every row is scored, nothing is left out.
 * Sums are in the order that the engine promises, so that scores can be compared bit by bit.
 */
export function plainSearch(
  segments: readonly PlainSegment[],
  query: TextQuery,
  fields: readonly string[],
): PlainHit[] {
  const weights = fields.map((field) => query.fields?.get(field) ?? (query.fields ? 0 : 1))
  const rows = segments.flatMap(({ payloads, alive, allowed }, segment) =>
    payloads.flatMap((payload, row) => {
      if (!alive.has(row)) return []
      const texts = fields.map((field) => tokenize(textOf(payload.get(field))))
      return [{ segment, row, texts, found: allowed?.has(row) ?? true }]
    }),
  )
  const lengthOf = (texts: readonly string[][]): number =>
    texts.reduce((sum, tokens, i) => sum + (weights[i] as number) * tokens.length, 0)
  const frequency = (texts: readonly string[][], isTerm: (token: string) => boolean): number =>
    texts.reduce((sum, tokens, i) => sum + (weights[i] as number) * tokens.filter(isTerm).length, 0)
  const average = rows.reduce((sum, { texts }) => sum + lengthOf(texts), 0) / rows.length
  const terms = [
    ...Array.from(query.words, ([word, repeats]) => ({
      repeats,
      is: (token: string) => token === word,
    })),
    ...Array.from(query.prefixes, ([prefix, repeats]) => ({
      repeats,
      is: (token: string) => token.startsWith(prefix),
    })),
  ].map(({ repeats, is }) => {
    const df = rows.filter(({ texts }) => frequency(texts, is) > 0).length
    return { is, weight: repeats * log(1 + (rows.length - df + 0.5) / (df + 0.5)) }
  })
  return rows
    .flatMap(({ segment, row, texts, found }) => {
      if (!found || !hasAll(texts, weights, query)) return []
      let score = 0
      for (const { is, weight } of terms) {
        const count = frequency(texts, is)
        if (count === 0) continue
        const norm = 1.2 * (1 - 0.75 + (0.75 * lengthOf(texts)) / average)
        score += (weight * count) / (count + norm)
      }
      return score === 0 ? [] : [{ segment, row, score }]
    })
    .sort((a, b) => b.score - a.score || a.segment - b.segment || a.row - b.row)
}

function hasAll(
  texts: readonly string[][],
  weights: readonly number[],
  { must, phrases }: TextQuery,
): boolean {
  const searched = texts.filter((_, i) => weights[i] !== 0)
  const hasPhrase = (phrase: readonly string[]): boolean =>
    searched.some((tokens) =>
      tokens.some((_, start) => phrase.every((word, i) => tokens[start + i] === word)),
    )
  return (
    [...must].every((word) => searched.some((tokens) => tokens.includes(word))) &&
    phrases.every(hasPhrase)
  )
}
