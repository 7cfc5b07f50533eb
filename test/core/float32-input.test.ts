import { expect, it } from 'vitest'
import { float32Of } from '../../src/core/float32-input.ts'

it('takes a Float32Array as it is, and rounds other numbers to it', () => {
  const vector = Float32Array.of(0.1, -0, 3)
  expect(float32Of(vector)).toBe(vector)
  for (const given of [[0.1, -0, 3], Float64Array.of(0.1, -0, 3)]) {
    expect(float32Of(given)).toStrictEqual(vector)
  }
  expect(float32Of(Int8Array.of(1, -2))).toStrictEqual(Float32Array.of(1, -2))
  expect(float32Of([1e300])).toStrictEqual(Float32Array.of(Infinity))
})

it.each([
  ['text', '123'],
  ['texts', ['1', '2']],
  ['null', null],
  ['nulls', [null, 1]],
  ['bigints', [1n]],
  ['typed bigints', BigInt64Array.of(1n)],
  ['bytes without numbers', new DataView(new ArrayBuffer(8))],
  ['an object with a length', { length: 1, 0: 1 }],
])('refuses %s', (_, given) => {
  expect(() => float32Of(given as never)).toThrow(/a vector is a Float32Array/)
})
