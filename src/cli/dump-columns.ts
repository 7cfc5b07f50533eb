import type { JsonValue } from '../core/json.ts'
import type { StoredRecord } from '../db/api.ts'

/** What all values of one field are. `json`: nested or mixed ones. `wide`: integers beyond int64. */
export type ColumnKind = 'string' | 'integer' | 'wide' | 'float' | 'boolean' | 'json'

const INT64_MAX = 2n ** 63n - 1n

export interface ColumnKinds {
  /** Fields in the order of their first appearance. */
  readonly kinds: Map<string, ColumnKind>
  /** String fields whose every value looks like a number or a boolean. */
  readonly guessable: ReadonlySet<string>
}

/** What each payload field holds, over all records. */
export async function columnKinds(records: AsyncIterable<StoredRecord>): Promise<ColumnKinds> {
  const seen = new Map<string, { kind: ColumnKind | undefined; looksTyped: boolean }>()
  for await (const { payload } of records) {
    for (const [name, value] of payload) {
      const column = seen.get(name) ?? { kind: undefined, looksTyped: true }
      seen.set(name, column)
      if (value === null) continue
      column.kind = joinKinds(column.kind, kindOf(value))
      if (typeof value === 'string' && value !== '' && !looksTyped(value)) column.looksTyped = false
    }
  }
  const entries = [...seen].map(([name, { kind }]): [string, ColumnKind] => [name, kind ?? 'string'])
  const guessable = [...seen].filter(([, { kind, looksTyped }]) => kind === 'string' && looksTyped)
  return { kinds: new Map(entries), guessable: new Set(guessable.map(([name]) => name)) }
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

/** What the type guess of ingest might take for an integer, float or boolean. */
const looksTyped = (text: string): boolean =>
  /^-?(\d+(\.\d+)?([eE][+-]?\d+)?|\.\d+)$/.test(text) || /^(true|false)$/i.test(text)

const kindOf = (value: JsonValue): ColumnKind => {
  if (typeof value === 'string') return 'string'
  if (typeof value === 'boolean') return 'boolean'
  if (typeof value === 'bigint') return value > INT64_MAX ? 'wide' : 'integer'
  if (typeof value === 'number') return Number.isSafeInteger(value) && !Object.is(value, -0) ? 'integer' : 'float'
  return 'json'
}

/** Integers beside floats stay exact only as JSON, so that 2^53 and 1 keep their own form. */
const joinKinds = (a: ColumnKind | undefined, b: ColumnKind): ColumnKind => {
  if (a === undefined || a === b) return b
  const both = new Set([a, b])
  if (both.has('integer') && both.has('float')) return 'float'
  return 'json'
}
