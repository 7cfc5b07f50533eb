import { scanNumber } from '../core/json-number.ts'
import { limits } from '../core/limits.ts'
import { Flaw } from './flaw.ts'
import { checkVector, type VectorRule } from './vector-check.ts'

/**
 * A vector written as text: numbers between brackets or bare, with one kind of separator: ";", or
 * ",", or white space (as numpy prints). Numbers are those of JSON; white space around them is
 * ignored.
 *
 * A text with ";" is never also cut at ",", so decimal commas are refused instead of doubling the
 * components. A bare number is a vector only where dimension 1 is wanted.
 */
export function parseVectorText(text: string, rule: VectorRule): Float32Array | Flaw {
  const column = rule.column
  const trimmed = text.trim()
  if (trimmed === '' || trimmed === 'null') {
    return new Flaw('NO_VECTOR', 'The vector is missing.', { column })
  }
  const opens = trimmed.startsWith('[')
  if (opens !== trimmed.endsWith(']')) {
    return new Flaw('BAD_VECTOR', 'The vector has one bracket without the other.', { column })
  }
  const body = opens ? trimmed.slice(1, -1).trim() : trimmed
  if (body === '') return new Flaw('NO_VECTOR', 'The vector is empty.', { column })
  const separator = body.includes(';') ? 0x3b : body.includes(',') ? 0x2c : 0x20
  if (!opens && separator === 0x20 && !/\s/.test(body) && rule.dimension !== 1) {
    return new Flaw('BAD_VECTOR', `${shown(body)} is no vector.`, { column })
  }
  const numbers = scanList(Buffer.from(body, 'utf8'), separator, column)
  return numbers instanceof Flaw ? numbers : checkVector(numbers, rule)
}

let scratch = new Float64Array(1_024)

function scanList(bytes: Buffer, separator: number, column: string): Float64Array | Flaw {
  let count = 0
  let at = skipSpace(bytes, 0)
  for (;;) {
    const number = scanNumber(bytes, at, bytes.length)
    const end = number?.end ?? at
    const next = number === undefined ? at : skipSpace(bytes, end)
    const atEnd = next === bytes.length
    const separated = separator === 0x20 ? next > end : bytes[next] === separator
    if (number === undefined || !(atEnd || separated)) {
      const part = bytes.toString('utf8', at, Math.min(at + 24, bytes.length))
      const word = part.split(separator === 0x3b ? ';' : separator === 0x2c ? ',' : /\s/)[0] ?? ''
      const code = /^[+-]?(nan|inf(inity)?)$/i.test(word.trim()) ? 'NOT_FINITE' : 'BAD_VECTOR'
      return new Flaw(code, `Component ${count} (${shown(word)}) is no number.`, { column })
    }
    if (count === limits.dimensionMax) {
      const reason = `The vector has more than ${limits.dimensionMax} components.`
      return new Flaw('LIMIT', reason, { column })
    }
    if (count === scratch.length) {
      const grown = new Float64Array(count * 2)
      grown.set(scratch)
      scratch = grown
    }
    scratch[count++] = number.value
    if (atEnd) return scratch.subarray(0, count)
    at = separator === 0x20 ? next : skipSpace(bytes, next + 1)
  }
}

function skipSpace(bytes: Buffer, start: number): number {
  let at = start
  while (at < bytes.length) {
    const byte = bytes[at]
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
    at++
  }
  return at
}

const shown = (text: string): string =>
  JSON.stringify(text.length > 32 ? `${text.slice(0, 32)}…` : text)
