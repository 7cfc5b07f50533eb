import { AkidbError, hasCode } from '../../errors/errors.ts'
import { type Scalar, scalarsUnder } from '../../search/field-scalars.ts'
import { parseFilter } from '../../search/filter.ts'
import { checkedCount, checkOrder, DEFAULT_K } from '../api/check-query.ts'
import type { RecordPage, ScrollRequest } from '../api/query-api.ts'
import type { StoredRecord } from '../api/search-api.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import { getRecord, type Parts, recordAt } from '../collection/records.ts'
import type { View } from '../segment/view.ts'
import type { CandidateRow } from './first-rows.ts'
import { firstById } from './id-order.ts'
import { matchingRows } from './matching-rows.ts'
import { fieldOrder, firstByField } from './ordered.ts'
import type { QueryContext } from './query-context.ts'
import { type Cursor, decodeCursor, encodeCursor } from './scroll-cursor.ts'

/**
 * One page of records. Every page is of a committed state, that of the first page, so that nothing
 * shifts between them; rows that wait in the write-ahead log are to be committed before.
 *
 * @throws BAD_INPUT, USAGE, LIMIT; NOT_FOUND where the state of the cursor was removed
 */
export async function scrollRecords(
  core: CollectionCore,
  request: ScrollRequest,
): Promise<RecordPage> {
  const k = checkedCount(request.k ?? DEFAULT_K, 'k', 1)
  if (request.orderBy !== undefined) checkOrder(request.orderBy)
  const cursor = request.cursor === undefined ? undefined : decodeCursor(request.cursor, request)
  if (cursor !== undefined && request.asOf !== undefined) {
    throw new AkidbError('USAGE', 'a cursor names its state: asOf goes with the first page')
  }
  const stateRoot = cursor?.stateRoot ?? (await rootOf(core, request.asOf))
  try {
    return await core.read(stateRoot, (view) => page(core, view, { request, k, cursor }))
  } catch (error) {
    if (cursor === undefined || !hasCode(error, 'NOT_FOUND')) throw error
    throw new AkidbError('NOT_FOUND', `the state of this cursor is gone: ${stateRoot}`, {
      hint: 'akidb gc removed it. Start again without a cursor; a snapshot keeps a state.',
      cause: error,
    })
  }
}

const rootOf = (core: CollectionCore, asOf: string | undefined): Promise<string> =>
  core.read(asOf, async ({ manifest }) => manifest.commit.stateRoot)

interface PageRequest {
  readonly request: ScrollRequest
  readonly k: number
  readonly cursor: Cursor | undefined
}

async function page(
  core: CollectionCore,
  view: View,
  { request, k, cursor }: PageRequest,
): Promise<RecordPage> {
  const context = { core, view, signal: request.signal }
  // One more than the page has: it tells whether there is another page.
  const rows = await rowsOf(context, request, { count: k + 1, cursor })
  const parts = {
    payload: request.withPayload !== false,
    vector: request.withVector === true,
    source: request.withSource === true,
  }
  const records: StoredRecord[] = []
  for (const row of rows.slice(0, k)) records.push(await recordOf(context, row, parts))
  const { stateRoot } = view.manifest.commit
  const last = records.at(-1)
  const isEnd = rows.length <= k || last === undefined
  const next = isEnd ? {} : { cursor: encodeCursor({ stateRoot, id: last.id }, request) }
  return { records, ...next, stateRoot }
}

async function rowsOf(
  context: QueryContext,
  request: ScrollRequest,
  { count, cursor }: { readonly count: number; readonly cursor: Cursor | undefined },
): Promise<readonly CandidateRow<unknown>[]> {
  const filter = request.filter === undefined ? undefined : parseFilter(request.filter)
  const idBytes = cursor === undefined ? undefined : Buffer.from(cursor.id, 'utf8')
  const { orderBy: order } = request
  if (order === undefined) {
    const matching = await matchingRows(context.view, filter, context.signal)
    return await firstById(context, matching, { count, after: idBytes })
  }
  if (idBytes === undefined || cursor === undefined) {
    return (await firstByField(context, { order, filter, count })).rows
  }
  const after = { value: await lastValue(context, cursor, order), idBytes }
  return (await firstByField(context, { order, filter, count, after })).rows
}

/** The value of the record that the last page ended with: the state still has it. */
async function lastValue(
  { core, view }: QueryContext,
  { id }: Cursor,
  order: NonNullable<ScrollRequest['orderBy']>,
): Promise<Scalar> {
  const parts = { payload: true, vector: false, source: false }
  const record = await getRecord(core, view, id, parts)
  const { decidingValue } = fieldOrder(view.manifest.state.schema, order)
  const values = record === undefined ? [] : scalarsUnder(record.payload, order.key)
  const value = decidingValue(values)
  if (value !== undefined) return value
  throw new AkidbError('BAD_INPUT', `the cursor names "${id}", which no page of it ends with`)
}

async function recordOf(
  { core, view }: QueryContext,
  { idBytes, place }: CandidateRow<unknown>,
  parts: Parts,
): Promise<StoredRecord> {
  if (place !== undefined) return await recordAt(core, view, place, parts)
  const id = Buffer.from(idBytes).toString('utf8')
  const record = await getRecord(core, view, id, parts)
  if (record === undefined) throw new Error('a row of its own view is gone')
  return record
}
