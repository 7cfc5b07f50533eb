import { describe, expect, it } from 'vitest'
import { closest } from '../../src/cli/closest.ts'
import { escapeJson, escapeLine, escapeText } from '../../src/cli/escape.ts'
import { humanAmount, humanBytes, humanCount, humanDuration, plural } from '../../src/cli/human.ts'
import { jsonLine } from '../../src/cli/json-document.ts'
import { csvLine, fields, table } from '../../src/cli/table.ts'
import {
  parseCount,
  parseDurationMs,
  parseRejects,
  parseSizeBytes,
  parseTimeMs,
} from '../../src/cli/values.ts'
import { hasCode } from '../../src/errors/errors.ts'

const refuses = (act: () => unknown): void => {
  try {
    act()
  } catch (error) {
    if (hasCode(error, 'USAGE')) return
    throw error
  }
  throw new Error('it was accepted')
}

describe('durations', () => {
  it.each([
    ['0', 0],
    ['250ms', 250],
    ['90s', 90_000],
    ['10m', 600_000],
    ['1.5h', 5_400_000],
    ['7d', 604_800_000],
    ['2w', 1_209_600_000],
    ['7y', 220_752_000_000],
  ])('reads %s', (text, ms) => expect(parseDurationMs(text, 'x')).toBe(ms))
  it.each(['', '7', '-1s', '1 s', '1S', '1d2h', 's', '1e3s', 'Infinityd', '999999999999y'])(
    'refuses "%s"',
    (text) => refuses(() => parseDurationMs(text, 'x')),
  )
})

describe('sizes', () => {
  it.each([
    ['0', 0],
    ['1000', 1000],
    ['64MiB', 67_108_864],
    ['4.7GB', 4_700_000_000],
    ['1 kb', 1000],
    ['1KIB', 1024],
    ['2TiB', 2_199_023_255_552],
    ['1b', 1],
  ])('reads %s', (text, bytes) => expect(parseSizeBytes(text, 'x')).toBe(bytes))
  it.each(['', '-1', '1 mb b', '1x', 'MiB', '1e9', '0x10', '999999999999999TiB'])(
    'refuses "%s"',
    (text) => refuses(() => parseSizeBytes(text, 'x')),
  )
})

describe('times', () => {
  it.each([
    ['2026-07-01T12:00:00Z', Date.UTC(2026, 6, 1, 12)],
    ['2026-07-01T14:00+02:00', Date.UTC(2026, 6, 1, 12)],
    ['2026-07-01 12:00:00.5z', Date.UTC(2026, 6, 1, 12, 0, 0, 500)],
    ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
  ])('reads %s', (text, ms) => expect(parseTimeMs(text, 'x')).toBe(ms))
  it.each([
    '2026-07-01',
    '2026-07-01T12:00:00',
    '2026-02-29T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-07-01T25:00:00Z',
    'yesterday',
    '',
  ])('refuses "%s"', (text) => refuses(() => parseTimeMs(text, 'x')))
})

describe('counts', () => {
  it('reads the edges of the range and refuses what lies beyond', () => {
    const range = { min: 1, max: 10 }
    expect(parseCount('1', 'x', range)).toBe(1)
    expect(parseCount('10', 'x', range)).toBe(10)
    for (const text of ['0', '11', '', '1.0', '+1', '1e1', '0x1', '١']) {
      refuses(() => parseCount(text, 'x', range))
    }
  })
  it('reads rejects as a count or a share', () => {
    expect(parseRejects('0', 'x')).toBe(0)
    expect(parseRejects('12', 'x')).toBe(12)
    expect(parseRejects('5%', 'x')).toBe('5%')
    expect(parseRejects('100%', 'x')).toBe('100%')
    for (const text of ['101%', '%', '-1', '5 %', 'all']) refuses(() => parseRejects(text, 'x'))
  })
})

describe('escaping', () => {
  it('leaves no control character in a line', () => {
    const all = Array.from({ length: 0x2070 }, (_, i) => String.fromCharCode(i)).join('')
    expect(escapeLine(all)).not.toMatch(/[\p{Cc}\u2028-\u202e\u2066-\u2069]/u)
    expect(escapeLine('a\u0007\u009b31mb\n\tc')).toBe('a\\u0007\\u009b31mb\\n\\tc')
  })
  it('keeps line feeds and tabs in text', () => {
    expect(escapeText('a\n\tb\r\u001b[0m')).toBe('a\n\tb\\r\\u001b[0m')
  })
  it('keeps JSON the same document', () => {
    const value = { a: 'x\u007f\u009b\u202e y', b: '\u2028é😀' }
    expect(JSON.parse(escapeJson(JSON.stringify(value)))).toEqual(value)
    expect(escapeJson(JSON.stringify(value))).not.toMatch(/[\u007f-\u009f\u202e]/)
  })
})

describe('what people read', () => {
  it('is rounded and grouped alike everywhere', () => {
    expect([0, 1023, 1024, 1536, 1e9].map(humanBytes)).toEqual([
      '0 B',
      '1023 B',
      '1.0 KiB',
      '1.5 KiB',
      '954 MiB',
    ])
    expect(humanCount(1234567)).toBe('1,234,567')
    expect([999, 1000, 59_900, 190_000, 7_260_000].map(humanDuration)).toEqual([
      '999 ms',
      '1.0 s',
      '59.9 s',
      '3m10s',
      '2h01m',
    ])
    expect([plural(1, 'row'), plural(0, 'row')]).toEqual(['1 row', '0 rows'])
    expect([0, 6.7e-8, 0.0000202, 0.012, 7].map(humanAmount)).toEqual([
      ...['0', '< 0.000001', '0.000020', '0.01', '7'],
    ])
  })
  it('stays one line a row in tables, whatever the data', () => {
    const text = table([{ title: 'A' }, { title: 'B', align: 'right' }], [['x\ny\u001b', '1']])
    expect(text.split('\n')).toHaveLength(2)
    expect(text).toContain('x\\ny\\u001b  1')
  })
  it('leaves absent fields out', () => {
    expect(
      fields([
        ['a', 1],
        ['bb', undefined],
        ['c', null],
        ['d', 'x\n'],
      ]),
    ).toBe('a  1\nd  x\\n')
  })
  it('quotes CSV cells', () => {
    expect(csvLine(['a,b', 'c"d', ' e', 'f\ng', 'h'])).toBe('"a,b","c""d"," e","f\ng",h\n')
  })
})

describe('JSON', () => {
  it('holds what results hold: maps, wide integers, vectors, absent members', () => {
    const value = {
      big: 2n ** 60n,
      map: new Map([
        ['b', 1],
        ['a', 2],
      ]),
      vector: Float32Array.of(0.1, 1),
      absent: undefined,
      nan: Number.NaN,
      lone: '\ud800',
    }
    expect(jsonLine(value)).toBe(
      '{"big":1152921504606846976,"map":{"b":1,"a":2},"vector":[0.10000000149011612,1],' +
        '"nan":null,"lone":"\ufffd"}\n',
    )
  })

  it('is the same by either of its writers', () => {
    const plain: unknown[] = [
      [],
      {},
      [null, true, false, '', 'ä"\\\u2028\u0000'],
      { b: 1, a: { c: undefined, d: [[], {}] }, 7: 'seven', __proto__x: 1 },
      [0, -1, 0.1, 1e21, 5e-324, 1.7976931348623157e308, 2 ** 53 - 1, -(2 ** 53) + 1],
      { hits: [{ id: 'x', score: 0.8375707778133917, distance: 0.16242922218660827 }] },
    ]
    const odd: unknown[] = [-0, 2 ** 53, 1e300, NaN, -Infinity, 'a\ud800b', { 'k\udc00': 1 }, 9n]
    for (const value of [...plain, ...odd]) {
      // A Map is nothing that the language writes, so all beside it goes the other way.
      expect(`[${jsonLine(value).trimEnd()},{}]\n`).toBe(jsonLine([value, new Map()]))
    }
    expect(jsonLine([-0, 2 ** 53, 'a\ud800'])).toBe('[-0,9.007199254740992e+15,"a\ufffd"]\n')
  })
})

describe('suggestions', () => {
  it('are near, or none', () => {
    expect(closest('serch', ['search', 'show'])).toBe('search')
    expect(closest('xyzzy', ['search', 'show'])).toBeUndefined()
    expect(closest('', ['search'])).toBeUndefined()
  })
})
