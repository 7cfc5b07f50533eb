import { LOWER_RUNS, WORD_RUNS } from './unicode-tables.ts'

/** Characters of a term that are kept; longer runs are cut, so that a hostile text makes no endless term. */
export const TERM_CHARACTERS_MAX = 256

/**
 * Terms of a text by the tokenizer `plain/1`: lowercased runs of letters, marks and digits, in their order. Tables of
 * one Unicode version are part of the program: the host's own would change with it.
 */
export function tokenize(text: string): string[] {
  const terms: string[] = []
  let start = -1
  let plain = true
  for (let i = 0; i <= text.length; ) {
    const code = i < text.length ? (text.codePointAt(i) as number) : 0
    const inside = i < text.length && (code < 128 ? isAsciiWord(code) : isWord(code))
    if (inside) {
      if (start < 0) {
        start = i
        plain = true
      }
      if (code >= 128) plain = false
    } else if (start >= 0) {
      terms.push(term(text.slice(start, i), plain))
      start = -1
    }
    i += code > 0xffff ? 2 : 1
  }
  return terms
}

const isAsciiWord = (code: number): boolean =>
  (code >= 97 && code <= 122) || (code >= 48 && code <= 57) || (code >= 65 && code <= 90)

function term(run: string, ascii: boolean): string {
  // ASCII has one lowercase form on every host.
  const lowered = ascii ? run.toLowerCase() : lower(run)
  if (lowered.length <= TERM_CHARACTERS_MAX) return lowered
  return [...lowered].slice(0, TERM_CHARACTERS_MAX).join('')
}

function lower(run: string): string {
  let result = ''
  for (const character of run) {
    const code = character.codePointAt(0) as number
    const mapped = tables().lower.get(code)
    result += mapped === undefined ? character : String.fromCodePoint(mapped)
  }
  return result
}

/** Binary search among the starts of the runs. */
function isWord(code: number): boolean {
  const { starts, ends } = tables()
  let low = 0
  let high = starts.length - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if ((starts[middle] as number) <= code) low = middle
    else high = middle - 1
  }
  return code >= (starts[low] as number) && code < (ends[low] as number)
}

interface Tables {
  readonly starts: Uint32Array
  readonly ends: Uint32Array
  readonly lower: ReadonlyMap<number, number>
}

let decoded: Tables | undefined

/** Decoded at the first text beyond ASCII. */
function tables(): Tables {
  decoded ??= decodeTables()
  return decoded
}

function decodeTables(): Tables {
  const runs = rows(WORD_RUNS)
  const starts = Uint32Array.from(runs, ([first]) => first as number)
  const ends = Uint32Array.from(runs, ([first, length]) => (first as number) + (length as number))
  const lower = new Map<number, number>()
  for (const [first, count, step, distance] of rows(LOWER_RUNS)) {
    for (let i = 0; i < (count as number); i++) {
      const code = (first as number) + i * (step as number)
      lower.set(code, code + (distance as number))
    }
  }
  return { starts, ends, lower }
}

/** Rows of a table; the first number of each is the distance from the row before. */
function rows(table: string): number[][] {
  let before = 0
  return table.split(',').map((row) => {
    const numbers = row.split(' ').map((digits) => Number.parseInt(digits, 36))
    before += numbers[0] as number
    return [before, ...numbers.slice(1)]
  })
}
