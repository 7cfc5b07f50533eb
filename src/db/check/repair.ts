import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import { blobKey } from '../../format/blob.ts'
import type { BlobRef } from '../../format/manifest.ts'
import { openFsStore } from '../../storage/fs-store.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import type { OnProgress } from '../api/api.ts'
import { runAct } from '../states/acts.ts'
import type { Environment } from '../states/environment.ts'
import { createWriterPin, type WriterPin } from '../states/pins.ts'
import { readStoreFile } from '../states/store-file.ts'
import { readWholeBlob } from './check-blobs.ts'
import { checkManifests, type ManifestFindings } from './check-manifests.ts'
import { CheckProblems } from './check-problems.ts'
import { rebuildSegment } from './repair-rebuild.ts'
import { RepairSink } from './repair-sink.ts'

/** Hands every blob that it has and that the sink wants to the sink. */
export type BlobSource = (sink: RepairSink) => Promise<void>

export interface RepairOptions {
  /** Folder of another store, a copy of this one or of where its data came from. */
  readonly from?: string
  /** Any other place that blobs come from, a bundle for example. */
  readonly source?: BlobSource
  /** Finds out what could be mended; changes nothing. */
  readonly dryRun?: boolean
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

export interface RepairResult {
  /** Keys of the blobs that are whole again. */
  readonly repaired: readonly string[]
  /** Keys of what is still lost or damaged. */
  readonly missing: readonly string[]
}

/**
 * Reads every blob that a manifest names, and replaces those that are lost or damaged: from another
 * place by digest, or built anew from the rest of their segment. Every replacement has the digest
 * of what it replaces, so no state root changes; a damaged blob stays where it is until its
 * replacement has been checked.
 *
 * @throws NOT_FOUND where `from` is no store; USAGE where it is a file
 */
export async function repairStore(
  environment: Environment,
  options: RepairOptions = {},
): Promise<RepairResult> {
  const source = options.source ?? folderSource(options.from)
  const problems = new CheckProblems()
  const findings = await checkManifests(environment, problems, options.signal)
  const bad = await findBad(environment, findings, options)
  const lost = problems.list.filter(({ key }) => /\/manifests\/\d{20}\.json$/.test(key))
  const damaged = lost.map(({ key }) => key)
  if (bad.length === 0) return { repaired: [], missing: [...new Set(damaged)] }
  const work = async (): Promise<RepairResult> => {
    const sink = await mend(environment, { findings, bad, source, options })
    const missing = [...damaged, ...sink.wanted.map(({ digest }) => blobKey(digest))]
    return { repaired: sink.repaired, missing: [...new Set(missing)] }
  }
  if (options.dryRun === true) return await work()
  const act = { act: 'repair', details: { damaged: bad.length, from: options.from ?? null } }
  return await runAct(environment, act, async () => {
    const result = await work()
    const { repaired, missing } = result
    return { result, outcome: { repaired: repaired.length, missing: missing.length } }
  })
}

/** The blobs of another store in a folder. */
function folderSource(from: string | undefined): BlobSource | undefined {
  if (from === undefined) return undefined
  const folder = resolve(from)
  if (statSync(folder, { throwIfNoEntry: false })?.isFile() === true) {
    throw new AkidbError('USAGE', `${from} is a file, and blobs are taken from a store here`, {
      hint: 'Give the folder of a store that has them, or import the bundle.',
    })
  }
  const store = openFsStore(folder, { mode: 'read' })
  return async (sink) => {
    await readStoreFile(store)
    for (const ref of sink.wanted) await offer(store, ref, sink)
  }
}

/** Streams one blob of another store into the sink, which checks it. */
async function offer(store: ObjectStore, ref: BlobRef, sink: RepairSink): Promise<void> {
  const key = blobKey(ref.digest)
  if ((await store.head(key))?.bytes !== ref.bytes || !(await sink.begin(ref))) return
  try {
    for await (const piece of store.read(key)) await sink.write(piece)
  } catch (error) {
    await sink.abort()
    if (hasCode(error, 'NOT_FOUND', 'INTEGRITY')) return
    throw error
  }
  await sink.end()
}

/** Blobs that are missing or not what their manifest says. */
async function findBad(
  environment: Environment,
  findings: ManifestFindings,
  options: RepairOptions,
): Promise<BlobRef[]> {
  const bad: BlobRef[] = []
  const all = [...findings.blobs.values()]
  const total = all.reduce((sum, { ref }) => sum + ref.bytes, 0)
  let done = 0
  for (const { ref } of all) {
    options.signal?.throwIfAborted()
    const item = blobKey(ref.digest)
    const fault = await readWholeBlob(environment.store, ref, (bytes) => {
      done += bytes
      options.onProgress?.({ stage: 'check', done, total, unit: 'bytes', item })
    })
    if (fault !== undefined) bad.push(ref)
  }
  return bad
}

interface Mending {
  readonly findings: ManifestFindings
  readonly bad: readonly BlobRef[]
  readonly source: BlobSource | undefined
  readonly options: RepairOptions
}

async function mend(environment: Environment, mending: Mending): Promise<RepairSink> {
  const { findings, bad, source, options } = mending
  const { store, builder } = environment
  const total = bad.reduce((sum, { bytes }) => sum + bytes, 0)
  let done = 0
  const onBytes = (bytes: number): void => {
    done += bytes
    options.onProgress?.({ stage: 'repair', done, total, unit: 'bytes' })
  }
  const dryRun = options.dryRun === true
  const sink = new RepairSink({ store, wanted: bad, dryRun, onBytes })
  await source?.(sink)
  const pin = dryRun ? NO_PIN : createWriterPin(environment)
  try {
    for (const segment of findings.segments.values()) {
      options.signal?.throwIfAborted()
      if (!segment.entry.blobs.some(({ digest }) => sink.isWanted(digest))) continue
      const targets = { store, pin, builder, into: sink.builderTarget }
      await rebuildSegment(segment, targets)
    }
  } finally {
    await pin.release()
  }
  return sink
}

/** What is mended is named by a manifest already. */
const NO_PIN: WriterPin = {
  id: '',
  add: async () => undefined,
  isFresh: () => true,
  renew: async () => undefined,
  keep: () => undefined,
  release: async () => undefined,
}
