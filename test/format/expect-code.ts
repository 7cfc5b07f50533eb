import { expect } from 'vitest'
import { AkidbError } from '../../src/errors/errors.ts'
import type { ErrorCode } from '../../src/errors/exit-codes.ts'

/** Code of the error that `work` throws; undefined where it throws none. Other errors fail. */
export function codeOf(work: () => unknown): ErrorCode | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    expect(error).toBeInstanceOf(AkidbError)
    return (error as AkidbError).code
  }
}

/** A copy with one bit turned. */
export function flipped(bytes: Uint8Array, at: number, bit: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[at] = (copy[at] as number) ^ (1 << bit)
  return copy
}
