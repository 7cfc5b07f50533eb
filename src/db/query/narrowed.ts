import { type Filter, parseFilter } from '../../search/filter.ts'

const ALL = parseFilter({})

/** What passes both filters. */
export function both(a: Filter | undefined, b: Filter | undefined): Filter | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return {
    ...ALL,
    must: [
      { kind: 'filter', filter: a },
      { kind: 'filter', filter: b },
    ],
  }
}

/** These records alone. */
export const onlyIds = (ids: Iterable<string>): Filter =>
  parseFilter({ must: [{ has_id: [...ids] }] })

/** All but these. */
export const withoutIds = (ids: readonly string[]): Filter | undefined =>
  ids.length === 0 ? undefined : parseFilter({ must_not: [{ has_id: ids }] })
