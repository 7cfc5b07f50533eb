import type { Bitset } from '../../core/bitset.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { IdTable } from '../../format/ids-section.ts'
import type { TieOrder } from '../../search/best-rows.ts'
import { matchesFilter } from '../../search/evaluate.ts'
import { parseTextQuery, type TextQuery, type TextSearch } from '../../search/text-query.ts'
import { hasPhrases } from '../../search/text-required.ts'
import { searchText, type TextResult, type TextSegment } from '../../search/text-search.ts'
import type { SearchPlan } from '../api/api.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import { prefetchSegments } from '../segment/prefetch.ts'
import { payloadObject, type View, type ViewSegment } from '../segment/view.ts'
import { type LogText, logText } from './log-text.ts'
import type { CheckedSearch, RankedRecord } from './search-vector.ts'

interface TextRequest {
  readonly text: string | TextSearch
  readonly search: CheckedSearch
}

/**
 * The k best live records by BM25 over the collection's text fields, ties by bytewise lower id.
 *
 * @throws USAGE for a collection without text fields, or a field that is none; LIMIT for a query
 *   that is too long; INTEGRITY
 */
export async function searchByText(
  core: CollectionCore,
  view: View,
  { text, search }: TextRequest,
): Promise<{ hits: RankedRecord[]; plan: SearchPlan }> {
  const { fields, tokenizer } = view.manifest.state.schema.text
  if (fields.length === 0) {
    throw new AkidbError('USAGE', `collection "${core.name}" has no text index`, {
      hint: 'Ingest with --text-column <column> into a new collection.',
    })
  }
  const query = parseTextQuery(text, fields)
  const stored = await storedSegments(core, view, search)
  const scan = new TextScan({ core, view, query, search, stored })
  const { hits, matchedAtLeast, phrasesRead } = await scan.run()
  return {
    hits,
    plan: {
      kind: 'text',
      k: search.k,
      fields: query.fields === undefined ? fields : Object.fromEntries(query.fields),
      tokenizer,
      segments: stored.length + (view.log === undefined ? 0 : 1),
      matchedAtLeast,
      ...(phrasesRead === undefined ? {} : { phrasesRead }),
    },
  }
}

interface StoredSegment extends TextSegment {
  readonly segment: ViewSegment
  /** Its place in the view. */
  readonly number: number
  readonly ids: IdTable
}

/** How many rows have a word, by the live rows of a state's segment. */
const documentCounts = new WeakMap<Bitset, Map<string, number>>()

async function storedSegments(
  core: CollectionCore,
  view: View,
  { filter, filterText, signal }: CheckedSearch,
): Promise<StoredSegment[]> {
  const found: StoredSegment[] = []
  const parts = filter === undefined ? 'text' : 'text, filter'
  prefetchSegments(core.environment.store, view, parts)
  for (const [number, segment] of view.segments.entries()) {
    signal?.throwIfAborted()
    const index = await segment.reader.text()
    if (index === undefined) continue
    const { alive } = segment
    const allowed =
      filter === undefined
        ? undefined
        : (await core.filters.select(segment, filter, filterText)).rows
    const documents = documentCounts.get(alive) ?? new Map<string, number>()
    documentCounts.set(alive, documents)
    const ids = await segment.reader.ids()
    found.push({ segment, number, ids, index, alive, allowed, documents })
  }
  return found
}

interface ScanInput extends TextRequest {
  readonly core: CollectionCore
  readonly view: View
  readonly query: TextQuery
  readonly stored: readonly StoredSegment[]
}

/** More than k rows are looked at where texts must be read to see whether they have a phrase. */
const PHRASE_CANDIDATES = 4

/** One search; its log segment, if any, is the last. */
class TextScan {
  readonly #input: Omit<ScanInput, 'text'>
  readonly #ties: TieOrder
  #log: LogText | undefined

  constructor(input: Omit<ScanInput, 'text'>) {
    this.#input = input
    this.#ties = (segmentA, rowA, segmentB, rowB) =>
      segmentA === segmentB && segmentA < input.stored.length
        ? this.#placeOf(segmentA, rowA) - this.#placeOf(segmentA, rowB)
        : Buffer.compare(this.#idBytes(segmentA, rowA), this.#idBytes(segmentB, rowB))
  }

  async run(): Promise<{
    hits: RankedRecord[]
    matchedAtLeast: number
    phrasesRead: number | undefined
  }> {
    const { query, search, stored, view } = this.#input
    const isOpen = stored.some(({ index }) => !index.positions) || view.log !== undefined
    if (query.phrases.length === 0 || !isOpen) {
      const { hits, matchedAtLeast } = this.#search(search.k)
      return { hits: hits.map((hit) => this.#record(hit)), matchedAtLeast, phrasesRead: undefined }
    }
    const known = new Map<string, boolean>()
    for (let count = search.k * PHRASE_CANDIDATES; ; count *= PHRASE_CANDIDATES) {
      const { hits, matchedAtLeast } = this.#search(count)
      // All before the first wait: after it another search may have changed the log's index.
      const records = hits.map((hit) => ({ ...hit, record: this.#record(hit) }))
      const passed: RankedRecord[] = []
      for (const { segment, row, record } of records) {
        if (passed.length === search.k) break
        if (await this.#hasPhrases(segment, row, record, known)) passed.push(record)
      }
      if (passed.length === search.k || hits.length < count) {
        return { hits: passed, matchedAtLeast, phrasesRead: known.size }
      }
    }
  }

  /** Nothing is awaited between this and the look at its hits. */
  #search(k: number): TextResult {
    const { core, view, query, stored } = this.#input
    const { fields } = view.manifest.state.schema.text
    const segments: TextSegment[] = [...stored]
    this.#log = view.log === undefined ? undefined : logText(core, view.log, fields)
    if (this.#log !== undefined) segments.push({ ...this.#log, allowed: this.#allowed(this.#log) })
    return searchText({ segments, query, k, ties: this.#ties })
  }

  #allowed({ alive, row }: LogText): Bitset {
    const { filter } = this.#input.search
    if (filter === undefined) return alive
    const allowed = alive.clone()
    for (const number of alive) if (!matchesFilter(filter, row(number))) allowed.remove(number)
    return allowed
  }

  #record({ segment, row, score }: TextResult['hits'][number]): RankedRecord {
    const stored = this.#input.stored[segment]
    if (stored === undefined) return { id: (this.#log as LogText).row(row).id, score }
    return { id: stored.ids.id(row), score, place: { segment: stored.number, row } }
  }

  #idBytes(segment: number, row: number): Uint8Array {
    const stored = this.#input.stored[segment]
    return stored === undefined
      ? Buffer.from((this.#log as LogText).row(row).id, 'utf8')
      : stored.ids.idBytes(row)
  }

  #placeOf(segment: number, row: number): number {
    const { ids } = this.#input.stored[segment] as StoredSegment
    return idPlaces(ids)[row] as number
  }

  async #hasPhrases(
    segment: number,
    row: number,
    { id }: RankedRecord,
    known: Map<string, boolean>,
  ): Promise<boolean> {
    const { stored, view, query, search } = this.#input
    const place = stored[segment]
    if (place?.index.positions === true) return true
    const before = known.get(id)
    if (before !== undefined) return before
    search.signal?.throwIfAborted()
    const payload =
      place === undefined
        ? view.log?.get(id)?.payload
        : payloadObject(await place.segment.reader.payload(row))
    const { fields } = view.manifest.state.schema.text
    const found = payload !== undefined && hasPhrases(payload, query, fields)
    known.set(id, found)
    return found
  }
}

const placesOfIds = new WeakMap<IdTable, Uint32Array>()

/** Place of each row in the order of the ids; made at the first tie in a segment. */
function idPlaces(ids: IdTable): Uint32Array {
  const known = placesOfIds.get(ids)
  if (known !== undefined) return known
  const places = new Uint32Array(ids.count)
  for (let place = 0; place < ids.count; place++) places[ids.sorted(place)] = place
  placesOfIds.set(ids, places)
  return places
}
