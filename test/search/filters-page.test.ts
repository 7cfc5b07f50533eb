import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type JsonObject, parseJson } from '../../src/core/json.ts'
import { limits } from '../../src/core/limits.ts'
import { hasCode } from '../../src/errors/errors.ts'
import { matchesFilter } from '../../src/search/evaluate.ts'
import { openFieldIndex } from '../../src/search/field-index.ts'
import { createFieldIndexBuilder } from '../../src/search/field-index-builder.ts'
import { KEYS_MAX, VALUE_BYTES_MAX } from '../../src/search/field-index-format.ts'
import { KEY_DEPTH_MAX } from '../../src/search/field-values.ts'
import { parseFilter } from '../../src/search/filter.ts'
import { EARTH_METRES } from '../../src/search/geo-distance.ts'
import { ROOT } from '../support/sources.ts'

const PAGE = readFileSync(join(ROOT, 'docs', 'filters.md'), 'utf8')
const EXAMPLE = /^\| `(.+)` \| `(.+)` \| (yes|no) \|$/gm
const REFUSED = /^\| `([^`]+)` \|$/gm

const examples = [...PAGE.matchAll(EXAMPLE)].map(
  ([, filter = '', payload = '', passes]) => [filter, payload, passes === 'yes'] as const,
)

const indexOf = (payloads: readonly JsonObject[]) => {
  const builder = createFieldIndexBuilder()
  for (const payload of payloads) builder.add(payload)
  return openFieldIndex(builder.encode(), payloads.length)
}

describe('docs/filters.md', () => {
  it('has examples in every table', () => {
    const rows = PAGE.split('\n').filter((line) => line.startsWith('| `')).length
    expect(examples.length + [...PAGE.matchAll(REFUSED)].length).toBe(rows)
    expect(examples.length).toBeGreaterThan(60)
  })

  it.each(examples)('%s on %s: %s', (filter, payload, passes) => {
    const parsed = parseFilter(parseJson(filter))
    const record = { id: '7', payload: parseJson(payload) as JsonObject }
    expect(matchesFilter(parsed, record)).toBe(passes)
  })

  it('means the same to the filter index, all payloads in one segment', () => {
    const payloads = examples.map(([, payload]) => parseJson(payload) as JsonObject)
    const index = indexOf(payloads)
    for (const [row, [filter, , passes]] of examples.entries()) {
      const parsed = parseFilter(parseJson(filter))
      const { sure, maybe, exact } = index.select(parsed, (id) => (id === '7' ? [row] : []))
      // Only elements of arrays are left to the payload.
      expect(exact || filter.includes('nested'), filter).toBe(true)
      if (exact) expect(sure.has(row), filter).toBe(passes)
      else expect([sure.has(row), maybe.has(row) || !passes], filter).toEqual([false, true])
    }
  })

  it.each([...PAGE.matchAll(REFUSED)].map(([, filter = '']) => filter))('refuses %s', (filter) => {
    try {
      parseFilter(parseJson(filter))
      expect.unreachable()
    } catch (error) {
      expect(hasCode(error, 'USAGE')).toBe(true)
    }
  })

  it('names the limits as they are', () => {
    expect(PAGE).toContain(`a depth of ${limits.filterDepthMax} (\`filterDepthMax\`)`)
    const conditions = limits.filterConditionsMax.toLocaleString('en')
    expect(PAGE).toContain(`${conditions} conditions in all (\`filterConditionsMax\`)`)
    const points = limits.filterPolygonPointsMax.toLocaleString('en')
    expect(PAGE).toContain(`${points} points in all (\`filterPolygonPointsMax\`)`)
    expect(PAGE).toContain(`(${EARTH_METRES.toLocaleString('en')} m)`)
    expect(PAGE).toContain(`texts over ${VALUE_BYTES_MAX.toLocaleString('en')} bytes`)
    expect(PAGE).toContain(`the first ${KEYS_MAX} of a segment`)
    expect(PAGE).toContain(`through ${KEY_DEPTH_MAX} objects`)
    const nested = (depth: number): JsonObject => {
      let payload: JsonObject = new Map([['x', 1]])
      for (let i = 0; i < depth; i++) payload = new Map([['a', payload]])
      return payload
    }
    for (const [depth, passes] of [
      [KEY_DEPTH_MAX, true],
      [KEY_DEPTH_MAX + 1, false],
    ] as const) {
      const filter = parseFilter({ [`${'a.'.repeat(depth)}x`]: 1 })
      const payload = nested(depth)
      expect(matchesFilter(filter, { id: 'a', payload })).toBe(passes)
      expect(
        indexOf([payload])
          .select(filter, () => [])
          .sure.count(),
      ).toBe(passes ? 1 : 0)
    }
  })
})
