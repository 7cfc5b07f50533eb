import { describe, expect, it } from 'vitest'
import { JsonReader } from '../../src/core/json-reader.ts'

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
