import { Bitset } from '../core/bitset.ts'
import { AkidbError } from '../errors/errors.ts'
import { matchesFilter } from '../search/evaluate.ts'
import { openTextIndex, type TextIndex } from '../search/text-index.ts'
import { createTextIndexBuilder } from '../search/text-index-builder.ts'
import { searchText } from '../search/text-search.ts'
import type { SearchPlan } from './api.ts'
import type { CollectionCore } from './collection-core.ts'
import { selectRows } from './filter-rows.ts'
import type { LogRow, LogRows } from './log-rows.ts'
import type { CheckedSearch, RankedRecord } from './search-vector.ts'
import type { Place, View } from './view.ts'

interface TextQuery {
  readonly text: string
  readonly search: CheckedSearch
}

interface SearchedSegment {
  readonly index: TextIndex
  readonly alive: Bitset
  readonly allowed?: Bitset
  readonly record: (row: number) => { readonly id: string; readonly place?: Place }
}

/** The k best live records by BM25 over the collection's text fields, ties by segment and row. */
export async function searchByText(
  core: CollectionCore,
  view: View,
  { text, search }: TextQuery,
): Promise<{ hits: RankedRecord[]; plan: SearchPlan }> {
  const { fields, tokenizer } = view.manifest.state.schema.text
  if (fields.length === 0) {
    throw new AkidbError('USAGE', `collection "${core.name}" has no text index`, {
      hint: 'Ingest with --text-column <column> into a new collection.',
    })
  }
  const segments: SearchedSegment[] = []
  for (const [number, segment] of view.segments.entries()) {
    search.signal?.throwIfAborted()
    const index = await segment.reader.text()
    if (index === undefined) continue
    const { alive } = segment
    const allowed =
      search.filter === undefined ? undefined : await selectRows(segment, search.filter)
    const ids = await segment.reader.ids()
    const record = (row: number) => ({ id: ids.id(row), place: { segment: number, row } })
    segments.push({ index, alive, record, ...(allowed === undefined ? {} : { allowed }) })
  }
  if (view.log !== undefined) segments.push(logSegment(view.log, fields, search))
  const { hits, matched } = searchText({ segments, query: text, k: search.k })
  return {
    hits: hits.map(({ segment, row, score }) => ({
      ...(segments[segment] as SearchedSegment).record(row),
      score,
    })),
    plan: { kind: 'text', k: search.k, fields, tokenizer, segments: segments.length, matched },
  }
}

const logIndexes = new WeakMap<LogRows, { index: TextIndex; rows: readonly LogRow[] }>()

/** The log's rows as one more segment; its index is made at the first search that needs it. */
function logSegment(
  log: LogRows,
  fields: readonly string[],
  search: CheckedSearch,
): SearchedSegment {
  const { index, rows } = logIndexes.get(log) ?? buildLogIndex(log, fields)
  const { filter } = search
  const allowed = new Bitset(rows.length)
  for (const [row, record] of rows.entries()) {
    if (filter === undefined || matchesFilter(filter, record)) allowed.add(row)
  }
  const record = (row: number) => ({ id: (rows[row] as LogRow).id })
  return { index, alive: Bitset.full(rows.length), allowed, record }
}

function buildLogIndex(
  log: LogRows,
  fields: readonly string[],
): { index: TextIndex; rows: readonly LogRow[] } {
  const rows = [...log.rows()]
  const builder = createTextIndexBuilder(fields)
  for (const row of rows) builder.add(row.payload)
  const built = { index: openTextIndex(builder.encode(), rows.length), rows }
  logIndexes.set(log, built)
  return built
}
