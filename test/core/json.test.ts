import { describe, expect, it } from 'vitest'
import {
  fromPlain,
  type JsonValue,
  parseJson,
  parseJsonBytes,
  stringifyJson,
  toPlain,
} from '../../src/core/json.ts'
import { limits } from '../../src/core/limits.ts'
import { type AkidbError, hasCode } from '../../src/errors/errors.ts'

const failure = (act: () => unknown): unknown => {
  try {
    return act()
  } catch (error) {
    return error
  }
}

describe('parseJson', () => {
  it.each([
    ['0', 0],
    ['-0', -0],
    ['1e3', 1000],
    ['0.1', 0.1],
    ['5e-324', 5e-324],
    ['9007199254740991', 9007199254740991],
    ['9007199254740992', 9007199254740992n],
    ['-9223372036854775808', -9223372036854775808n],
    ['-9223372036854775809', '-9223372036854775809'],
    ['18446744073709551615', 18446744073709551615n],
    ['18446744073709551616', '18446744073709551616'],
    ['1e400', '1e400'],
    ['-1e400', '-1e400'],
    [' \t\r\n"a\\u0041\\n\\/" ', 'aA\n/'],
    ['"\\ud83d\\ude00é"', '😀é'],
    ['[]', []],
    ['[null,true,false]', [null, true, false]],
  ] as const)('reads %s', (text, value) => expect(parseJson(text)).toEqual(value))

  it('keeps the order of keys and treats __proto__ as any other', () => {
    const value = parseJson('{"b":1,"10":2,"__proto__":{"x":1},"a":3}') as Map<string, JsonValue>
    expect([...value.keys()]).toEqual(['b', '10', '__proto__', 'a'])
    expect(({} as Record<string, unknown>).x).toBeUndefined()
  })

  it.each([
    '',
    ' ',
    '[1,]',
    '[,1]',
    '{"a":1,}',
    '{a:1}',
    "{'a':1}",
    '01',
    '1.',
    '.5',
    '+1',
    '-',
    '1e',
    '0x10',
    'NaN',
    'Infinity',
    'tru',
    'nulll',
    '1 2',
    '[1] x',
    '"a\nb"',
    '"\\x"',
    '"\\u12g4"',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"open',
    '{"a"}',
    '{"a":1 "b":2}',
    '// x\n1',
    '\ufeff1',
  ])('refuses %j with its place', (text) => {
    const error = failure(() => parseJson(text))
    expect(hasCode(error, 'BAD_INPUT')).toBe(true)
    expect((error as { details: { byte: number } }).details.byte).toBeGreaterThanOrEqual(0)
  })

  it('refuses a key that stands twice, also escaped and also __proto__', () => {
    for (const text of ['{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '{"__proto__":1,"__proto__":2}']) {
      expect(String(failure(() => parseJson(text)))).toMatch(/stands twice/)
    }
  })

  it('refuses a lone surrogate in the text itself and bytes that are no UTF-8', () => {
    expect(
      hasCode(
        failure(() => parseJson('"\ud800"')),
        'BAD_INPUT',
      ),
    ).toBe(true)
    const bytes = Uint8Array.of(0x22, 0xff, 0x22)
    expect(
      hasCode(
        failure(() => parseJsonBytes(bytes)),
        'BAD_INPUT',
      ),
    ).toBe(true)
  })

  it('nests to the limit and not one level deeper, whatever the depth', () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
    expect(stringifyJson(parseJson(nested(limits.payloadDepthMax)))).toBe(
      nested(limits.payloadDepthMax),
    )
    for (const depth of [limits.payloadDepthMax + 1, 100_000]) {
      expect(
        hasCode(
          failure(() => parseJson(nested(depth))),
          'LIMIT',
        ),
      ).toBe(true)
    }
    expect(
      hasCode(
        failure(() => parseJson('{"a":'.repeat(50_000))),
        'LIMIT',
      ),
    ).toBe(true)
    expect(parseJson('[[1]]', { depthMax: 2 })).toEqual([[1]])
    expect(
      hasCode(
        failure(() => parseJson('[[1]]', { depthMax: 1 })),
        'LIMIT',
      ),
    ).toBe(true)
  })

  it('reads every cut of a text as an error', () => {
    const text = '{"a":[1.5,-2e3,"x\\u00e9",true,null,{"b":[]}]}'
    for (let end = 0; end < text.length; end++) {
      expect(
        hasCode(
          failure(() => parseJson(text.slice(0, end))),
          'BAD_INPUT',
        ),
        text.slice(0, end),
      ).toBe(true)
    }
  })

  it('agrees with JSON.parse on random numbers', () => {
    const seed = Date.now() % 1_000_000
    let state = seed
    const random = () => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
      return state / 2_147_483_648
    }
    for (let i = 0; i < 20_000; i++) {
      const digits = Math.floor(random() * 22) + 1
      const number = (random() - 0.5) * 10 ** Math.floor(random() * 60 - 30)
      for (const text of [
        String(number),
        number.toPrecision(Math.min(digits, 21)),
        String(Math.fround(number)),
      ]) {
        if (/^-?\d+$/.test(text)) continue
        expect(parseJson(text), `${text}, seed ${seed}`).toBe(JSON.parse(text))
      }
    }
  })
})

describe('a long array of numbers', () => {
  const LONG = '1234.5,'.repeat(20)
  const numbers = [
    ...['0', '-0', '1', '-1.5', '1.0', '1e5', '1E+5', '5e-324', '0.03456789255142212', '1e400'],
    ...['9007199254740991', '9007199254740993', '18446744073709551616', '1e20', '-1e400'],
    '123456789012345678901234567890',
  ]

  it.each(numbers)('is read as its numbers are alone: %s', (text) => {
    for (const space of ['', ' ', '\n\t\r ']) {
      const all = parseJson(`[${LONG}${space}${text}${space},-0.25]`) as unknown[]
      expect(all.slice(-2)).toEqual([parseJson(text), -0.25])
      expect(all).toHaveLength(22)
    }
  })

  it.each(['01', '1.', '.5', '+1', '1e', '--1', '1 2', ',', '\u00a01', '\v1'])(
    'is refused as a short one is: %s',
    (text) => {
      const told = (first: string): unknown =>
        (failure(() => parseJson(`[${first},${LONG}${text}]`)) as AkidbError).details
      expect(told('11')).toEqual(told('""'))
      expect(told('11')).toHaveProperty('byte')
    },
  )

  it('nests as deep as others do, and ends where it ends', () => {
    const deep = `[[${LONG}1],[${LONG}2]]`
    expect(parseJson(deep, { depthMax: 2 })).toHaveLength(2)
    expect(
      hasCode(
        failure(() => parseJson(deep, { depthMax: 1 })),
        'LIMIT',
      ),
    ).toBe(true)
    expect(
      hasCode(
        failure(() => parseJson(`[${LONG}1]]`)),
        'BAD_INPUT',
      ),
    ).toBe(true)
    expect(
      hasCode(
        failure(() => parseJson(`[${LONG}1`)),
        'BAD_INPUT',
      ),
    ).toBe(true)
    expect(parseJson(`[${' '.repeat(100)}]`)).toEqual([])
    expect(parseJson(`{"a":[${LONG}1],"b":"]"}`)).toHaveProperty('size', 2)
  })

  it('is written as its numbers are alone', () => {
    const values = [...numbers.map((text) => parseJson(text)), 2 ** 53, 0.1, -1e300]
    expect(stringifyJson(values)).toBe(`[${values.map((value) => stringifyJson(value))}]`)
    const plain = values.filter((value) => Number.isFinite(value) && !Object.is(value, -0))
    expect(stringifyJson(plain)).toBe(`[${plain.map((value) => stringifyJson(value))}]`)
    expect(() => stringifyJson([1, Number.NaN])).toThrow(/no form for NaN/)
    expect(() => stringifyJson(new Array(2))).toThrow(/no form for a value of type undefined/)
  })
})

describe('stringifyJson', () => {
  it('writes what reads back to the same value and type', () => {
    const text = '{"b":[1,-0,0.1,1e+21,1e-7,18446744073709551615,"\\u0000\\"é😀"],"__proto__":null}'
    expect(stringifyJson(parseJson(text))).toBe(text)
    for (const number of [2 ** 53, 1e20, 123456789012345680000, -(2 ** 63)]) {
      expect(parseJson(stringifyJson(number))).toBe(number)
    }
  })

  it('accepts Maps, plain objects and objects without a prototype', () => {
    const bare = Object.assign(Object.create(null), { c: 3n })
    expect(stringifyJson(new Map<string, unknown>([['a', { b: [bare] }]]))).toBe(
      '{"a":{"b":[{"c":3}]}}',
    )
  })

  it.each([
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['undefined', undefined],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a date', new Date(0)],
    ['a member that is undefined', { a: undefined }],
    ['a hole', new Array(1)],
    ['a lone surrogate', '\ud800'],
    ['a key that is no string', new Map([[1, 2]])],
  ])('refuses %s', (_, value) => {
    expect(
      hasCode(
        failure(() => stringifyJson(value)),
        'BAD_INPUT',
      ),
    ).toBe(true)
  })

  it('writes keys alike, however many there were before', () => {
    const keys = Array.from({ length: 5_000 }, (_, i) => `k"\n${i % 3_000}${'é'.repeat(i % 80)}`)
    for (const key of keys) {
      expect(stringifyJson({ [key]: 1 })).toBe(`{${JSON.stringify(key)}:1}`)
      expect(stringifyJson(new Map([[key, 2]]))).toBe(`{${JSON.stringify(key)}:2}`)
    }
    for (let i = 0; i < 2; i++) {
      expect(() => stringifyJson({ 'a\ud800': 1 })).toThrow(/lone surrogate/)
    }
  })

  it('refuses a circle', () => {
    const circle: unknown[] = []
    circle.push(circle)
    expect(
      hasCode(
        failure(() => stringifyJson(circle)),
        'LIMIT',
      ),
    ).toBe(true)
  })
})

describe('toPlain and fromPlain', () => {
  it('undo each other', () => {
    const text = '{"a":[1,18446744073709551615,"x",null,true],"__proto__":{"polluted":1}}'
    const value = parseJson(text)
    expect(stringifyJson(fromPlain(toPlain(value)))).toBe(text)
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  it('make numbers of bigints that are exact as numbers, and texts of those beyond 64 bits', () => {
    expect(fromPlain(7n)).toBe(7)
    expect(fromPlain(2n ** 60n)).toBe(2n ** 60n)
    expect(fromPlain(2n ** 64n)).toBe('18446744073709551616')
  })

  it('refuse what a payload cannot hold and name its path', () => {
    for (const bad of [Number.NaN, undefined, () => 1, new Date(0), '\ud800', new Uint8Array(1)]) {
      const error = failure(() => fromPlain({ a: [{ b: bad }] }))
      expect(hasCode(error, 'BAD_INPUT')).toBe(true)
      expect(String(error)).toContain('$.a.0.b')
      const behind = failure(() => fromPlain({ x: { y: [1, { z: 2 }] }, c: [3, bad] }))
      expect(String(behind)).toContain('(at $.c.1)')
    }
  })

  it('refuse nesting one level beyond the limit', () => {
    let value: unknown = 1
    for (let i = 0; i < limits.payloadDepthMax; i++) value = [value]
    expect(stringifyJson(fromPlain(value))).toHaveLength(2 * limits.payloadDepthMax + 1)
    expect(
      hasCode(
        failure(() => fromPlain([value])),
        'LIMIT',
      ),
    ).toBe(true)
  })
})
