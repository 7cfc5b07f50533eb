import { AkidbError } from '../errors/errors.ts'

/**
 * A vector that a caller gave, as the float32 numbers that are stored and compared: a Float32Array
 * as it is, other numbers rounded to it. So what is found does not depend on the kind of array, nor
 * on the thread that compares.
 *
 * @param given a Float32Array; from callers without types also an array of numbers
 * @throws BAD_INPUT for what holds anything else
 */
export function float32Of(given: ArrayLike<number>): Float32Array {
  if (given instanceof Float32Array) return given
  const isArray = Array.isArray(given) || (ArrayBuffer.isView(given) && !isDataView(given))
  if (isArray && Array.prototype.every.call(given, (value) => typeof value === 'number')) {
    return Float32Array.from(given)
  }
  throw new AkidbError('BAD_INPUT', 'a vector is a Float32Array, or an array of numbers')
}

const isDataView = (view: unknown): boolean => view instanceof DataView
