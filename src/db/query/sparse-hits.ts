import { sparseFieldsOf } from '../../core/schema.ts'
import { sparseFromJson } from '../../core/sparse-json.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { IdTable } from '../../format/ids-section.ts'
import type { Filter } from '../../search/filter.ts'
import { type SparseSegment, searchSparse, sparseScore } from '../../search/sparse-search.ts'
import { checkedSparse } from '../../search/sparse-vector.ts'
import type { SparseVectorInput } from '../api/query-api.ts'
import { FirstRows } from './first-rows.ts'
import { matchingRows } from './matching-rows.ts'
import { unscored } from './ordered.ts'
import type { QueryContext, Ranked } from './query-context.ts'

interface SparseQuery {
  readonly sparse: SparseVectorInput
  readonly using: string
  readonly filter: Filter | undefined
  readonly count: number
}

interface SearchedSegment extends SparseSegment {
  readonly ids: IdTable
  readonly place: number
}

/** The records of the greatest dot product, exactly; ties by bytewise lower id. */
export async function sparseHits(
  context: QueryContext,
  { sparse, using, filter, count }: SparseQuery,
): Promise<Ranked> {
  const { core, view, signal } = context
  const number = sparseFieldsOf(view.manifest.state.schema).indexOf(using)
  if (number < 0) {
    throw new AkidbError('USAGE', `collection "${core.name}" has no sparse vectors "${using}"`, {
      hint: 'Ingest with --sparse-column <column> into a new collection.',
    })
  }
  const query = checkedSparse(sparse)
  const matching = await matchingRows(view, filter, signal)
  const segments: SearchedSegment[] = []
  for (const { segment, rows, number: place } of matching.segments) {
    const index = await segment.reader.sparse(number)
    segments.push({ index, allowed: rows, ids: await segment.reader.ids(), place })
  }
  const found = searchSparse({
    segments,
    query,
    k: count,
    ties: (segmentA, rowA, segmentB, rowB) =>
      Buffer.compare(idOf(segments[segmentA], rowA), idOf(segments[segmentB], rowB)),
  })
  const first = new FirstRows<number>(count, (a, b) => b - a)
  for (const { segment, row, score } of found.hits) {
    const from = segments[segment]
    if (from === undefined) continue
    first.offer(score, () => from.ids.idBytes(row), { segment: from.place, row })
  }
  for (const { id, payload } of matching.log) {
    const vector = sparseFromJson(payload.get(using))
    const score = vector === undefined ? undefined : sparseScore(query, vector)
    if (score !== undefined) first.offer(score, () => Buffer.from(id, 'utf8'))
  }
  const hits = first.sorted().map((row) => ({ ...unscored(row), score: row.value }))
  const plan = { kind: 'sparse', using, pairs: query.indices.length, matching: matching.count }
  return { hits, plan }
}

const NO_ID = new Uint8Array()

const idOf = (segment: SearchedSegment | undefined, row: number): Uint8Array =>
  segment?.ids.idBytes(row) ?? NO_ID
