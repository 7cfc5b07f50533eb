import { AkidbError } from '../../errors/errors.ts'

const CANDIDATES = [',', ';', '\t', '|']

/**
 * The candidate that stands most often outside quotes in the first line with text; "," where none
 * does.
 */
export function guessSeparator(head: Uint8Array): string {
  const counts = new Map(CANDIDATES.map((candidate) => [candidate, 0]))
  let quoted = false
  let seen = false
  for (const byte of head) {
    const char = String.fromCharCode(byte)
    if (char === '"') quoted = !quoted
    else if (!quoted && (char === '\n' || char === '\r') && seen) break
    else if (!quoted) {
      const count = counts.get(char)
      if (count !== undefined) counts.set(char, count + 1)
    }
    if (char !== '\n' && char !== '\r') seen = true
  }
  return CANDIDATES.reduce((best, candidate) =>
    (counts.get(candidate) ?? 0) > (counts.get(best) ?? 0) ? candidate : best,
  )
}

/**
 * A separator that somebody gave: one ASCII character, no quote and no line end; `\t` and `tab`
 * are the tab.
 */
export function checkSeparator(given: string): string {
  if (given === '\\t' || given === 'tab') return '\t'
  if (given.length === 1 && given > '\0' && given < '\x80' && !/["\r\n]/.test(given)) return given
  throw new AkidbError('USAGE', `${JSON.stringify(given)} is no separator.`, {
    hint: 'Give one character, such as ";", or "tab".',
  })
}
