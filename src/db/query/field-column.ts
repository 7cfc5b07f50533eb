import { type Scalar, scalarsUnder } from '../../search/field-scalars.ts'
import { keep } from '../segment/once.ts'
import type { SegmentReader } from '../segment/segment-reader.ts'
import { payloadObject } from '../segment/view.ts'
import type { MatchingRows } from './matching-rows.ts'
import { abortable, type QueryContext, turns } from './query-context.ts'

/** Values of one field by row: one, several, or none. */
type Column = readonly (Scalar | readonly Scalar[] | undefined)[]

type MutableColumn = (Scalar | Scalar[] | undefined)[]

/** Fields of one segment whose values are kept once they were read. */
const COLUMNS_KEPT_MAX = 4
/** A column is read whole where this share of its rows is wanted, or more. */
const WHOLE_SHARE = 1 / 64

const columns = new WeakMap<SegmentReader, Map<string, Promise<Column>>>()

/** A record of the walk, and what it holds under the key. */
export interface FieldRow {
  readonly values: readonly Scalar[]
  readonly idBytes: () => Uint8Array
  readonly place?: { readonly segment: number; readonly row: number }
}

/**
 * Calls back with the values under `key` of every matching record, segments first, in row order.
 */
export async function forEachFieldRow(
  { signal }: QueryContext,
  matching: MatchingRows,
  key: string,
  visit: (row: FieldRow) => void,
): Promise<void> {
  const turn = turns(signal)
  for (const { number, segment, rows, count } of matching.segments) {
    const ids = await segment.reader.ids()
    const isWhole = count >= segment.entry.rows * WHOLE_SHARE
    const column = isWhole
      ? await abortable(columnOf(segment.reader, key), signal)
      : await columns.get(segment.reader)?.get(key)
    for (const row of rows) {
      const pause = turn()
      if (pause !== undefined) await pause
      const value = column === undefined ? await valueAt(segment.reader, key, row) : column[row]
      if (value === undefined) continue
      const values = Array.isArray(value) ? value : [value as Scalar]
      visit({ values, idBytes: () => ids.idBytes(row), place: { segment: number, row } })
    }
  }
  for (const { id, payload } of matching.log) {
    const values = scalarsUnder(payload, key)
    if (values.length > 0) visit({ values, idBytes: () => Buffer.from(id, 'utf8') })
  }
}

async function valueAt(
  reader: SegmentReader,
  key: string,
  row: number,
): Promise<MutableColumn[number]> {
  const values = scalarsUnder(payloadObject(await reader.payload(row)), key)
  return values.length > 1 ? [...values] : values[0]
}

function columnOf(reader: SegmentReader, key: string): Promise<Column> {
  const kept = columns.get(reader) ?? new Map<string, Promise<Column>>()
  columns.set(reader, kept)
  const column = keep(kept, key, () => readColumn(reader, key))
  for (const oldest of kept.keys()) {
    if (kept.size <= COLUMNS_KEPT_MAX) break
    kept.delete(oldest)
  }
  return column
}

async function readColumn(reader: SegmentReader, key: string): Promise<Column> {
  const turn = turns(undefined)
  const column: MutableColumn = new Array(reader.rows).fill(undefined)
  const add = (value: Scalar, row: number): void => {
    const known = column[row]
    if (known === undefined) column[row] = value
    else if (Array.isArray(known)) known.push(value)
    else column[row] = [known as Scalar, value]
  }
  const index = await reader.fields()
  const open = index.forEachValue(key.replaceAll('[]', ''), add) ?? column.keys()
  // What the index does not list is read from the payloads of just those rows.
  for (const row of open) {
    const pause = turn()
    if (pause !== undefined) await pause
    column[row] = await valueAt(reader, key, row)
  }
  return column
}
