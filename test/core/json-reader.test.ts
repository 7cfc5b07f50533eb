import { describe, expect, it } from 'vitest'
import { JsonReader } from '../../src/core/json-reader.ts'
import { randomNumbers } from '../support/temp-store.ts'

const read = (text: string) =>
  new JsonReader(128).parseRecord(Buffer.from(text), { id: 'id', vector: 'v' })

describe('a record', () => {
  it('gives its vector as numbers and the rest as members', () => {
    const record = read('{"id":1,"v":[ 1, -2.5e1 ,0.1],"x":{"v":[2]}}')
    expect([...(record.vector ?? [])]).toEqual([1, -25, 0.1])
    expect([...(record.value as Map<string, unknown>).keys()]).toEqual(['id', 'x'])
  })

  it('leaves a vector that is not numbers alone among the members', () => {
    for (const vector of ['[]', '[1,null]', '[[1]]', '"[1]"', '[1,"2"]']) {
      const record = read(`{"id":"a","v":${vector}}`)
      expect(record.vector).toBeUndefined()
      expect((record.value as Map<string, unknown>).has('v')).toBe(true)
    }
  })

  it('gives a long vector the same numbers as a short one', () => {
    const components = Array.from({ length: 300 }, (_, i) => String(Math.sin(i) * 10 ** (i % 40)))
    components.push('1e400', '-0', '18446744073709551617', '1.0')
    const long = read(`{"v":[ ${components.join(' ,')} ],"x":1}`).vector
    expect(long).toEqual(Float64Array.from(components, Number))
    for (const vector of [
      `[${' '.repeat(80)}]`,
      `[${'1,'.repeat(80)}"2"]`,
      `[${'1,'.repeat(80)}]`,
    ]) {
      const text = `{"v":${vector}}`
      if (vector.endsWith(',]')) expect(() => read(text)).toThrow(/stands where/)
      else expect(read(text).vector).toBeUndefined()
    }
  })

  it('tells how the number of its id was written', () => {
    expect(read('{"id":1}').idIsInteger).toBe(true)
    expect(read('{"id":1.0}').idIsInteger).toBe(false)
    expect(read('{"id":1e400}').idIsInteger).toBe(false)
    expect(read('{"id":"1"}').idIsInteger).toBeUndefined()
  })

  it('refuses a second vector, whatever stands in the two', () => {
    for (const [a, b] of [
      ['[1]', '[2]'],
      ['[1]', 'null'],
      ['null', '[1]'],
      ['[]', '[]'],
    ]) {
      expect(() => read(`{"v":${a},"v":${b}}`)).toThrow(/stands twice/)
    }
  })

  it('keeps a component beyond f64 visible as an infinity', () => {
    expect([...(read('{"v":[1e400]}').vector ?? [])]).toEqual([Number.POSITIVE_INFINITY])
  })
})

describe('a reader that is used again', () => {
  const outcome = (reader: JsonReader, text: Buffer): unknown => {
    try {
      return reader.parse(text)
    } catch (error) {
      return String(error)
    }
  }
  const seed = Math.floor(Math.random() * 2 ** 32)
  const random = randomNumbers(seed)
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
  const KEYS = ['', 'a', 'ab', 'a\\"', 'a"', 'é', 'x'.repeat(64), 'x'.repeat(65), '__proto__', '\\']
  const object = (depth: number): string => {
    const members = Array.from({ length: Math.floor(random() * 4) }, () => {
      const key = random() < 0.2 ? `"\\u0061${pick(['', 'b'])}"` : JSON.stringify(pick(KEYS))
      return `${key}:${depth > 0 && random() < 0.5 ? object(depth - 1) : '1'}`
    })
    return `{${members.join()}}`
  }

  it(`reads every text as a new one does, whole, cut or changed (seed ${seed})`, () => {
    const reader = new JsonReader(128)
    let whole = 0
    for (let round = 0; round < 20_000; round++) {
      const text = Buffer.from(object(3))
      if (random() < 0.3) text[Math.floor(random() * text.length)] = pick([0x22, 0x5c, 0x61, 0x7d])
      const part = random() < 0.3 ? text.subarray(0, Math.floor(random() * text.length)) : text
      const expected = outcome(new JsonReader(128), part)
      if (expected instanceof Map) whole++
      expect(outcome(reader, part)).toStrictEqual(expected)
    }
    expect(whole).toBeGreaterThan(3_000)
  })
})
