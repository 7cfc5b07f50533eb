// Writes src/search/unicode-tables.ts: what the tokenizer knows of Unicode, taken from the Node
// that runs this script and committed, so that tokens do not depend on the host. Other data mean
// other tokens: that is a new tokenizer version, never a change of an existing one.
//
// usage: node scripts/unicode-tables.mjs

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

const CODE_POINTS = 0x110000
const LINE_CHARS = 92
const target = join(import.meta.dirname, '..', 'src', 'search', 'unicode-tables.ts')

writeFileSync(target, render())

function render() {
  return `// Written by scripts/unicode-tables.mjs; not to be edited.

/** The version of Unicode that the tables below are of. */
export const UNICODE_VERSION = '${process.versions.unicode}'

/**
 * Code points of letters, marks and decimal digits (L*, M*, Nd) as ranges: pairs of gap and length,
 * in base 36; a gap counts from the end of the range before, or from 0.
 */
export const WORD_RANGES = [
${literal(wordRanges())}
].join('')

/**
 * Simple lowercase mappings beyond ASCII as runs: start (counted from the start before), count,
 * step between them and what is added, in base 36.
 */
export const LOWERCASE_RUNS = [
${literal(lowercaseRuns())}
].join('')
`
}

function wordRanges() {
  const numbers = []
  let end = 0
  for (let code = 0; code < CODE_POINTS; code++) {
    if (!isWord(code)) continue
    let after = code + 1
    while (after < CODE_POINTS && isWord(after)) after++
    numbers.push(code - end, after - code)
    end = after
    code = after
  }
  return numbers
}

function isWord(code) {
  return !isSurrogate(code) && /^[\p{L}\p{M}\p{Nd}]$/u.test(String.fromCodePoint(code))
}

/** Runs of the same difference and step; a step is 1 or 2, as upper and lower case alternate. */
function lowercaseRuns() {
  const mappings = lowercaseMappings()
  const numbers = []
  let before = 0
  for (let i = 0; i < mappings.length; ) {
    const { code, add } = mappings[i]
    const step = mappings[i + 1]?.add === add ? mappings[i + 1].code - code : 1
    let count = 1
    while (
      (step === 1 || step === 2) &&
      mappings[i + count]?.add === add &&
      mappings[i + count].code === code + count * step
    ) {
      count++
    }
    numbers.push(code - before, count, count === 1 ? 1 : step, add)
    before = code
    i += count
  }
  return numbers
}

function lowercaseMappings() {
  const mappings = []
  for (let code = 0x80; code < CODE_POINTS; code++) {
    if (isSurrogate(code)) continue
    // The first code point: U+0130 alone has a full mapping of two, its simple one is the first.
    const lower = String.fromCodePoint(code).toLowerCase().codePointAt(0)
    if (lower !== code) mappings.push({ code, add: lower - code })
  }
  return mappings
}

function isSurrogate(code) {
  return code >= 0xd800 && code < 0xe000
}

function literal(numbers) {
  const text = numbers.map((number) => number.toString(36)).join(' ')
  const lines = []
  for (let at = 0; at < text.length; at += LINE_CHARS) {
    lines.push(`  '${text.slice(at, at + LINE_CHARS)}',`)
  }
  return lines.join('\n')
}
