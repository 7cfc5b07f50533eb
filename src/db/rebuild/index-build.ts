import { checkQuantization } from '../../ann/quantization.ts'
import { limits } from '../../core/limits.ts'
import type { IndexParameters, Quantization } from '../../core/schema.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { Manifest, SegmentEntry } from '../../format/manifest.ts'
import type { Collection } from '../api/api.ts'
import { checkFollowing, checkSame, headMoved, isHeadMoved } from '../collection/append.ts'
import { type CollectionCore, commitLockName, noCollection } from '../collection/collection-core.ts'
import { indexOf } from '../collection/lifecycle.ts'
import {
  haveSameCodes,
  haveSameIndex,
  type Reindexed,
  reindexSegment,
  reserveReindex,
  withIndex,
} from '../segment/reindex-segment.ts'
import { segmentIdentity } from '../segment/segment-reader.ts'
import { vectorSpecOf } from '../segment/view.ts'
import { type Act, runAct } from '../states/acts.ts'
import { commitManifest, type NextState } from '../states/commit.ts'
import { createWriterPin, holdState, isStateRemoved, type WriterPin } from '../states/pins.ts'

export type IndexStatus = Awaited<ReturnType<Collection['indexStatus']>>[number]
type BuildOptions = NonNullable<Parameters<Collection['buildIndex']>[0]>

/** Times that it looks again for segments which others made while it built. */
const ROUNDS_MAX = 16

/**
 * Builds the graphs that are missing, or all of them anew with other parameters. Rows stay as they
 * are. Others may write meanwhile: what they commit stays, and what is a large segment by then, or
 * has codes of another kind, is built too.
 *
 * @throws CONFLICT where another build changed the parameters meanwhile, or large segments came
 *   faster than they could be built
 */
export async function buildIndexes(
  core: CollectionCore,
  options: BuildOptions,
): Promise<{ segments: number; elapsedMs: number }> {
  const { environment } = core
  const startedMs = environment.clock.nowMs()
  const head = await core.head()
  checkFollowing(core.name, head, 'index')
  const spec = vectorSpecOf(head.state.schema)
  if (spec === undefined) {
    throw new AkidbError('USAGE', `collection "${core.name}" holds no vectors to index`)
  }
  const index = indexOf(options.index, head.state.index)
  checkQuantization(formOf(index), spec.dimension)
  const rebuild = new IndexRebuild(core, { from: head, index, options })
  const pending = await rebuild.plan(head)
  const isOther = !haveSameIndex(index, head.state.index)
  if (pending.length === 0 && !isOther) return { segments: 0, elapsedMs: 0 }
  const details = { index, segments: pending.length }
  const intent = { act: 'index.build', collection: core.name, parent: head, details }
  await runAct(environment, intent, async (act) => {
    const { digest, commit } = await rebuild.run(act, pending)
    const { version, stateRoot } = commit
    return { result: undefined, outcome: { version, manifest: digest, stateRoot } }
  })
  return { segments: rebuild.segments, elapsedMs: environment.clock.nowMs() - startedMs }
}

const formOf = (index: IndexParameters): Quantization => index.quantization ?? 'int8'

interface RebuildJob {
  /** The state that the build was asked of. */
  readonly from: Manifest
  readonly index: IndexParameters
  readonly options: BuildOptions
}

/** One build: what became of each segment that it looked at, and the commit of it. */
class IndexRebuild {
  /** Segments that were built. */
  segments = 0
  readonly #core: CollectionCore
  readonly #job: RebuildJob
  readonly #isRecoded: boolean
  readonly #isOther: boolean
  /** Segments that are to be built although they have what is wanted, by content. */
  readonly #again: ReadonlySet<string>
  /** By content; undefined: it stays as it is. */
  readonly #looked = new Map<string, Reindexed | undefined>()
  #rows = 0

  constructor(core: CollectionCore, job: RebuildJob) {
    const former = job.from.state.index
    this.#core = core
    this.#job = job
    this.#isRecoded = !haveSameCodes(job.index, former)
    this.#isOther = !haveSameIndex(job.index, former)
    const again = job.options.again === true ? job.from.state.segments : []
    this.#again = new Set(again.map(segmentIdentity))
  }

  /**
   * Which segments of a state are to be built and were not.
   *
   * @throws LIMIT where one of them needs more memory than there may be
   */
  async plan({ state }: Manifest): Promise<SegmentEntry[]> {
    const { index } = this.#job
    const pending: SegmentEntry[] = []
    for (const entry of state.segments) {
      if (this.#looked.has(segmentIdentity(entry))) continue
      if (!(await this.#isWanting(entry))) {
        this.#looked.set(segmentIdentity(entry), undefined)
        continue
      }
      pending.push(entry)
      reserveReindex(this.#core.environment, entry, { schema: state.schema, index })
    }
    return pending
  }

  async #isWanting(entry: SegmentEntry): Promise<boolean> {
    if (this.#again.has(segmentIdentity(entry))) return true
    const isWanted = this.#job.index.type === 'hnsw' && entry.rows >= limits.graphRowsMin
    const has = await this.#core.reader(entry).hasGraph()
    return isWanted !== has || this.#isRecoded || (isWanted && this.#isOther)
  }

  /** Builds what is pending, and what came meanwhile, and commits it. */
  async run(act: Act, planned: readonly SegmentEntry[]): Promise<Manifest> {
    const pin = createWriterPin(this.#core.environment)
    let [head, pending] = [this.#job.from, planned]
    try {
      for (let round = 0; round < ROUNDS_MAX; round++) {
        const manifest = await this.#round(act, pin, { head, pending })
        if (manifest !== undefined) return manifest
        head = await this.#core.head()
        pending = await this.plan(head)
      }
      throw headMoved(this.#core.name)
    } finally {
      await pin.release()
    }
  }

  /** Undefined where others were faster: there is a newer head to look at. */
  async #round(
    act: Act,
    pin: WriterPin,
    { head, pending }: { readonly head: Manifest; readonly pending: readonly SegmentEntry[] },
  ): Promise<Manifest | undefined> {
    try {
      await holdState(pin, this.#core.manifests, head)
      await this.#build(pending, pin)
      return await this.#commit(act, pin)
    } catch (error) {
      if (isHeadMoved(error) || isStateRemoved(error)) return undefined
      throw error
    }
  }

  async #build(pending: readonly SegmentEntry[], pin: WriterPin): Promise<void> {
    const { store, builder } = this.#core.environment
    const { index, from, options } = this.#job
    const targets = { store, pin, builder, signal: options.signal }
    const plan = { schema: from.state.schema, index, targets }
    for (const entry of pending) {
      options.signal?.throwIfAborted()
      const built = await reindexSegment(this.#core.reader(entry), plan)
      this.#looked.set(segmentIdentity(entry), built)
      this.segments++
      this.#rows += entry.rows
      options.onProgress?.({ stage: 'index', done: this.#rows, unit: 'rows' })
    }
  }

  /** HEAD_MOVED where there are segments by now that it has to look at. */
  async #commit(act: Act, pin: WriterPin): Promise<Manifest> {
    const { environment, manifests, name } = this.#core
    const { collection } = this.#job.from.commit
    const next = async (now: Manifest | undefined): Promise<NextState> => {
      checkSame(name, collection, now)
      return this.#nextState(now)
    }
    const lock = commitLockName(collection)
    const request = { manifests, name, lock, kind: 'index' as const, act, pin, next }
    const committed = await commitManifest(environment, request)
    if (committed === undefined) throw noCollection(name)
    return committed
  }

  #nextState(now: Manifest): NextState {
    const { index, from } = this.#job
    checkFollowing(now.commit.name, now, 'index')
    if (!haveSameIndex(now.state.index, from.state.index)) {
      throw new AkidbError('CONFLICT', `the index of "${now.commit.name}" changed meanwhile`, {
        hint: 'Another build was faster. See what akidb index status says.',
      })
    }
    const segments = now.state.segments.map((entry) => this.#rebuilt(entry, now.commit.name))
    const changed = { inserted: 0, updated: 0, deleted: 0 }
    return { state: { ...now.state, index, segments }, changed }
  }

  #rebuilt(entry: SegmentEntry, name: string): SegmentEntry {
    const identity = segmentIdentity(entry)
    const built = this.#looked.get(identity)
    if (built !== undefined) return withIndex(entry, built)
    // Rows that were written meanwhile are few, and few rows have no graph.
    const mayStay = !this.#isRecoded && entry.rows < limits.graphRowsMin
    if (mayStay || this.#looked.has(identity)) return entry
    throw headMoved(name)
  }
}

export async function indexStatus(core: CollectionCore): Promise<IndexStatus[]> {
  const { state } = await core.head()
  const rows: IndexStatus[] = []
  for (const entry of state.segments) {
    const graph = await core.reader(entry).hasGraph()
    const roles = new Set(['graph', 'codes'])
    const own = entry.blobs.filter((blob) => roles.has(blob.role))
    rows.push({
      rows: entry.rows,
      type: graph ? 'hnsw' : state.index.type === 'hnswlib' ? 'hnswlib' : 'flat',
      graph,
      m: state.index.m,
      efConstruction: state.index.efConstruction,
      quantization: formOf(state.index),
      ...(entry.measured === undefined ? {} : { measured: entry.measured }),
      bytes: own.reduce((sum, blob) => sum + blob.bytes, 0),
    })
  }
  return rows
}
