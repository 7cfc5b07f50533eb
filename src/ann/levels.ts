import { LEVELS_MAX } from './kernel/layout.ts'
import { hashOfRow } from './row-hash.ts'

/** Levels of a graph's rows: a pure function of the row number and m, so they are never stored. */
export interface GraphLevels {
  /** Level of each row, 0…15. */
  readonly levels: Uint8Array
  /** Where a row's lists above level 0 start, in words. */
  readonly upperAt: Uint32Array
  /** Words of all lists above level 0. */
  readonly upperWords: number
  /** The first row of the highest level: where walks start. */
  readonly entry: number
  readonly maxLevel: number
}

/**
 * Levels such that about 1/m of the rows of one level reach the next (Malkov & Yashunin,
 * arXiv:1603.09320, §4.1), drawn from a hash of the row number with integer
 * thresholds, so that no library's logarithm is involved.
 */
export function graphLevels(rows: number, m: number): GraphLevels {
  const levels = new Uint8Array(rows)
  const upperAt = new Uint32Array(rows)
  const thresholds = levelThresholds(m)
  let upperWords = 0
  let entry = 0
  let maxLevel = 0
  for (let row = 0; row < rows; row++) {
    const hash = hashOfRow(row)
    let level = 0
    while (level < thresholds.length && hash < (thresholds[level] as number)) level++
    levels[row] = level
    upperAt[row] = upperWords
    upperWords += level * (m + 1)
    if (level > maxLevel) {
      maxLevel = level
      entry = row
    }
  }
  return { levels, upperAt, upperWords, entry, maxLevel }
}

/** Hashes below thresholds[l] reach level l + 1. */
function levelThresholds(m: number): number[] {
  const thresholds: number[] = []
  let power = m
  for (let level = 1; level < LEVELS_MAX && power < 2 ** 32; level++) {
    thresholds.push(Math.floor(2 ** 32 / power))
    power *= m
  }
  return thresholds
}
