import { parseInstant } from '../../core/instant.ts'
import type { Schema } from '../../core/schema.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { Scalar } from '../../search/field-scalars.ts'
import type { Filter } from '../../search/filter.ts'
import { compareScalars } from '../../search/scalar-order.ts'
import type { OrderBy } from '../api/query-api.ts'
import type { RankedRecord } from '../search/search-vector.ts'
import { forEachFieldRow } from './field-column.ts'
import { type CandidateRow, FirstRows } from './first-rows.ts'
import { matchingRows } from './matching-rows.ts'
import type { QueryContext, Ranked } from './query-context.ts'

/** How the values of a field are compared. */
export interface FieldOrder {
  readonly isTime: boolean
  /** Negative where a comes first. */
  compare(a: Scalar, b: Scalar): number
  /** The value that decides about a record; undefined where it has none. */
  decidingValue(values: readonly Scalar[]): Scalar | undefined
}

/** @throws USAGE where startFrom is no time, and times are ordered */
export function fieldOrder(schema: Schema, { key, direction, as, startFrom }: OrderBy): FieldOrder {
  const isTime = as === 'datetime' || schema.fields[key] === 'datetime'
  const sign = direction === 'desc' ? -1 : 1
  const compare = (a: Scalar, b: Scalar): number => sign * compareScalars(a, b)
  const comparable = (value: Scalar): Scalar | undefined =>
    isTime ? timeOf(value) : typeof value === 'boolean' ? undefined : value
  const start = startFrom === undefined ? undefined : comparable(startFrom)
  if (startFrom !== undefined && start === undefined) {
    throw new AkidbError('USAGE', `startFrom "${startFrom}" is no time with zone`)
  }
  const decidingValue = (values: readonly Scalar[]): Scalar | undefined => {
    let first: Scalar | undefined
    for (const value of values) {
      const one = comparable(value)
      if (one === undefined || (start !== undefined && compare(one, start) < 0)) continue
      if (first === undefined || compare(one, first) < 0) first = one
    }
    return first
  }
  return { isTime, compare, decidingValue }
}

const timeOf = (value: Scalar): Scalar | undefined =>
  typeof value === 'string' ? parseInstant(value) : undefined

interface OrderQuery {
  readonly order: OrderBy
  readonly filter: Filter | undefined
  readonly count: number
  /** Only what comes after this place. */
  readonly after?: { readonly value: Scalar; readonly idBytes: Uint8Array }
}

/** The first records by the values of a field, ties by bytewise lower id. */
export async function firstByField(
  context: QueryContext,
  { order, filter, count, after }: OrderQuery,
): Promise<{ rows: readonly CandidateRow<Scalar>[]; matching: number }> {
  const { compare, decidingValue } = fieldOrder(context.view.manifest.state.schema, order)
  const matching = await matchingRows(context.view, filter, context.signal)
  const first = new FirstRows<Scalar>(count, compare)
  await forEachFieldRow(context, matching, order.key, ({ values, idBytes, place }) => {
    const value = decidingValue(values)
    if (value === undefined) return
    if (after !== undefined) {
      const sign = compare(value, after.value) || Buffer.compare(idBytes(), after.idBytes)
      if (sign <= 0) return
    }
    first.offer(value, idBytes, place)
  })
  return { rows: first.sorted(), matching: matching.count }
}

/** Hits by the values of a field; they have no score. */
export async function orderedHits(context: QueryContext, query: OrderQuery): Promise<Ranked> {
  const { rows, matching } = await firstByField(context, query)
  const { key, direction = 'asc' } = query.order
  return { hits: rows.map(unscored), plan: { kind: 'orderBy', key, direction, matching } }
}

/** A hit whose rank says all. */
export const unscored = <T>({ idBytes, place }: CandidateRow<T>): RankedRecord => ({
  id: Buffer.from(idBytes).toString('utf8'),
  score: 0,
  ...(place === undefined ? {} : { place }),
})
