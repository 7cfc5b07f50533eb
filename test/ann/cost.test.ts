import { expect, it } from 'vitest'
import { scanCostNs, walkCostNs } from '../../src/ann/cost.ts'

const dimension = 768
const scan = (matching: number) => scanCostNs('scan-int8', matching, dimension)
const walk = (rows: number, matching: number) => walkCostNs({ rows, matching, dimension, ef: 128 })

it('scans cost less than walks where few rows match, and more where many do', () => {
  for (const rows of [20_000, 100_000, 1_000_000]) {
    expect(scan(rows / 1_000)).toBeLessThan(walk(rows, rows / 1_000))
    expect(scan(rows)).toBeGreaterThan(walk(rows, rows))
  }
})

it('costs rise with rows and dimension', () => {
  expect(scan(2_000)).toBeGreaterThan(scan(1_000))
  expect(scanCostNs('scan-f32', 1_000, 768)).toBeGreaterThan(scan(1_000))
  expect(scanCostNs('scan-int8', 1_000, 1_536)).toBeGreaterThan(scan(1_000))
  expect(walk(20_000, 2_000)).toBeGreaterThan(walk(20_000, 20_000))
  expect(walk(20_000, 0)).toBeLessThan(Number.POSITIVE_INFINITY)
})
