import { checkQuantization } from '../../ann/quantization.ts'
import { limits } from '../../core/limits.ts'
import type { IndexParameters, Quantization } from '../../core/schema.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { Manifest, SegmentEntry } from '../../format/manifest.ts'
import type { Collection } from '../api/api.ts'
import { checkFollowing, headMoved } from '../collection/append.ts'
import { type CollectionCore, commitLockName } from '../collection/collection-core.ts'
import { indexOf } from '../collection/lifecycle.ts'
import { runSearch } from '../search/search-run.ts'
import { reserveBuild } from '../segment/build-memory.ts'
import { type View, vectorSpecOf } from '../segment/view.ts'
import { runAct } from '../states/acts.ts'
import { commitManifest } from '../states/commit.ts'
import { createWriterPin, holdState, type WriterPin } from '../states/pins.ts'
import { isIndexApart, reindexSegment } from './reindex-segment.ts'

export type IndexStatus = Awaited<ReturnType<Collection['indexStatus']>>[number]
type BuildOptions = NonNullable<Parameters<Collection['buildIndex']>[0]>

/**
 * Builds the graphs that are missing, or all of them anew with other parameters. Rows stay as they
 * are.
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
  const other = JSON.stringify(index) !== JSON.stringify(head.state.index)
  const recoded = formOf(index) !== formOf(head.state.index)
  const pending = new Set<number>()
  for (const entry of head.state.segments) {
    const wanted = index.type === 'hnsw' && entry.rows >= limits.graphRowsMin
    const has = await core.reader(entry).hasGraph()
    if (options.again !== true && wanted === has && !recoded && !(wanted && other)) continue
    pending.add(entry.key)
    const { schema } = head.state
    const collected = !isIndexApart(entry, schema)
    reserveBuild(environment, { schema, index, rows: entry.rows, collected })
  }
  if (pending.size === 0 && !other) return { segments: 0, elapsedMs: 0 }
  const details = { index, segments: pending.size }
  await runAct(
    environment,
    { act: 'index.build', collection: core.name, parent: head, details },
    async (act) => {
      const pin = createWriterPin(environment)
      try {
        await holdState(pin, core.manifests, head)
        const segments = await rebuilt(core, head, { index, pending, pin, options })
        const manifest = await commitManifest(environment, {
          manifests: core.manifests,
          name: core.name,
          lock: commitLockName(head.commit.collection),
          kind: 'index',
          act,
          pin,
          next: async (now) => {
            if (now?.digest !== head.digest) throw headMoved(core.name)
            const changed = { inserted: 0, updated: 0, deleted: 0 }
            return { state: { ...head.state, index, segments }, changed }
          },
        })
        const { digest, commit } = manifest ?? head
        const { version, stateRoot } = commit
        return { result: undefined, outcome: { version, manifest: digest, stateRoot } }
      } finally {
        await pin.release()
      }
    },
  )
  return { segments: pending.size, elapsedMs: environment.clock.nowMs() - startedMs }
}

const formOf = (index: IndexParameters): Quantization => index.quantization ?? 'int8'

interface Rebuild {
  readonly index: IndexParameters
  readonly pending: ReadonlySet<number>
  readonly pin: WriterPin
  readonly options: BuildOptions
}

async function rebuilt(
  core: CollectionCore,
  head: Manifest,
  work: Rebuild,
): Promise<SegmentEntry[]> {
  const { store, builder } = core.environment
  const { index, pin, options } = work
  const targets = { store, pin, builder, signal: options.signal }
  const plan = { schema: head.state.schema, index, targets }
  const segments: SegmentEntry[] = []
  let done = 0
  for (const entry of head.state.segments) {
    options.signal?.throwIfAborted()
    if (!work.pending.has(entry.key)) {
      segments.push(entry)
      continue
    }
    const { blobs, measured } = await reindexSegment(core.reader(entry), plan)
    const { measured: _, ...former } = entry
    segments.push({ ...former, blobs, ...(measured === undefined ? {} : { measured }) })
    done += entry.rows
    options.onProgress?.({ stage: 'index', done, unit: 'rows' })
  }
  return segments
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

/** Stored vectors searched for by `measureRecall` unless told otherwise. */
const SAMPLES = 200

/** recall@k of the planned search against the exact one, over evenly spread stored vectors. */
export async function measureRecall(
  core: CollectionCore,
  options: { k?: number; ef?: number; samples?: number },
): Promise<{ recall: number; k: number; ef: number; samples: number }> {
  const k = options.k ?? 10
  const ef = options.ef ?? Math.max(DEFAULT_EF, 2 * k)
  const wanted = Math.max(1, options.samples ?? SAMPLES)
  return await core.read(undefined, (view) => recallOf(core, view, { k, ef, wanted }))
}

async function recallOf(
  core: CollectionCore,
  view: View,
  { k, ef, wanted }: { readonly k: number; readonly ef: number; readonly wanted: number },
): Promise<{ recall: number; k: number; ef: number; samples: number }> {
  const spec = vectorSpecOf(view.manifest.state.schema)
  if (spec === undefined) {
    throw new AkidbError('USAGE', `collection "${core.name}" holds no vectors to measure`)
  }
  const total = view.segments.reduce((sum, segment) => sum + segment.live, 0)
  const step = Math.max(1, Math.floor(total / wanted))
  let [seen, samples, found, possible] = [0, 0, 0, 0]
  for (const { reader, alive } of view.segments) {
    for (const row of alive) {
      if (seen++ % step !== 0 || samples >= wanted) continue
      const vector = await reader.vector(spec, row)
      const near = await runSearch(core, { vector, k, ef, withPayload: false })
      const exact = await runSearch(core, { vector, k, exact: true, withPayload: false })
      const ids = new Set(near.hits.map((hit) => hit.id))
      found += exact.hits.filter((hit) => ids.has(hit.id)).length
      possible += exact.hits.length
      samples++
    }
  }
  return { recall: possible === 0 ? 1 : found / possible, k, ef, samples }
}

const DEFAULT_EF = 128
