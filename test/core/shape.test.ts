import { describe, expect, it } from 'vitest'
import {
  type Check,
  dictionary,
  list,
  literal,
  object,
  optional,
  ShapeError,
  text,
  whole,
} from '../../src/core/shape.ts'

const wrong = (check: Check<unknown>, value: unknown): string | undefined => {
  try {
    check(value, 'it')
    return undefined
  } catch (error) {
    expect(error).toBeInstanceOf(ShapeError)
    return (error as ShapeError).message
  }
}

describe('a check', () => {
  it('of text takes what the pattern takes', () => {
    expect(text()('', 'it')).toBe('')
    expect(wrong(text(), 7)).toBe('it: expected text')
    expect(wrong(text(/^a+$/), 'b')).toBe('it: expected text like ^a+$')
  })

  it('of a whole number takes its ends and nothing beyond', () => {
    const check = whole(2, 5)
    for (const value of [2, 5]) expect(check(value, 'it')).toBe(value)
    for (const value of [1, 6, 2.5, Number.NaN, '3', 3n, null, undefined, true]) {
      expect(wrong(check, value)).toBe('it: expected a whole number from 2 to 5')
    }
    expect(whole()(Number.MAX_SAFE_INTEGER, 'it')).toBe(Number.MAX_SAFE_INTEGER)
    expect(wrong(whole(), 2 ** 53)).toBeDefined()
  })

  it('of a literal takes just those', () => {
    const check = literal<string | boolean | null>('a', true, null)
    for (const value of ['a', true, null] as const) expect(check(value, 'it')).toBe(value)
    for (const value of ['b', false, undefined, 'true']) expect(wrong(check, value)).toBeDefined()
  })

  it('of a list names the item that is wrong', () => {
    const check = list(whole(), 2)
    expect(check([], 'it')).toEqual([])
    expect(check([1, 2], 'it')).toEqual([1, 2])
    expect(wrong(check, [1, 2, 3])).toBe('it: expected a list of at most 2')
    expect(wrong(check, { 0: 1, length: 1 })).toBe('it: expected a list of at most 2')
    expect(wrong(check, [1, 'x'])).toMatch(/^it\[1\]: /)
  })

  it('of a dictionary takes any key and has no prototype', () => {
    const check = dictionary(whole(), 3)
    const value = JSON.parse('{"__proto__":1,"toString":2}')
    const read = check(value, 'it')
    expect(Object.entries(read)).toEqual([
      ['__proto__', 1],
      ['toString', 2],
    ])
    expect(Object.getPrototypeOf(read)).toBeNull()
    expect(wrong(check, { a: 'x' })).toMatch(/^it\.a: /)
    expect(wrong(check, { a: 1, b: 1, c: 1, d: 1 })).toBe('it: expected an object')
    for (const other of [[], null, 'x', undefined]) expect(wrong(check, other)).toBeDefined()
  })

  it('of an object refuses what it does not know, unless it is open', () => {
    const fields = { a: whole(), b: optional(text()) }
    expect(object(fields)({ a: 1 }, 'it')).toEqual({ a: 1 })
    expect(Object.hasOwn(object(fields)({ a: 1, b: undefined }, 'it'), 'b')).toBe(false)
    expect(wrong(object(fields), { a: 1, c: 1 })).toBe('it.c: expected no such field')
    expect(object(fields, true)({ a: 1, c: [1] }, 'it')).toEqual({ a: 1, c: [1] })
    expect(wrong(object(fields, true), { b: 'x' })).toMatch(/^it\.a: /)
    expect(wrong(object(fields), [])).toBe('it: expected an object')
  })

  it('of an object looks at nothing that is inherited', () => {
    const check = object({ toString: optional(text()), a: optional(whole()) })
    expect(check({}, 'it')).toEqual({})
    expect(check(Object.create({ a: 'x' }), 'it')).toEqual({})
    expect(wrong(object({ a: whole() }), JSON.parse('{"a":1,"__proto__":2}'))).toMatch(/__proto__/)
  })
})
