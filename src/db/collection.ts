import { AkidbError } from '../errors/errors.ts'
import type { Manifest } from '../format/manifest.ts'
import { matchesFilter } from '../search/evaluate.ts'
import { parseFilter } from '../search/filter.ts'
import type {
  BatchOptions,
  BatchSearch,
  Collection,
  CollectionInfo,
  CountRequest,
  CountResult,
  DiffResult,
  FacetRequest,
  FacetResult,
  IngestPreview,
  IngestRequest,
  IngestResult,
  LogEntry,
  QueryRequest,
  QueryResult,
  RecordInput,
  RecordPage,
  ScanOptions,
  ScrollRequest,
  SearchRequest,
  SearchResult,
  SnapshotInfo,
  StoredRecord,
  WriteResult,
} from './api/api.ts'
import { checkList, checkRequest } from './api/check-call.ts'
import { checkFollowing } from './collection/append.ts'
import type { CollectionCore } from './collection/collection-core.ts'
import { deleteRecords } from './collection/delete.ts'
import { diffVersions } from './collection/diff.ts'
import { logEntries, revertTo } from './collection/history.ts'
import { collectionInfo } from './collection/info.ts'
import { checkRecord } from './collection/record-input.ts'
import { getRecord, scanRecords } from './collection/records.ts'
import { runIngest } from './ingest/ingest-run.ts'
import { previewIngest } from './ingest/preview.ts'
import { countRecords } from './query/count-records.ts'
import { facetValues } from './query/facet-values.ts'
import { runQuery } from './query/run-query.ts'
import { scrollRecords } from './query/scroll-records.ts'
import { buildIndexes, type IndexStatus, indexStatus } from './rebuild/index-build.ts'
import { mergeSegments } from './rebuild/merge.ts'
import { measureRecall } from './search/measure-recall.ts'
import { searchBatch } from './search/search-batch.ts'
import { runSearch } from './search/search-run.ts'
import { selectRows } from './segment/filter-rows.ts'
import type { ViewSegment } from './segment/view.ts'
import { createSnapshot, dropSnapshot, listSnapshots } from './states/snapshots.ts'
import type { LogOwner } from './wal/log-owner.ts'
import type { RowsElsewhere } from './wal/owner-host.ts'

/** What a collection asks of its store. */
export interface CollectionHost {
  /** The log owner of this process; becomes it at the first single write. @throws LOCKED */
  owner(): Promise<LogOwner>
  /** A head that single writes may be checked against without a look; see OwnedLog.knownHead. */
  knownHead(core: CollectionCore): Promise<Manifest | undefined>
  /**
   * Has whoever owns the log commit what it holds: this process, or another one over its socket.
   */
  flushLog(core: CollectionCore, elsewhere?: RowsElsewhere): Promise<void>
}

const LOG_LIMIT = 1_000
const DIFF_LIMIT = 1_000

/** One collection of an open store. */
export class OpenCollection implements Collection {
  readonly name: string
  readonly id: string
  readonly core: CollectionCore
  readonly #host: CollectionHost

  constructor(core: CollectionCore, id: string, host: CollectionHost) {
    this.name = core.name
    this.id = id
    this.core = core
    this.#host = host
  }

  info(options: { asOf?: string } = {}): Promise<CollectionInfo> {
    return collectionInfo(this.core, options.asOf)
  }

  async upsert(records: readonly RecordInput[]): Promise<void> {
    this.#checkWritable()
    checkList('upsert', records)
    const head = (await this.#host.knownHead(this.core)) ?? (await this.core.sharedHead())
    checkFollowing(this.name, head, 'upsert')
    const rows = records.map((record) => checkRecord(this.name, head.state.schema, record))
    const owner = await this.#host.owner()
    const log = await owner.log(this.core, head)
    await log.write(rows.map((row) => ({ kind: 'upsert', row })))
  }

  async delete(what: {
    ids?: readonly string[]
    filter?: unknown
    source?: string
  }): Promise<{ deleted: number }> {
    this.#checkWritable()
    checkRequest('delete', what)
    // A filter chooses among what is committed: rows that it never saw would stay.
    await this.#host.flushLog(this.core, what.ids === undefined ? 'must' : 'wait')
    return { deleted: await deleteRecords(this.core, what, this.#known) }
  }

  async get(
    ids: readonly string[],
    options: { asOf?: string; withVector?: boolean } = {},
  ): Promise<(StoredRecord | undefined)[]> {
    checkList('get', ids)
    const parts = { payload: true, vector: options.withVector === true, source: true }
    return await this.core.read(options.asOf, async (view) => {
      const found: (StoredRecord | undefined)[] = []
      for (const id of ids) found.push(await getRecord(this.core, view, id, parts))
      return found
    })
  }

  async *scan(options: ScanOptions = {}): AsyncIterable<StoredRecord> {
    const filter = options.filter === undefined ? undefined : parseFilter(options.filter)
    const { signal } = options
    const { view, hold } = await this.core.hold(options.asOf)
    try {
      yield* scanRecords(this.core, view, {
        parts: {
          payload: true,
          vector: options.withVector === true,
          source: options.withSource === true,
        },
        signal,
        rowsOf: async (number) => {
          const segment = view.segments[number] as ViewSegment
          return filter === undefined ? segment.alive : await selectRows(segment, filter)
        },
        logMatches: (record) => filter === undefined || matchesFilter(filter, record),
        onRow: () => (hold.isOld() ? hold.renew() : undefined),
      })
    } finally {
      await hold.release()
    }
  }

  search(request: SearchRequest): Promise<SearchResult> {
    return runSearch(this.core, request)
  }

  query(request: QueryRequest): Promise<QueryResult> {
    return runQuery(this.core, request)
  }

  count(request: CountRequest = {}): Promise<CountResult> {
    return countRecords(this.core, request)
  }

  facet(request: FacetRequest): Promise<FacetResult> {
    return facetValues(this.core, request)
  }

  async scroll(request: ScrollRequest = {}): Promise<RecordPage> {
    const isHead = request.cursor === undefined && request.asOf === undefined
    if (isHead) await this.#host.flushLog(this.core, 'leave')
    return await scrollRecords(this.core, request)
  }

  searchBatch(
    requests: Iterable<BatchSearch> | AsyncIterable<BatchSearch>,
    options: BatchOptions = {},
  ): AsyncIterable<SearchResult> {
    return searchBatch(this.core, requests, options)
  }

  async ingest(request: IngestRequest): Promise<IngestResult> {
    this.#checkWritable()
    checkRequest('ingest', request)
    checkList('ingest.inputs', request.inputs)
    return await runIngest(this.core, request)
  }

  preview(request: IngestRequest): Promise<IngestPreview[]> {
    return previewIngest(this.core, request)
  }

  log(options: { limit?: number } = {}): AsyncIterable<LogEntry> {
    return logEntries(this.core, options.limit ?? LOG_LIMIT)
  }

  diff(a: string, b: string, options: { limit?: number } = {}): Promise<DiffResult> {
    return diffVersions(this.core, a, b, options.limit ?? DIFF_LIMIT)
  }

  async revert(to: string, options: { dryRun?: boolean } = {}): Promise<WriteResult> {
    if (options.dryRun === true) return await revertTo(this.core, to, true)
    this.#checkWritable()
    await this.#host.flushLog(this.core, 'must')
    return await revertTo(this.core, to, false)
  }

  readonly snapshots = {
    create: async (label: string): Promise<SnapshotInfo> => {
      this.#checkWritable()
      await this.#host.flushLog(this.core)
      return await createSnapshot(this.core, label, this.#known)
    },
    list: (): Promise<SnapshotInfo[]> => listSnapshots(this.core),
    drop: async (label: string): Promise<void> => {
      this.#checkWritable()
      await dropSnapshot(this.core, label)
    },
  }

  flush(): Promise<void> {
    return this.#host.flushLog(this.core)
  }

  async buildIndex(
    options: Parameters<Collection['buildIndex']>[0] = {},
  ): Promise<{ segments: number; elapsedMs: number }> {
    this.#checkWritable()
    return await buildIndexes(this.core, options)
  }

  indexStatus(): Promise<IndexStatus[]> {
    return indexStatus(this.core)
  }

  recall(
    options: { k?: number; ef?: number; samples?: number } = {},
  ): Promise<{ recall: number; k: number; ef: number; samples: number }> {
    return measureRecall(this.core, options)
  }

  async compact(
    options: Parameters<Collection['compact']>[0] = {},
  ): Promise<{ before: number; after: number; rows: number }> {
    this.#checkWritable()
    await this.#host.flushLog(this.core)
    const before = (await this.core.head()).state.segments.length
    await mergeSegments(this.core, { kind: 'compact', ...options })
    const { segments } = (await this.core.head()).state
    const rows = segments.reduce(
      (sum, entry) => sum + entry.rows - (entry.tombstones?.count ?? 0),
      0,
    )
    return { before, after: segments.length, rows }
  }

  /** The collection that is meant; undefined for one that did not exist yet. */
  get #known(): string | undefined {
    return this.id === '' ? undefined : this.id
  }

  #checkWritable(): void {
    if (this.core.environment.mode === 'write') return
    throw new AkidbError('AUTH', 'this store was opened for reading only', {
      hint: "Open it with mode 'write'.",
    })
  }
}
