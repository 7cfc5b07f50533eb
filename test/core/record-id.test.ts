import { describe, expect, it } from 'vitest'
import { compareIds, parseRecordId } from '../../src/core/record-id.ts'
import { hasCode } from '../../src/errors/errors.ts'

const isRefused = (value: unknown): boolean => {
  try {
    parseRecordId(value as string)
    return false
  } catch (error) {
    return hasCode(error, 'BAD_INPUT')
  }
}

describe('parseRecordId', () => {
  it('makes one id of an integer and its digits, and keeps texts as they are', () => {
    expect(parseRecordId(7)).toBe(parseRecordId('7'))
    expect(parseRecordId(-0)).toBe('0')
    expect(parseRecordId(2n ** 128n - 1n)).toBe('340282366920938463463374607431768211455')
    for (const id of [' ', '07', 'e\u0301', 'é', '__proto__', '../x'])
      expect(parseRecordId(id)).toBe(id)
  })

  it('takes 1 to 512 bytes of UTF-8', () => {
    expect(isRefused('')).toBe(true)
    for (const [char, bytes] of [
      ['a', 1],
      ['é', 2],
      ['€', 3],
      ['😀', 4],
    ] as const) {
      const most = Math.floor(512 / bytes)
      expect(isRefused(char.repeat(most)), char).toBe(false)
      expect(isRefused(char.repeat(most + 1)), char).toBe(true)
    }
    expect(isRefused(`${'a'.repeat(511)}é`)).toBe(true)
  })

  it('refuses NUL, lone surrogates, floats, inexact integers and other types', () => {
    const bad = [
      'a\0b',
      '\ud800',
      'x\udc00',
      1.5,
      Number.NaN,
      2 ** 53,
      true,
      null,
      undefined,
      {},
      [1],
    ]
    for (const value of bad) expect(isRefused(value), String(value)).toBe(true)
  })
})

describe('compareIds', () => {
  it('orders by UTF-8 bytes', () => {
    const ids = [
      '',
      'a',
      'aa',
      'b',
      'é',
      '€',
      '\ud7ff',
      '\ue000',
      '\uffff',
      '😀',
      '😀a',
      '\u{10ffff}',
    ]
    for (const a of ids) {
      for (const b of ids) {
        expect(Math.sign(compareIds(a, b)), `${a} ${b}`).toBe(
          Buffer.compare(Buffer.from(a), Buffer.from(b)),
        )
      }
    }
  })
})
