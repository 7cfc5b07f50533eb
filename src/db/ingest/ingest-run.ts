import { sha256Hex } from '../../core/digest.ts'
import { type Schema, sparseFieldsOf } from '../../core/schema.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import { expandInputs } from '../../ingest/expand-inputs.ts'
import { openFile, stdinBytes } from '../../ingest/input-bytes.ts'
import { openSource } from '../../ingest/open-source.ts'
import type { InputBytes, ReadOptions, RecordSource } from '../../ingest/records.ts'
import type { IngestRequest, IngestResult } from '../api/api.ts'
import { checkFollowing } from '../collection/append.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import { createCollection } from '../collection/lifecycle.ts'
import { mergeSegments } from '../rebuild/merge.ts'
import { vectorSpecOf } from '../segment/view.ts'
import { allSources } from '../states/sources.ts'
import { type CommitPiece, digestOf, type FileOutcome, readFile } from './ingest-file.ts'
import { IngestGroup } from './ingest-group.ts'
import {
  checkIndex,
  checkVectors,
  indexFor,
  optionsDigest,
  readOptionsOf,
  rejectsAllowed,
  schemaFor,
} from './ingest-options.ts'
import { IngestReport } from './ingest-report.ts'
import { isLedgerMisfit, type Ledger, openLedger } from './ledger.ts'
import {
  openRejects,
  openRejectsCopy,
  type RejectsCopy,
  type RejectsFile,
  rejectsFolder,
} from './rejects.ts'

/** Ingests files into one collection, which is made at the first commit where it does not exist. */
export async function runIngest(
  core: CollectionCore,
  request: IngestRequest,
): Promise<IngestResult> {
  rejectsAllowed(request.maxRejects, 0)
  const run = new IngestRun(core, request)
  const paths = request.stdin === undefined ? await expandInputs(request.inputs) : ['-']
  try {
    await run.start()
    for (const path of paths) await run.file(path, paths.length === 1)
    return await run.finish()
  } catch (error) {
    await run.abandon(error)
    throw error
  } finally {
    await run.close()
  }
}

class IngestRun {
  readonly #core: CollectionCore
  readonly #request: IngestRequest
  readonly #options: string
  readonly #report: IngestReport
  readonly #taken = new Set<string>()
  readonly #rejectKeys = new Set<string>()
  #copy: RejectsCopy | undefined
  #head: Manifest | undefined
  #group: IngestGroup | undefined
  /** The collection's, with what the files taken so far add; undefined before the first. */
  #schema: Schema | undefined

  constructor(core: CollectionCore, request: IngestRequest) {
    this.#core = core
    this.#request = request
    this.#options = optionsDigest(request)
    this.#report = new IngestReport(core.environment.clock.nowMs())
  }

  async start(): Promise<void> {
    const head = await this.#core.manifests.newest()
    this.#head = head?.state.dropped === true ? undefined : head
    this.#schema = this.#head?.state.schema
    if (this.#head !== undefined) {
      checkFollowing(this.#core.name, this.#head, 'ingest')
      for (const source of await allSources(this.#core.environment.store, this.#head.state)) {
        this.#taken.add(`${source.sha256}:${source.options}`)
      }
    }
    const { rejectsFile } = this.#request
    if (rejectsFile !== undefined) this.#copy = await openRejectsCopy(rejectsFile)
  }

  /** Takes one input; where it is one of several, a bad one is reported and the others go on. */
  async file(path: string, only: boolean): Promise<void> {
    this.#request.signal?.throwIfAborted()
    let input: InputBytes | undefined
    try {
      const { stdin } = this.#request
      input = stdin === undefined ? await openFile(path) : stdinBytes(stdin)
      const sha256 = input.bytes === undefined ? null : await digestOf(input)
      await this.#one(path, input, sha256).catch(async (error: unknown) => {
        if (input === undefined || !isLedgerMisfit(error)) throw error
        this.#request.onNote?.(`${(error as AkidbError).message}: it is read from its start`)
        await this.#one(path, input, sha256)
      })
    } catch (error) {
      if (!hasCode(error, ...FILE_ERRORS)) throw error
      if (only) throw named(path, error)
      this.#report.failed(path, error as AkidbError)
      await this.#forgetEmptyGroup()
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
    const known = this.#schema
    const name = this.#core.name
    const collection = known === undefined ? undefined : { name, schema: known }
    const options = readOptionsOf(this.#request, collection)
    const planned = await openSource(input, options)
    checkVectors(planned.plan, collection)
    for (const note of planned.plan.notes) this.#request.onNote?.(note)
    if (sha256 === null) this.#request.onNote?.(pipeNote(path, this.#commitsPieces))
    const schema = schemaFor(planned.plan, known, this.#request)
    // Before a long file is read rather than after.
    if (known === undefined) checkIndex(indexFor(this.#request, this.#head), schema)
    const shared = await this.#sharedGroup(schema)
    const ledger = sha256 === null ? undefined : await this.#ledger(sha256, schema, shared)
    const source = await resumed(planned, input, options, ledger)
    const rejects = await this.#rejects(path, sha256, ledger)
    const request = this.#request
    const commitPiece: CommitPiece = async (group, counts) => {
      this.#schema = schema
      this.#add({ path, sha256, group }, counts)
      this.#group = group
      await this.#commit()
      return this.#newGroup(schema)
    }
    const pieces = sha256 === null && this.#commitsPieces ? commitPiece : undefined
    const job = { collection: name, path, sha256, source, input, rejects, request, ledger }
    try {
      const outcome = await readFile({ ...job, commitPiece: pieces }, shared, async () => {
        await this.#commit()
        return this.#newGroup(schema)
      })
      this.#report.warned(source.warnings)
      await this.#took({ path, sha256, schema }, outcome)
      await ledger?.remove()
    } catch (error) {
      // Without a ledger the file is read again from its start, once.
      if (isLedgerMisfit(error)) await ledger?.remove()
      throw error
    } finally {
      if (rejects.bytes > 0) this.#rejectKeys.add(rejects.key)
      await source.close()
    }
  }

  /** A pipe is committed by segment, but not where one bad row is to undo it all. */
  get #commitsPieces(): boolean {
    return this.#request.onBadRow !== 'stop'
  }

  async #ledger(sha256: string, schema: Schema, group: IngestGroup): Promise<Ledger> {
    const { state, store } = this.#core.environment
    const index = indexFor(this.#request, this.#head)
    const key = {
      collection: this.#core.name,
      sha256,
      options: this.#options,
      schema: sha256Hex(Buffer.from(JSON.stringify({ schema, index }))),
    }
    const mayReject = this.#request.onBadRow !== 'stop'
    const ledger = await openLedger(key, { store, state, mayReject, pin: group.pin })
    if (ledger.distrusted > 0) {
      this.#request.onNote?.(
        `${ledger.distrusted} segments of an interrupted ingest do not fit: they are read again`,
      )
    }
    if (ledger.entries.length > 0) {
      this.#request.onNote?.(
        `going on with an interrupted ingest: ${ledger.entries.length} segments are finished`,
      )
    }
    return ledger
  }

  #rejects(path: string, sha256: string | null, ledger?: Ledger): Promise<RejectsFile> {
    return openRejects(this.#core.environment.state, {
      collection: this.#core.name,
      file: path,
      sha256,
      keepBytes: ledger?.entries.at(-1)?.rejectBytes ?? 0,
      copy: this.#copy,
    })
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

  /** A group that was opened for a file that was then refused was made for that file's schema. */
  async #forgetEmptyGroup(): Promise<void> {
    if (this.#group === undefined || this.#group.files > 0) return
    await this.#group.abandon(undefined)
    this.#group = undefined
  }

  async #took(
    file: { path: string; sha256: string | null; schema: Schema },
    outcome: FileOutcome & { group: IngestGroup; own: boolean },
  ): Promise<void> {
    const { path, sha256 } = file
    const { accepted: rows, rejected } = outcome
    if (rows === 0) {
      this.#report.untaken({ path, sha256, rows, rejected })
      if (outcome.own) await outcome.group.abandon(undefined)
      else await this.#forgetEmptyGroup()
      return
    }
    this.#schema = file.schema
    if (sha256 !== null) this.#taken.add(`${sha256}:${this.#options}`)
    this.#add({ path, sha256, group: outcome.group }, outcome)
    if (!outcome.own) return
    this.#group = outcome.group
    await this.#commit()
  }

  #add(
    { path, sha256, group }: { path: string; sha256: string | null; group: IngestGroup },
    { accepted: rows, rejected }: FileOutcome,
  ): void {
    const name = baseName(path)
    group.addSource({ name, sha256: sha256 ?? '', options: this.#options, rows, rejected })
    this.#report.pending({ path, sha256, rows, rejected })
  }

  /** Makes the collection where it is new, then commits what has been read. */
  async #commit(): Promise<void> {
    const group = this.#group
    const schema = this.#schema
    this.#group = undefined
    if (group === undefined) return
    if (group.files === 0 || schema === undefined) return await group.abandon(undefined)
    try {
      const { manifest, updated } = await group.commit(
        await this.#collection(schema),
        schema.fields,
      )
      this.#head = manifest
      this.#report.committed(updated)
    } catch (error) {
      await group.abandon(error)
      throw error
    }
  }

  /** Id of the collection. Where another ingest makes it at the same time, its one is taken. */
  async #collection(schema: Schema): Promise<string> {
    if (this.#head !== undefined) return this.#head.commit.collection
    const spec = vectorSpecOf(schema)
    const { storage } = spec ?? {}
    try {
      this.#head = await createCollection(this.#core, {
        ...(spec === undefined ? {} : { dimension: spec.dimension, metric: spec.metric }),
        ...(storage === undefined ? {} : { storage }),
        textFields: schema.text.fields,
        textPositions: schema.text.positions === true,
        sparseFields: sparseFieldsOf(schema),
        ...(this.#request.index === undefined ? {} : { index: this.#request.index }),
      })
      this.#report.created = true
    } catch (error) {
      const other = hasCode(error, 'EXISTS') ? await this.#core.manifests.newest() : undefined
      if (other === undefined || other.state.dropped === true) throw error
      if (!sameShape(other.state.schema, schema)) throw error
      this.#head = other
    }
    return this.#head.commit.collection
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
    return this.#report.result({
      collection: this.#core.name,
      store: environment.store.url,
      head: this.#head,
      rejectsFile: rejected > 0 ? this.#rejectsPlace() : undefined,
      overLimit: rejected > rejectsAllowed(this.#request.maxRejects, rows + rejected),
      nowMs: environment.clock.nowMs(),
    })
  }

  /** The file with the rejects, or the folder where there are several. */
  #rejectsPlace(): string | undefined {
    const [first, second] = this.#rejectKeys
    if (this.#request.rejectsFile !== undefined || first === undefined) {
      return this.#request.rejectsFile
    }
    const key = second === undefined ? first : rejectsFolder(this.#core.name)
    return this.#core.environment.state.localPath(key) ?? key
  }

  async abandon(error: unknown): Promise<void> {
    await this.#group?.abandon(error)
  }

  async close(): Promise<void> {
    await this.#copy?.close()
  }
}

const pipeNote = (path: string, inPieces: boolean): string =>
  inPieces
    ? `${path} is a pipe: each full segment is committed, and a stopped ingest does not resume`
    : `${path} is a pipe: a stopped ingest does not resume`

/** Whether rows made for one schema fit a collection of the other. */
const sameShape = (a: Schema, b: Schema): boolean =>
  JSON.stringify([a.vectors, a.text]) === JSON.stringify([b.vectors, b.text])

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
