import type { TextMode } from './condition.ts'
import { forEachToken, tokenize } from './tokenizer.ts'

/**
 * Whether a text has these tokens as the mode asks: all of them, any, or all in this order without
 * others between. No tokens at all are in no text.
 */
export function textMatches(text: string, mode: TextMode, tokens: readonly string[]): boolean {
  if (tokens.length === 0) return false
  if (mode === 'phrase') return hasPhrase(tokenize(text), tokens)
  const wanted = new Set(tokens)
  const found = new Set<string>()
  forEachToken(text, (token) => {
    if (wanted.has(token)) found.add(token)
  })
  return mode === 'any' ? found.size > 0 : found.size === wanted.size
}

function hasPhrase(text: readonly string[], phrase: readonly string[]): boolean {
  for (let from = text.indexOf(phrase[0] as string); from >= 0; ) {
    if (from + phrase.length > text.length) return false
    if (phrase.every((token, i) => text[from + i] === token)) return true
    from = text.indexOf(phrase[0] as string, from + 1)
  }
  return false
}
