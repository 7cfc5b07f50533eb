import { type BundleHead, encodeHead } from '../bundle/head.ts'
import { problemsError } from '../bundle/problems.ts'
import { createStoreSink } from '../bundle/unpack.ts'
import { type BundleReport, verifyBundle } from '../bundle/verify.ts'
import { sha256Hex } from '../core/digest.ts'
import type { OnProgress } from '../db/api/api.ts'
import { countOf } from '../db/collection/history.ts'
import { runAct } from '../db/states/acts.ts'
import { hasWholeBlob, isIntact } from '../db/states/blob-store.ts'
import { createWriterPin, type WriterPin } from '../db/states/pins.ts'
import type { OpenedStore } from '../db/store.ts'
import { blobKey } from '../format/blob.ts'
import { closureOf } from '../format/closure.ts'
import type { BlobRef } from '../format/manifest.ts'
import { decodeState } from '../format/manifest-codec.ts'
import { bundleProgress } from './export.ts'
import { checkBase, rebuildMissing } from './missing.ts'
import {
  checkPlans,
  type ImportedCollection,
  type ImportPlan,
  type Incoming,
  planImport,
  publish,
} from './publish.ts'

export interface ImportOptions {
  /** For messages and the audit log: base name of the bundle. */
  readonly name: string
  readonly read: AsyncIterable<Uint8Array>
  /** Name for a bundle's one collection. */
  readonly as?: string
  /** Import it to go one's own way: the collection may be changed here. */
  readonly diverge?: boolean
  readonly dryRun?: boolean
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

export interface ImportResult {
  readonly collections: readonly ImportedCollection[]
  readonly blobs: { readonly present: number; readonly copied: number }
  readonly bytes: number
  readonly elapsedMs: number
}

/**
 * Takes the collections of a signed bundle into the store. Blobs are copied while they are
 * verified; nothing is visible before every byte has been checked; one commit a collection
 * publishes it. A second import of the same bundle changes nothing, and one that was stopped finds
 * what it had copied.
 *
 * @throws UNTRUSTED, SIGNATURE, INTEGRITY, ROLLBACK, CONFLICT, EXISTS, NOT_FOUND (base of a delta),
 *   NO_SPACE
 */
export async function importBundle(
  store: OpenedStore,
  options: ImportOptions,
): Promise<ImportResult> {
  const startedMs = store.environment.clock.nowMs()
  const finish = (done: Taken): ImportResult => ({
    collections: done.collections,
    blobs: { present: done.present, copied: done.copied },
    bytes: done.report.bytes,
    elapsedMs: store.environment.clock.nowMs() - startedMs,
  })
  if (options.dryRun === true) return finish(await tryImport(store, options))
  const details = { bundle: options.name }
  return await runAct(store.environment, { act: 'import', details }, async (act) => {
    const pin = createWriterPin(store.environment)
    try {
      const received = await receiveBundle(store, options, pin)
      const plans = await planImport(store, incomingOf(received.head), received.states, options)
      await checkPlans(store, plans)
      const collections: ImportedCollection[] = []
      for (const plan of plans) collections.push(await publish(store, act, plan, pin))
      const done = { ...received, collections }
      const { headDigest } = received.report
      const manifests = await headsOf(store, collections)
      return { result: finish(done), outcome: { headDigest, collections, manifests } }
    } finally {
      await pin.release().catch(() => undefined)
    }
  })
}

/** For the audit log: which bytes each collection's new head has. */
export async function headsOf(
  store: OpenedStore,
  collections: readonly ImportedCollection[],
): Promise<{ collection: string; version: number; manifest: string }[]> {
  const heads = []
  for (const { name } of collections) {
    const head = await store.core(name).manifests.newest()
    if (head === undefined) continue
    heads.push({ collection: name, version: head.commit.version, manifest: head.digest })
  }
  return heads
}

/** A bundle whose every byte has been checked, and whose blobs are in the store. */
export interface Received {
  readonly report: BundleReport
  readonly head: BundleHead
  /** Line 2 by state root. */
  readonly states: ReadonlyMap<string, Uint8Array>
  readonly present: number
  readonly copied: number
}

interface Taken extends Pick<Received, 'report' | 'present' | 'copied'> {
  readonly collections: readonly ImportedCollection[]
}

/** Verifies a bundle and copies its blobs, which nothing names yet. */
export async function receiveBundle(
  store: OpenedStore,
  options: Pick<ImportOptions, 'read' | 'name' | 'onProgress' | 'signal'>,
  pin: WriterPin,
): Promise<Received> {
  const { environment } = store
  const states = new Map<string, Uint8Array>()
  const sink = createStoreSink({
    store: environment.store,
    keyOf: blobKey,
    onState: async (root, bytes) => {
      states.set(root, Uint8Array.from(bytes))
      // Pinned before the presence of any of them is tested (design §5).
      await pin.add([...closureOf(decodeState(bytes, `state ${root}`)).keys()])
    },
  })
  const guarded = { ...sink, begin: (ref: BlobRef) => beginBlob(store, sink, ref) }
  const report = await verify(store, options, guarded)
  const head = checkedHead(report, options.name)
  const missing = await report.missing((digest) => isIntact(environment.store, digest))
  if (missing.length > 0) await rebuildMissing(store, { states, missing, pin, head })
  return { report, head, states, present: sink.present, copied: sink.copied }
}

/** A blob that is there but damaged is replaced by the bundle's. */
async function beginBlob(
  store: OpenedStore,
  sink: ReturnType<typeof createStoreSink>,
  ref: BlobRef,
): Promise<boolean> {
  await hasWholeBlob(store.environment.store, ref.digest)
  return await sink.begin(ref)
}

async function verify(
  store: OpenedStore,
  options: Pick<ImportOptions, 'read' | 'onProgress' | 'signal'>,
  sink: Parameters<typeof verifyBundle>[0]['sink'],
): Promise<BundleReport> {
  const keys = await store.environment.keys.trusted()
  const { read, onProgress, signal } = options
  return await verifyBundle({
    read,
    keys,
    ...(sink === undefined ? {} : { sink }),
    ...(onProgress === undefined ? {} : { onProgress: bundleProgress('import', onProgress) }),
    ...(signal === undefined ? {} : { signal }),
  })
}

function checkedHead(report: BundleReport, name: string): BundleHead {
  if (report.ok && report.head !== undefined) return report.head
  throw problemsError(report.problems, name)
}

const incomingOf = (head: BundleHead): Incoming => ({
  kind: 'bundle',
  origin: head.origin,
  sequence: head.sequence,
  digest: sha256Hex(encodeHead(head)),
  collections: head.collections,
})

/** What an import would do: everything is checked, nothing is written. */
async function tryImport(store: OpenedStore, options: ImportOptions): Promise<Taken> {
  const states = new Map<string, Uint8Array>()
  const counts = { present: 0, copied: 0 }
  const report = await verify(store, options, {
    state: async (root, bytes) => void states.set(root, Uint8Array.from(bytes)),
    begin: async (ref) => {
      if (await store.environment.store.head(blobKey(ref.digest))) counts.present++
      else counts.copied++
      return false
    },
    write: async () => undefined,
    end: async () => undefined,
    abort: async () => undefined,
  })
  const head = checkedHead(report, options.name)
  const missing = await report.missing(async (digest) => {
    return (await store.environment.store.head(blobKey(digest))) !== undefined
  })
  checkBase({ head, missing })
  const plans: readonly ImportPlan[] = await planImport(store, incomingOf(head), states, options)
  const collections: ImportedCollection[] = []
  for (const plan of plans) collections.push(await expectedChange(store, plan))
  return { report, ...counts, collections }
}

/**
 * Rows that an import of this collection adds or takes at least: the new state's blobs are not
 * here to compare with.
 */
export async function expectedChange(
  store: OpenedStore,
  { entry, name, before, done }: ImportPlan,
): Promise<ImportedCollection> {
  const here = before === undefined ? 0 : await countOf(store.core(name), before)
  const more = done ? 0 : entry.rows - here
  return {
    name,
    before: before?.commit.stateRoot ?? null,
    after: entry.stateRoot,
    inserted: Math.max(0, more),
    deleted: Math.max(0, -more),
  }
}
