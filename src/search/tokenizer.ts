import { LOWERCASE_RUNS, WORD_RANGES } from './unicode-tables.ts'

/** The name and version of the tokenizer, as schemas record it. */
export const PLAIN_TOKENIZER = 'plain/1'

/** UTF-16 units of a token; the rest of a longer run is passed over, in texts and queries alike. */
export const TOKEN_UNITS_MAX = 256

/**
 * Tokens of a text by `plain/1`: the longest runs of letters, marks and decimal digits (Unicode
 * categories L*, M*, Nd), each code point in simple lowercase. No stemming, no stop words, no
 * normalisation.
 *
 * Uses the committed tables alone (unicode-tables.ts), so that tokens are the same on every host.
 */
export function tokenize(text: string): string[] {
  const tokens: string[] = []
  forEachToken(text, (token) => tokens.push(token))
  return tokens
}

/** The same without the list: calls `visit` for each token in order. A token may be a slice. */
export function forEachToken(text: string, visit: (token: string) => void): void {
  const end = text.length
  let at = 0
  while (at < end) {
    const code = text.charCodeAt(at)
    if (code < 0x80 ? ASCII_CLASS[code] === SEPARATOR : !isWordAt(text, at)) {
      at += code < 0x80 || (text.codePointAt(at) as number) < 0x10000 ? 1 : 2
      continue
    }
    const start = at
    let classes = 0
    while (at < end) {
      const unit = text.charCodeAt(at)
      if (unit >= 0x80) break
      const kind = ASCII_CLASS[unit] as number
      if (kind === SEPARATOR) break
      classes |= kind
      at++
    }
    if (at < end && text.charCodeAt(at) >= 0x80 && isWordAt(text, at)) {
      at = visitWide(text, start, visit)
    } else {
      const token = text.slice(start, Math.min(at, start + TOKEN_UNITS_MAX))
      // Over ASCII the language defines this exactly.
      visit((classes & UPPER) === 0 ? token : token.toLowerCase())
    }
  }
}

/** A token with code points beyond ASCII; returns where it ends. */
function visitWide(text: string, start: number, visit: (token: string) => void): number {
  let token = ''
  let at = start
  while (at < text.length && isWordAt(text, at)) {
    const code = text.codePointAt(at) as number
    if (token.length < TOKEN_UNITS_MAX) token += String.fromCodePoint(lowercase(code))
    at += code < 0x10000 ? 1 : 2
  }
  visit(token)
  return at
}

/** Whether the code point there is part of a word. */
export function isWordAt(text: string, at: number): boolean {
  const code = text.codePointAt(at) as number
  if (code < 0x80) return ASCII_CLASS[code] !== SEPARATOR
  wordBits ??= decodeWordRanges()
  return (((wordBits[code >>> 5] as number) >>> (code & 31)) & 1) === 1
}

function lowercase(code: number): number {
  if (code < 0x80) return code >= 0x41 && code <= 0x5a ? code + 32 : code
  lowercaseOf ??= decodeLowercaseRuns()
  return lowercaseOf.get(code) ?? code
}

const SEPARATOR = 0
const LOWER = 1
const UPPER = 2

const ASCII_CLASS = Uint8Array.from({ length: 0x80 }, (_, code) => {
  const character = String.fromCharCode(code)
  if (character >= 'A' && character <= 'Z') return UPPER
  if (character >= 'a' && character <= 'z') return LOWER
  return character >= '0' && character <= '9' ? LOWER : SEPARATOR
})

/** Made at the first text that is not ASCII. */
let wordBits: Uint32Array | undefined
let lowercaseOf: ReadonlyMap<number, number> | undefined

function decodeWordRanges(): Uint32Array {
  const bits = new Uint32Array(0x110000 / 32)
  const numbers = numbersOf(WORD_RANGES)
  let code = 0
  for (let i = 0; i < numbers.length; i += 2) {
    code += numbers[i] as number
    for (const end = code + (numbers[i + 1] as number); code < end; code++) {
      bits[code >>> 5] = (bits[code >>> 5] as number) | (1 << (code & 31))
    }
  }
  return bits
}

function decodeLowercaseRuns(): Map<number, number> {
  const mappings = new Map<number, number>()
  const numbers = numbersOf(LOWERCASE_RUNS)
  let start = 0
  for (let i = 0; i < numbers.length; i += 4) {
    start += numbers[i] as number
    const [count = 0, step = 1, add = 0] = numbers.slice(i + 1, i + 4)
    for (let j = 0; j < count; j++) {
      mappings.set(start + j * step, start + j * step + add)
    }
  }
  return mappings
}

const numbersOf = (text: string): number[] =>
  text.split(' ').map((number) => Number.parseInt(number, 36))
