/**
 * A 32-bit hash of a row's number (murmur3's finaliser, A. Appleby, 2008), for choices that must be
 * the same on every machine.
 */
export function hashOfRow(row: number): number {
  let z = (Math.imul(row + 1, 0x9e3779b9) + 42) >>> 0
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
  return (z ^ (z >>> 16)) >>> 0
}

/** `count` of a segment's rows (all, where it has no more), those of the lowest hashes first. */
export function sampleOfRows(rows: number, count: number): Uint32Array {
  // Hash and row in one float64: 32 + 20 bits are exact.
  const keys = Float64Array.from({ length: rows }, (_, row) => hashOfRow(row) * ROWS_MAX + row)
  keys.sort()
  return Uint32Array.from(keys.subarray(0, count), (key) => key % ROWS_MAX)
}

/** Beyond limits.segmentRowsMax − 1. */
const ROWS_MAX = 2 ** 20
