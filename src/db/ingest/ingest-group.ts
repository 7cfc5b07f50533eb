import { limits } from '../../core/limits.ts'
import type { IndexParameters, Schema } from '../../core/schema.ts'
import type { Manifest } from '../../format/manifest.ts'
import { NO_SOURCE } from '../../format/origin-section.ts'
import type { IngestRecord } from '../../ingest/records.ts'
import { commitAppend } from '../collection/append.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import { reserveBuild } from '../segment/build-memory.ts'
import { PiecePool } from '../segment/piece-pool.ts'
import { type NewSegment, SegmentBuilder } from '../segment/segment-builder.ts'
import { type Act, abortAct, beginAct } from '../states/acts.ts'
import { createWriterPin, type WriterPin } from '../states/pins.ts'
import type { NewSource } from '../states/sources.ts'

/** A segment with its own list of sources: indexes into the group's. */
type GroupSegment = NewSegment & { readonly sources: readonly number[] }

export interface GroupPlan {
  readonly schema: Schema
  readonly index: IndexParameters
  readonly withGraph: boolean
}

export interface GroupCommit {
  readonly manifest: Manifest
  /** Rows of each source that replaced an older row. */
  readonly updated: readonly number[]
}

/**
 * Rows that become visible together: one large file, or many small ones. Segments are finished one
 * at a time beside the reading of the next; nothing is visible before `commit`.
 */
export class IngestGroup {
  readonly #core: CollectionCore
  readonly #pool = new PiecePool()
  readonly #plan: GroupPlan
  readonly #segments: GroupSegment[] = []
  readonly #sources: NewSource[] = []
  readonly #signal: AbortSignal | undefined
  readonly pin: WriterPin
  #builder: SegmentBuilder
  #builderSources: number[] = []
  #sealing: Promise<void> | undefined
  #act: Act | undefined
  readonly #inputs: string[] = []

  constructor(core: CollectionCore, plan: GroupPlan, signal?: AbortSignal) {
    this.#core = core
    this.#plan = plan
    this.#signal = signal
    this.pin = createWriterPin(core.environment)
    this.#builder = this.#newBuilder()
  }

  /** Says that rows of an input are coming: its digest goes into the audit log's intent. */
  announce(sha256: string | null): void {
    this.#inputs.push(sha256 ?? 'stdin')
  }

  get files(): number {
    return this.#sources.length
  }

  /** Rows that are in no finished segment yet. */
  get openRows(): number {
    return this.#builder.rows
  }

  get finishedSegments(): number {
    return this.#segments.length
  }

  /** Whether it holds what one commit takes of small files: so many files, or a segment of rows. */
  get full(): boolean {
    return this.files >= limits.commitFilesMax || this.finishedSegments > 0 || this.segmentFull
  }

  /** Whether the open segment is complete: call `seal` before the next `add`. */
  get segmentFull(): boolean {
    return this.#builder.full
  }

  /** Adds a row of the source that will be the group's number `source`. */
  add(record: IngestRecord, source: number): void {
    let local = this.#builderSources.indexOf(source)
    if (local < 0) local = this.#builderSources.push(source) - 1
    this.#builder.add({
      id: record.id,
      vector: record.vector,
      payload: record.payload,
      source: source < 0 ? NO_SOURCE : local,
      position: record.position,
    })
  }

  /**
   * Takes over a segment that an interrupted run had finished; its rows are all of source `source`.
   */
  adopt(segment: NewSegment, source: number): void {
    this.#segments.push({ ...segment, sources: [source] })
  }

  /**
   * Starts to finish the open segment, after the one before it is finished; at most two are in
   * memory.
   *
   * @param onFinished called when its blobs are durable, in the order of the segments
   */
  async seal(onFinished?: (segment: NewSegment) => Promise<void>): Promise<void> {
    await this.#sealing
    if (this.#builder.rows === 0) return
    reserveBuild(this.#core.environment, { ...this.#plan, rows: this.#builder.rows })
    await this.#begin()
    const builder = this.#builder
    const sources = this.#builderSources
    this.#builder = this.#newBuilder()
    this.#builderSources = []
    const { environment } = this.#core
    const targets = {
      store: environment.store,
      pin: this.pin,
      builder: environment.builder,
      signal: this.#signal,
    }
    this.#sealing = builder.finish(targets).then(async (segment) => {
      this.#segments.push({ ...segment, sources })
      await onFinished?.(segment)
    })
    // A failure is thrown where the next seal or the commit waits for it.
    this.#sealing.catch(() => undefined)
  }

  #newBuilder(): SegmentBuilder {
    return new SegmentBuilder({ ...this.#plan, tier: 'written' }, this.#pool)
  }

  /** A source that has been read to its end. */
  addSource(source: NewSource): void {
    this.#sources.push(source)
  }

  /**
   * Waits for the segments and commits them in one manifest.
   *
   * @param fields types of the payload fields of all files in it
   */
  async commit(
    collection: string,
    fields: Schema['fields'] = this.#plan.schema.fields,
  ): Promise<GroupCommit> {
    await this.seal()
    await this.#sealing
    const act = await this.#begin()
    let updated: readonly (number | undefined)[] = []
    const manifest = await commitAppend(this.#core, act, this.pin, {
      kind: 'ingest',
      collection,
      schema: { ...this.#plan.schema, fields },
      index: this.#plan.index,
      segments: this.#segments,
      sources: this.#sources,
      signal: this.#signal,
      onUpdated: (bySource) => {
        updated = bySource
      },
    })
    this.#act = undefined
    const { commit, digest } = manifest
    await act.finish({
      result: 'done',
      version: commit.version,
      manifest: digest,
      stateRoot: commit.stateRoot,
      files: this.#sources
        .slice(0, FILES_IN_AUDIT_MAX)
        .map(({ sha256, rows }) => ({ sha256, rows })),
    })
    await this.pin.release()
    return { manifest, updated: this.#sources.map((_, i) => updated[i] ?? 0) }
  }

  /** Lets go of everything; blobs that were written are rubbish for gc. */
  async abandon(error: unknown): Promise<void> {
    await this.#sealing?.catch(() => undefined)
    if (this.#act !== undefined) await abortAct(this.#act, error)
    this.#act = undefined
    await this.pin.release().catch(() => undefined)
  }

  /** The intent, written before the first blob is. */
  async #begin(): Promise<Act> {
    this.#act ??= await beginAct(this.#core.environment, {
      act: 'ingest',
      collection: this.#core.name,
      parent: await this.#core.manifests.newest(),
      details: { inputs: this.#inputs.slice(0, FILES_IN_AUDIT_MAX), files: this.#inputs.length },
    })
    return this.#act
  }
}

/** An audit entry is at most 64 KiB. */
const FILES_IN_AUDIT_MAX = 100
