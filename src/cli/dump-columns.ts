import type { JsonValue } from '../core/json.ts'
import type { StoredRecord } from '../index.ts'
import { cellType } from '../ingest/type-check.ts'

/**
 * What all values of one field are. `json`: nested or mixed ones. `wide`: integers of 0 to 2⁶⁴−1.
 */
export type ColumnKind = 'string' | 'integer' | 'wide' | 'float' | 'boolean' | 'json'

const INT64_MAX = 2n ** 63n - 1n

/** The type guess of ingest looks at so many cells of a CSV column. */
const GUESSED_CELLS = 10_000

interface SeenColumn {
  kind: ColumnKind | undefined
  /** Non-empty texts so far. */
  texts: number
  looksTyped: boolean
  hasNegative: boolean
  /** Whether there are integers that float64 does not hold. */
  hasWide: boolean
}

export interface ColumnKinds {
  /** Fields in the order of their first appearance. */
  readonly kinds: Map<string, ColumnKind>
  /** String fields whose values look like numbers or booleans, as far as a guess looks. */
  readonly guessable: ReadonlySet<string>
}

/** What each payload field holds, over all records. */
export async function columnKinds(records: AsyncIterable<StoredRecord>): Promise<ColumnKinds> {
  const seen = new Map<string, SeenColumn>()
  for await (const { payload } of records) {
    for (const [name, value] of payload) {
      const column = seen.get(name) ?? {
        kind: undefined,
        texts: 0,
        looksTyped: true,
        hasNegative: false,
        hasWide: false,
      }
      seen.set(name, column)
      if (value === null) continue
      column.kind = joinKinds(column.kind, kindOf(value))
      if (typeof value === 'number' || typeof value === 'bigint') column.hasNegative ||= value < 0
      column.hasWide ||= typeof value === 'bigint'
      if (typeof value !== 'string' || value === '') continue
      if (column.texts++ < GUESSED_CELLS && cellType(value) === 'string') column.looksTyped = false
    }
  }
  const entries = [...seen].map(([name, column]): [string, ColumnKind] => [name, kindOfAll(column)])
  const guessable = [...seen].filter(([, { kind, looksTyped }]) => kind === 'string' && looksTyped)
  return { kinds: new Map(entries), guessable: new Set(guessable.map(([name]) => name)) }
}

/** No type of a column but JSON holds negative and wide integers, or floats and such integers. */
function kindOfAll({ kind = 'string', hasNegative, hasWide }: SeenColumn): ColumnKind {
  const isLost = (kind === 'wide' && hasNegative) || (kind === 'float' && hasWide)
  return isLost ? 'json' : kind
}

/** The `--types` of ingest for columns of a CSV file that a guess would take for something else. */
export const needsTypes = (
  kinds: ReadonlyMap<string, ColumnKind>,
  guessable: ReadonlySet<string>,
): string[] =>
  [...kinds].flatMap(([name, kind]) => {
    if (kind === 'json') return [`${name}=json`]
    return guessable.has(name) ? [`${name}=string`] : []
  })

const kindOf = (value: JsonValue): ColumnKind => {
  if (typeof value === 'string') return 'string'
  if (typeof value === 'boolean') return 'boolean'
  if (typeof value === 'bigint') return value > INT64_MAX ? 'wide' : 'integer'
  if (typeof value === 'number')
    return Number.isSafeInteger(value) && !Object.is(value, -0) ? 'integer' : 'float'
  return 'json'
}

/**
 * Integers beside floats are floats, as JSON has but one kind of number; other mixtures stay JSON.
 */
const joinKinds = (a: ColumnKind | undefined, b: ColumnKind): ColumnKind => {
  if (a === undefined || a === b) return b
  const both = new Set([a, b])
  if (both.has('integer') && both.has('float')) return 'float'
  if (both.has('integer') && both.has('wide')) return 'wide'
  return 'json'
}
