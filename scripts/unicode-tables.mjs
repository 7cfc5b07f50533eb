// Writes src/search/unicode-tables.ts: the letters, marks and digits of one Unicode version, and its simple lowercase
// mappings, so that the tokenizer gives the same terms on every host for ever.
import { writeFileSync } from 'node:fs'

const ranges = []
for (let code = 0, start = -1; code <= 0x110000; code++) {
  const surrogate = code >= 0xd800 && code <= 0xdfff
  const inside =
    code < 0x110000 && !surrogate && /^[\p{L}\p{M}\p{Nd}]$/u.test(String.fromCodePoint(code))
  if (inside && start < 0) start = code
  if (!inside && start >= 0) {
    ranges.push([start, code - start])
    start = -1
  }
}
// [first code, how many, step, distance to the lowercase form]
const lower = []
for (let code = 0; code < 0x110000; code++) {
  if (code >= 0xd800 && code <= 0xdfff) continue
  const mapped = [...String.fromCodePoint(code).toLowerCase()]
  if (mapped.length !== 1) continue
  const distance = mapped[0].codePointAt(0) - code
  if (distance === 0) continue
  const last = lower.at(-1)
  if (last !== undefined && last[3] === distance) {
    const step = code - (last[0] + (last[1] - 1) * last[2])
    if (last[1] === 1 && step <= 2) last[2] = step
    if (step === last[2]) {
      last[1]++
      continue
    }
  }
  lower.push([code, 1, 1, distance])
}
const deltas = (rows) => {
  let before = 0
  return rows.map(([first, ...rest]) => {
    const delta = first - before
    before = first
    return [delta, ...rest].map((n) => n.toString(36)).join(' ')
  })
}
const lines = (items) => {
  const out = []
  let line = ''
  for (const item of items) {
    const next = line === '' ? item : `${line},${item}`
    if (next.length > 90) {
      out.push(`  '${line},',`)
      line = item
    } else line = next
  }
  out.push(`  '${line}',`)
  return out.join('\n')
}
writeFileSync(
  new URL('../src/search/unicode-tables.ts', import.meta.url),
  `/**
 * Letters, marks and digits of Unicode ${process.versions.unicode}, and its simple lowercase mappings.
 * Made by scripts/unicode-tables.mjs; the tokenizer's name stands for this very table.
 */
export const UNICODE_VERSION = '${process.versions.unicode}'

/** Runs of L, M and Nd: distance from the run before, and length; base 36. */
export const WORD_RUNS = [
${lines(deltas(ranges))}
].join('')

/** Runs of lowercase mappings: distance from the run before, count, step, distance to the mapped code; base 36. */
export const LOWER_RUNS = [
${lines(deltas(lower))}
].join('')
`,
)
