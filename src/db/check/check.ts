import { AkidbError } from '../../errors/errors.ts'
import { blobKey } from '../../format/blob.ts'
import { blobRefsOf } from '../../format/closure.ts'
import type { BlobRef } from '../../format/manifest.ts'
import type { CheckResult, OnProgress } from '../api/api.ts'
import { readPlace, readStoreFile, STORE_FILE } from '../states/store-file.ts'
import { type CheckEnvironment, checkAudit } from './check-audit.ts'
import { lookAtBlob, readWholeBlob } from './check-blobs.ts'
import { checkLiveIds } from './check-live-ids.ts'
import {
  checkManifests,
  type ManifestFindings,
  type NamedBlob,
  type NamedSegment,
} from './check-manifests.ts'
import { CheckProblems } from './check-problems.ts'
import { checkSegment } from './check-segment.ts'
import { checkSources } from './check-state.ts'

export interface CheckOptions {
  /** Read every byte. Otherwise only what is read whole at every use: packs and small blobs. */
  readonly readData?: boolean
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

/** Blobs up to this size are always read. */
const SMALL_BYTES = 1024 * 1024

/**
 * The store's fsck: manifests and their chain, snapshots, every blob that is named, and the audit
 * logs. Changes nothing and needs no lock: what a garbage collection takes meanwhile is no problem.
 *
 * @returns `blobs` and `bytes` that are named, whether read or only looked at
 * @throws USAGE for a sealed store, which has a check of its own
 */
export async function checkStore(
  environment: CheckEnvironment,
  options: CheckOptions = {},
): Promise<CheckResult> {
  const file = await readStoreFile(environment.store).catch(() => undefined)
  if (file?.kind === 'sealed') throw otherCheck(environment.store.url)
  const problems = new CheckProblems()
  const { signal } = options
  await problems.look(STORE_FILE, () => checkStoreFile(environment, problems))
  const findings = await checkManifests(environment, problems, signal)
  const bad = await checkBlobs(environment, findings, problems, options)
  const isSound = await checkSegments(environment, findings, problems, { options, bad })
  await checkStates(environment, findings, problems, { options, bad, isSound })
  await checkAudit(environment, findings, problems, signal)
  const refs = [...findings.blobs.values()].map(({ ref }) => ref)
  return {
    ok: problems.list.length === 0,
    problems: problems.list,
    blobs: refs.length,
    bytes: refs.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

const otherCheck = (url: string): AkidbError =>
  new AkidbError('USAGE', `${url} is sealed; its own check looks at locks and versions too`, {
    hint: `Run: akidb worm verify ${url}`,
  })

async function checkStoreFile(
  environment: CheckEnvironment,
  problems: CheckProblems,
): Promise<void> {
  const file = await readStoreFile(environment.store)
  const place = await readPlace(environment.state)
  if (place === undefined || place.storeId === file.id) return
  problems.add('INTEGRITY', STORE_FILE, 'the state folder belongs to a store of another id')
}

const isWholeRead = (ref: BlobRef, options: CheckOptions): boolean =>
  options.readData === true || ref.role === 'pack' || ref.bytes <= SMALL_BYTES

const refsOf = ({ entry }: NamedSegment): BlobRef[] => [
  ...entry.blobs,
  ...(entry.tombstones === undefined ? [] : [entry.tombstones]),
]

const isRead = (segment: NamedSegment, options: CheckOptions): boolean =>
  refsOf(segment).every((ref) => isWholeRead(ref, options))

interface Reading {
  readonly options: CheckOptions
  /** Digests of the blobs that are missing or damaged. */
  readonly bad: ReadonlySet<string>
}

/** @returns whether all that were read are sound */
async function checkSegments(
  { store }: CheckEnvironment,
  { segments }: ManifestFindings,
  problems: CheckProblems,
  { options, bad }: Reading,
): Promise<boolean> {
  const before = problems.list.length
  for (const segment of segments.values()) {
    options.signal?.throwIfAborted()
    if (!isRead(segment, options) || refsOf(segment).some(({ digest }) => bad.has(digest))) continue
    const { entry, manifest } = segment
    await checkSegment(store, { entry, state: manifest.state }, problems)
  }
  return problems.list.length === before
}

/** What the parts of a state say of each other, where all of them could be read. */
async function checkStates(
  { store }: CheckEnvironment,
  { sources, heads }: ManifestFindings,
  problems: CheckProblems,
  { options, bad, isSound }: Reading & { readonly isSound: boolean },
): Promise<void> {
  for (const [digest, { state }] of sources) {
    if (!bad.has(digest)) await problems.look(blobKey(digest), () => checkSources(store, state))
  }
  for (const [key, { state }] of heads) {
    options.signal?.throwIfAborted()
    if (state.sourcesBlob === undefined) {
      await problems.look(key, () => checkSources(store, state))
    }
    const refs = [...blobRefsOf(state)]
    if (!isSound || refs.some((ref) => bad.has(ref.digest) || !isWholeRead(ref, options))) continue
    await problems.look(key, async () => {
      try {
        await checkLiveIds(store, state)
      } catch (error) {
        // A garbage collection that runs now may have taken it.
        if ((await store.head(key)) !== undefined) throw error
      }
    })
  }
}

/** @returns digests of the blobs that are missing or damaged */
async function checkBlobs(
  environment: CheckEnvironment,
  findings: ManifestFindings,
  problems: CheckProblems,
  options: CheckOptions,
): Promise<ReadonlySet<string>> {
  const { store } = environment
  const bad = new Set<string>()
  const read = [...findings.blobs.values()].filter(({ ref }) => isWholeRead(ref, options))
  const total = read.reduce((sum, { ref }) => sum + ref.bytes, 0)
  let done = 0
  for (const named of findings.blobs.values()) {
    options.signal?.throwIfAborted()
    const { ref } = named
    const key = blobKey(ref.digest)
    const onBytes = (bytes: number): void => {
      done += bytes
      options.onProgress?.({ stage: 'check', done, total, unit: 'bytes', item: key })
    }
    const fault = isWholeRead(ref, options)
      ? await readWholeBlob(store, ref, onBytes)
      : await lookAtBlob(store, ref)
    if (fault === undefined) continue
    bad.add(ref.digest)
    if (await isStillNamed(environment, named)) problems.add(fault.code, key, fault.message)
  }
  return bad
}

/** A garbage collection removes manifests before blobs. */
const isStillNamed = async ({ store }: CheckEnvironment, named: NamedBlob): Promise<boolean> =>
  (await store.head(named.namedBy)) !== undefined
