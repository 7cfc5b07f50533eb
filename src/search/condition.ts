import type { GeoArea } from './geo-area.ts'

/** A value that a payload field can equal. */
export type Scalar = string | number | bigint | boolean

/** Bounds of a range; absent ones are open. */
export interface Bounds<T> {
  readonly gt?: T
  readonly gte?: T
  readonly lt?: T
  readonly lte?: T
}

/** How tokens must stand in one text: all of them, any of them, or all one behind the other. */
export type TextMode = 'all' | 'any' | 'phrase'

/** A condition on the values under one key; any one value that passes is enough. */
export type FieldCondition =
  | { readonly kind: 'match'; readonly key: string; readonly any: readonly Scalar[] }
  | { readonly kind: 'except'; readonly key: string; readonly except: readonly Scalar[] }
  | {
      readonly kind: 'text'
      readonly key: string
      readonly mode: TextMode
      readonly tokens: readonly string[]
    }
  | { readonly kind: 'range'; readonly key: string; readonly bounds: Bounds<number | bigint> }
  /** Nanoseconds since 1970 UTC. */
  | { readonly kind: 'time'; readonly key: string; readonly bounds: Bounds<bigint> }
  | { readonly kind: 'count'; readonly key: string; readonly bounds: Bounds<number | bigint> }
  | { readonly kind: 'geo'; readonly key: string; readonly area: GeoArea }
  | { readonly kind: 'is_null'; readonly key: string }
  | { readonly kind: 'is_empty'; readonly key: string }

export type Condition =
  | FieldCondition
  | { readonly kind: 'filter'; readonly filter: Filter }
  /** One and the same element of an array passes the whole filter. */
  | { readonly kind: 'nested'; readonly key: string; readonly filter: Filter }
  | { readonly kind: 'has_id'; readonly ids: readonly string[] }

/**
 * All of `must`, at least one of `should` where there are any, none of `mustNot`, and at least
 * `count` of the conditions of `minShould`.
 */
export interface Filter {
  readonly must: readonly Condition[]
  readonly should: readonly Condition[]
  readonly mustNot: readonly Condition[]
  readonly minShould?: { readonly conditions: readonly Condition[]; readonly count: number }
}

/** Exact also between number and bigint: JavaScript compares them by value. */
export function within<T extends number | bigint>(value: T, bounds: Bounds<T>): boolean {
  return (
    (bounds.gt === undefined || value > bounds.gt) &&
    (bounds.gte === undefined || value >= bounds.gte) &&
    (bounds.lt === undefined || value < bounds.lt) &&
    (bounds.lte === undefined || value <= bounds.lte)
  )
}
