import { type Instant, instantOf } from '../core/instant.ts'
import type { FieldRows, Rows } from './field-rows.ts'

/** A text that is a time, and its rows. */
interface TimeText {
  readonly instant: Instant
  readonly rows: Rows
}

/** Ascending distinct times, and their rows. */
export function timeRows(known: FieldRows, strings: readonly string[]): readonly TimeText[] {
  const found: TimeText[] = []
  for (const text of strings) {
    const instant = mayBeTime(text) ? instantOf(text) : undefined
    if (instant !== undefined) found.push({ instant, rows: known.strings.get(text) ?? [] })
  }
  for (const { row, text } of known.unlistedTimes) {
    found.push({ instant: instantOf(text) as Instant, rows: row })
  }
  // Texts of one form and zone are in order already.
  const sorted = found.every((one, i) => i === 0 || compare(found[i - 1] as TimeText, one) <= 0)
  if (!sorted) found.sort(compare)
  const times: TimeText[] = []
  for (const one of found) {
    const last = times.at(-1)
    if (last === undefined || compare(last, one) !== 0) times.push(one)
    else times[times.length - 1] = { ...last, rows: joined(last.rows, one.rows) }
  }
  return times
}

/** Far cheaper than to read it as one. */
const mayBeTime = (text: string): boolean => {
  const first = text.charCodeAt(0)
  return text.length >= 10 && (first === 0x2b || first === 0x2d || (first >= 0x30 && first <= 0x39))
}

const compare = ({ instant: a }: TimeText, { instant: b }: TimeText): number =>
  a.seconds - b.seconds || a.nanoseconds - b.nanoseconds

const joined = (a: Rows, b: Rows): Rows => [...new Set([a, b].flat())].sort((x, y) => x - y)
