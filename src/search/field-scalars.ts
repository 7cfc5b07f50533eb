import type { JsonObject } from '../core/json.ts'
import type { Scalar } from './condition.ts'
import { isScalar, itemsOf, valuesUnder } from './field-values.ts'

export type { Scalar } from './condition.ts'

/** Text, numbers and booleans under a key: the values themselves, or the elements of arrays. */
export const scalarsUnder = (payload: JsonObject, key: string): readonly Scalar[] =>
  valuesUnder(payload, key.replaceAll('[]', '')).flatMap(({ value }) =>
    itemsOf(value).filter(isScalar),
  )
