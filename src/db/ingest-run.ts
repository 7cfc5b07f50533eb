import { sha256Hex } from '../core/digest.ts'
import type { Schema } from '../core/schema.ts'
import { AkidbError, hasCode } from '../errors/errors.ts'
import type { Manifest } from '../format/manifest.ts'
import { expandInputs } from '../ingest/expand-inputs.ts'
import { openFile, stdinBytes } from '../ingest/input-bytes.ts'
import { openSource } from '../ingest/open-source.ts'
import type { InputBytes, ReadOptions, RecordSource } from '../ingest/records.ts'
import type { IngestRequest, IngestResult } from './api.ts'
import { checkFollowing } from './append.ts'
import type { CollectionCore } from './collection-core.ts'
import { digestOf, type FileOutcome, readFile } from './ingest-file.ts'
import { IngestGroup } from './ingest-group.ts'
import {
  indexFor,
  optionsDigest,
  readOptionsOf,
  rejectsAllowed,
  schemaFor,
} from './ingest-options.ts'
import { IngestReport } from './ingest-report.ts'
import { type Ledger, openLedger } from './ledger.ts'
import { createCollection } from './lifecycle.ts'
import { mergeSegments } from './merge.ts'
import { openRejects, type RejectsFile } from './rejects.ts'
import { allSources } from './sources.ts'
import { vectorSpecOf } from './view.ts'

export interface IngestHooks {
  /** One JSON line a reject, for a file of the operator's. */
  readonly onReject?: (line: string) => void
}

/** Ingests files into one collection, which is made at the first commit where it does not exist. */
export async function runIngest(
  core: CollectionCore,
  request: IngestRequest,
  hooks: IngestHooks = {},
): Promise<IngestResult> {
  const run = new IngestRun(core, request, hooks)
  const paths = request.stdin === undefined ? await expandInputs(request.inputs) : ['-']
  try {
    await run.start()
    for (const path of paths) await run.file(path, paths.length === 1)
    return await run.finish()
  } catch (error) {
    await run.abandon(error)
    throw error
  }
}

class IngestRun {
  readonly #core: CollectionCore
  readonly #request: IngestRequest
  readonly #hooks: IngestHooks
  readonly #options: string
  readonly #report: IngestReport
  readonly #taken = new Set<string>()
  #head: Manifest | undefined
  #group: IngestGroup | undefined
  #schema: Schema | undefined
  #rejectsKey: string | undefined

  constructor(core: CollectionCore, request: IngestRequest, hooks: IngestHooks) {
    this.#core = core
    this.#request = request
    this.#hooks = hooks
    this.#options = optionsDigest(request)
    this.#report = new IngestReport(core.environment.clock.nowMs())
  }

  async start(): Promise<void> {
    const head = await this.#core.manifests.newest()
    this.#head = head?.state.dropped === true ? undefined : head
    if (this.#head === undefined) return
    checkFollowing(this.#core.name, this.#head, 'ingest')
    for (const source of await allSources(this.#core.environment.store, this.#head.state)) {
      this.#taken.add(`${source.sha256}:${source.options}`)
    }
  }

  /** Takes one input; where it is one of several, a bad one is reported and the others go on. */
  async file(path: string, only: boolean): Promise<void> {
    this.#request.signal?.throwIfAborted()
    let input: InputBytes | undefined
    try {
      const { stdin } = this.#request
      input = stdin === undefined ? await openFile(path) : stdinBytes(stdin)
      const sha256 = input.bytes === undefined ? null : await digestOf(input)
      await this.#one(path, input, sha256)
    } catch (error) {
      if (!hasCode(error, ...FILE_ERRORS)) throw error
      if (only) throw named(path, error)
      this.#report.failed(path, error as AkidbError)
    } finally {
      await input?.close()
    }
  }

  async #one(path: string, input: InputBytes, sha256: string | null): Promise<void> {
    if (sha256 !== null && this.#taken.has(`${sha256}:${this.#options}`)) {
      if (this.#request.again !== true) {
        this.#report.skipped(path, sha256)
        this.#request.onNote?.(`${path} was taken before: skipped (--again takes it once more)`)
        return
      }
    }
    const options = readOptionsOf(this.#request, this.#head)
    const planned = await openSource(input, options)
    const schema = this.#schemaOf(planned)
    for (const note of planned.plan.notes) this.#request.onNote?.(note)
    const shared = await this.#sharedGroup(schema)
    const ledger = sha256 === null ? undefined : await this.#ledger(sha256, schema, shared)
    const source = await resumed(planned, input, options, ledger)
    const rejects = await this.#rejects(path, sha256, ledger)
    const request = this.#request
    const job = { path, sha256, source, input, rejects, request, ledger }
    try {
      const outcome = await readFile(
        { ...job, onReject: this.#hooks.onReject },
        shared,
        async () => {
          await this.#commit()
          return this.#newGroup(schema)
        },
      )
      this.#report.warned(source.warnings)
      await this.#took(path, sha256, outcome)
      await ledger?.remove()
    } finally {
      await source.close()
    }
  }

  #schemaOf(source: RecordSource): Schema {
    const metric = this.#request.metric ?? 'cosine'
    const schema = schemaFor(source.plan, this.#head, metric)
    this.#schema = schema
    return schema
  }

  async #ledger(sha256: string, schema: Schema, group: IngestGroup): Promise<Ledger> {
    const { state, store } = this.#core.environment
    const key = {
      collection: this.#core.name,
      sha256,
      options: this.#options,
      schema: sha256Hex(Buffer.from(JSON.stringify(schema))),
    }
    const ledger = await openLedger(state, store, key, group.pin)
    if (ledger.entries.length > 0) {
      this.#request.onNote?.(
        `going on with an interrupted ingest: ${ledger.entries.length} segments are finished`,
      )
    }
    return ledger
  }

  async #rejects(path: string, sha256: string | null, ledger?: Ledger): Promise<RejectsFile> {
    const rejects = await openRejects(this.#core.environment.state, {
      collection: this.#core.name,
      file: path,
      sha256,
      keepBytes: ledger?.entries.at(-1)?.rejectBytes ?? 0,
    })
    this.#rejectsKey = rejects.key
    return rejects
  }

  /** Small files share a group; a full one is committed first. */
  async #sharedGroup(schema: Schema): Promise<IngestGroup> {
    if (this.#group?.full === true) await this.#commit()
    this.#group ??= this.#newGroup(schema)
    return this.#group
  }

  #newGroup(schema: Schema): IngestGroup {
    const index = indexFor(this.#request, this.#head)
    const withGraph = this.#request.noIndex !== true
    return new IngestGroup(this.#core, { schema, index, withGraph }, this.#request.signal)
  }

  async #took(
    path: string,
    sha256: string | null,
    outcome: FileOutcome & { group: IngestGroup; own: boolean },
  ): Promise<void> {
    const { accepted, rejected } = outcome
    outcome.group.addSource({
      name: baseName(path),
      sha256: sha256 ?? '',
      options: this.#options,
      rows: accepted,
      rejected,
    })
    this.#report.pending({ path, sha256, rows: accepted, rejected })
    if (!outcome.own) return
    this.#group = outcome.group
    await this.#commit()
  }

  /** Makes the collection where it is new, then commits what has been read. */
  async #commit(): Promise<void> {
    const group = this.#group
    this.#group = undefined
    if (group === undefined) return
    if (group.files === 0) return await group.abandon(undefined)
    try {
      const collection = await this.#collection()
      if (collection === undefined) return await group.abandon(undefined)
      const { manifest, updated } = await group.commit(collection)
      this.#head = manifest
      this.#report.committed(updated)
    } catch (error) {
      await group.abandon(error)
      throw error
    }
  }

  async #collection(): Promise<string | undefined> {
    if (this.#head !== undefined) return this.#head.commit.collection
    const schema = this.#schema
    if (schema === undefined) return undefined
    const spec = vectorSpecOf(schema)
    if (spec === undefined && schema.text.fields.length === 0) return undefined
    const created = await createCollection(this.#core, {
      ...(spec === undefined ? {} : { dimension: spec.dimension, metric: spec.metric }),
      textFields: schema.text.fields,
      ...(this.#request.index === undefined ? {} : { index: this.#request.index }),
    })
    this.#head = created
    this.#report.created = true
    return created.commit.collection
  }

  async finish(): Promise<IngestResult> {
    await this.#commit()
    const { environment } = this.#core
    if (this.#head !== undefined && this.#report.committedRows > 0) {
      const { onProgress, signal } = this.#request
      await mergeSegments(this.#core, {
        kind: 'policy',
        ...(onProgress === undefined ? {} : { onProgress }),
        ...(signal === undefined ? {} : { signal }),
      })
      this.#head = await this.#core.head()
    }
    const { rejected, rows } = this.#report
    const allowed = rejectsAllowed(this.#request.maxRejects, rows + rejected)
    const rejectsPath =
      rejected > 0 && this.#rejectsKey !== undefined
        ? (environment.state.localPath(this.#rejectsKey) ?? this.#rejectsKey)
        : undefined
    return this.#report.result({
      collection: this.#core.name,
      store: environment.store.url,
      head: this.#head,
      rejectsFile: this.#request.rejectsFile ?? rejectsPath,
      overLimit: rejected > allowed,
      nowMs: environment.clock.nowMs(),
    })
  }

  async abandon(error: unknown): Promise<void> {
    await this.#group?.abandon(error)
  }
}

/** What refuses one file of several; everything else ends the run. */
const FILE_ERRORS = [
  'BAD_INPUT',
  'DIMENSION_MISMATCH',
  'SCHEMA_MISMATCH',
  'NOT_FOUND',
  'AUTH',
  'LIMIT',
  'USAGE',
] as const

/** Says which file it is about, where the message does not. */
const named = (path: string, error: AkidbError): AkidbError =>
  error.message.includes(path) || path === '-'
    ? error
    : new AkidbError(error.code, `${path}: ${error.message}`, {
        ...(error.hint === undefined ? {} : { hint: error.hint }),
        details: { file: path, ...error.details },
        cause: error,
      })

/** The source again, from where the ledger ends. */
async function resumed(
  source: RecordSource,
  input: InputBytes,
  options: ReadOptions,
  ledger: Ledger | undefined,
): Promise<RecordSource> {
  const last = ledger?.entries.at(-1)
  if (last === undefined) return source
  await source.close()
  return await openSource(input, { ...options, skipRows: last.rowsRead })
}

const baseName = (path: string): string => path.split('/').at(-1) ?? path
