import { compareIds } from '../core/record-id.ts'
import type { Scalar } from './field-scalars.ts'
import { canonical } from './field-values.ts'

/**
 * One order of all values of a field: booleans, then numbers by value, then texts by their UTF-8
 * bytes. Negative, 0 or positive.
 */
export function compareScalars(a: Scalar, b: Scalar): number {
  const order = rankOf(a) - rankOf(b)
  if (order !== 0) return order
  if (typeof a === 'string') return compareIds(a, b as string)
  if (a === b) return 0
  // Between number and bigint JavaScript compares by value, exactly.
  return a < b ? -1 : a > b ? 1 : 0
}

const rankOf = (value: Scalar): number =>
  typeof value === 'boolean' ? 0 : typeof value === 'string' ? 2 : 1

/** A value as the key of a Map: equal ones, however they are written, are one. */
export const scalarKey = (value: Scalar): Scalar => canonical(value)
