import type { OnProgress } from '../../db/api/api.ts'
import { type Ledger, readLedger, type SealedState, sealedStates } from '../../db/sealed/ledger.ts'
import { unreadFailure } from '../../db/sealed/target.ts'
import { type Act, runAct } from '../../db/states/acts.ts'
import { LookThread, lookHere } from '../../db/states/look-thread.ts'
import { createWriterPin, type WriterPin } from '../../db/states/pins.ts'
import type { OpenedStore } from '../../db/store.ts'
import { AkidbError } from '../../errors/errors.ts'
import { closureOf } from '../../format/closure.ts'
import type { Manifest } from '../../format/manifest.ts'
import type { EnvelopeKeyServer } from '../../storage/envelope/kes-envelope.ts'
import type { SealedStore } from '../../storage/object-store.ts'
import { hashingOf } from '../check-state.ts'
import { expectedChange, headsOf } from '../import.ts'
import {
  checkPlans,
  type ImportedCollection,
  type ImportPlan,
  planImport,
  publish,
} from '../publish.ts'
import { BlobArrivals } from './arrivals.ts'
import {
  countMissing,
  type ReceivedBlobs,
  receiveSealed,
  sealedManifest,
} from './receive-sealed.ts'

export interface PullOptions {
  /** Absent: every collection that was sealed there. */
  readonly collections?: readonly string[]
  /** Name for the one collection. */
  readonly as?: string
  /** The collection may be changed here. */
  readonly diverge?: boolean
  /** Opens blobs that were sealed in envelopes; absent: they are refused (AUTH). */
  readonly keyServer?: EnvelopeKeyServer
  readonly dryRun?: boolean
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

export interface PullResult {
  readonly url: string
  readonly collections: readonly ImportedCollection[]
  readonly blobs: { readonly present: number; readonly copied: number }
  readonly bytes: number
  readonly elapsedMs: number
}

/**
 * Brings sealed collections into a store: the newest state of each that a trusted log vouches for,
 * read by the version ids that were sealed. All bytes are checked before one commit a collection
 * publishes it. A second pull of the same changes nothing; one that was stopped finds what it had
 * copied.
 *
 * @throws UNTRUSTED where no trusted key vouches for it, NOT_FOUND, INTEGRITY, ROLLBACK, CONFLICT,
 *   EXISTS, NO_SPACE, UNREACHABLE
 */
export async function pullCollections(
  store: OpenedStore,
  target: SealedStore,
  options: PullOptions,
): Promise<PullResult> {
  const startedMs = performance.now()
  const ledger = await readLedger(target, await store.environment.keys.trusted())
  const states = newestStates(ledger, target, options.collections)
  warnOfUnproven(store, target, ledger)
  const coming: Coming[] = []
  for (const state of states) {
    coming.push({ state, manifest: await sealedManifest(target, ledger, state) })
  }
  const plans = await plansOf(store, coming, options)
  const run = { store, target, ledger, coming, plans, options }
  const done = options.dryRun === true ? await tryPull(run) : await pullAct(run)
  const { present, copied, bytes } = done.blobs
  return {
    url: target.url,
    collections: done.collections,
    blobs: { present, copied },
    bytes,
    elapsedMs: Math.round(performance.now() - startedMs),
  }
}

/** A state on its way in. */
interface Coming {
  readonly state: SealedState
  readonly manifest: Manifest
}

interface PullRun {
  readonly store: OpenedStore
  readonly target: SealedStore
  readonly ledger: Ledger
  readonly coming: readonly Coming[]
  readonly plans: readonly ImportPlan[]
  readonly options: PullOptions
}

interface Done {
  readonly collections: readonly ImportedCollection[]
  readonly blobs: ReceivedBlobs
}

/** @throws UNTRUSTED where proofs are there that nobody trusts; NOT_FOUND for other names */
function newestStates(
  ledger: Ledger,
  target: SealedStore,
  wanted: readonly string[] | undefined,
): SealedState[] {
  const newest = new Map<string, SealedState>()
  for (const state of sealedStates(ledger)) {
    if (!newest.has(state.name)) newest.set(state.name, state)
  }
  const names = wanted ?? [...newest.keys()]
  const absent = names.filter((name) => !newest.has(name))
  if (absent.length === 0 && names.length > 0) {
    return [...new Set(names)].flatMap((name) => newest.get(name) ?? [])
  }
  if (ledger.unproven.size > 0) throw untrusted(target, ledger)
  throw new AkidbError(
    'NOT_FOUND',
    names.length === 0
      ? `no collection was sealed in ${target.url}`
      : `${target.url} does not hold ${absent.map((name) => `"${name}"`).join(', ')}`,
    { hint: `akidb worm status ${target.url} shows what there is.` },
  )
}

const untrusted = (target: SealedStore, { unproven, unread }: Ledger): AkidbError => {
  const lost = unreadFailure(unread)
  if (lost !== undefined) return lost
  const [first] = unproven.values()
  return new AkidbError('UNTRUSTED', `no trusted key vouches for what lies in ${target.url}`, {
    hint: 'Trust the key of the site that sealed it: akidb keys trust <its public key>.',
    details: { seals: unproven.size, ...(first === undefined ? {} : { first }) },
  })
}

/** One of them may have told of a newer state. */
function warnOfUnproven(
  { environment }: OpenedStore,
  target: SealedStore,
  { unproven }: Ledger,
): void {
  if (unproven.size === 0) return
  const message = `no trusted key vouches for ${unproven.size} of the seals in ${target.url}`
  environment.warn({ code: 'UNTRUSTED_SEALS', message: `${message}: see akidb worm verify` })
}

/** Each collection comes with the seal that speaks of it. */
async function plansOf(
  store: OpenedStore,
  coming: readonly Coming[],
  options: PullOptions,
): Promise<ImportPlan[]> {
  const { as } = options
  if (as !== undefined && coming.length !== 1) {
    throw new AkidbError('USAGE', `${coming.length} collections come, and --as gives one name`, {
      hint: 'Name the one that is meant.',
    })
  }
  const plans: ImportPlan[] = []
  for (const { state, manifest } of coming) {
    const { name, id, version, committedAt, stateRoot, rows, seal } = state
    const incoming = {
      kind: 'seal',
      origin: { logId: seal.head.logId, epoch: 0 },
      sequence: seal.seq,
      digest: seal.digest,
      collections: [{ name, id, version, committedAt, stateRoot, rows }],
    } as const
    const states = new Map([[stateRoot, manifest.stateBytes]])
    const diverge = options.diverge === true
    const named = as === undefined ? { diverge } : { diverge, as }
    plans.push(...(await planImport(store, incoming, states, named)))
  }
  return plans
}

async function tryPull({ store, plans, coming }: PullRun): Promise<Done> {
  const collections: ImportedCollection[] = []
  for (const plan of plans) collections.push(await expectedChange(store, plan))
  const blobs = { present: 0, copied: 0, bytes: 0 }
  for (const { manifest } of coming) {
    const { present, copied, bytes } = await countMissing(store.environment.store, manifest)
    blobs.present += present
    blobs.copied += copied
    blobs.bytes += bytes
  }
  return { collections, blobs }
}

async function pullAct(run: PullRun): Promise<Done> {
  const { store, target, coming } = run
  const states = coming.map(({ state: { name, version, stateRoot, seal } }) => ({
    name,
    version,
    stateRoot,
    seal: seal.digest,
  }))
  const details = { url: target.url, states }
  return await runAct(store.environment, { act: 'pull', details }, async (act) => {
    const done = await take(run, act)
    const manifests = await headsOf(store, done.collections)
    return { result: done, outcome: { collections: done.collections, manifests } }
  })
}

async function take(run: PullRun, act: Act): Promise<Done> {
  const { store, plans } = run
  const pin = createWriterPin(store.environment)
  try {
    const blobs = await receiveChecked(run, pin)
    const collections: ImportedCollection[] = []
    for (const plan of plans) collections.push(await publish(store, act, plan, pin))
    return { collections, blobs }
  } finally {
    await pin.release().catch(() => undefined)
  }
}

/** So many bytes take longer to look at than a thread to start. */
const LOOK_THREAD_BYTES_MIN = 64 * 2 ** 20

async function receiveChecked(run: PullRun, pin: WriterPin): Promise<ReceivedBlobs> {
  const blobs = run.coming.flatMap(({ manifest }) => [...closureOf(manifest).values()])
  const bytes = blobs.reduce((sum, blob) => sum + blob.bytes, 0)
  if (bytes < LOOK_THREAD_BYTES_MIN) return await receiveAndCheck(run, pin)
  const thread = new LookThread()
  try {
    return await receiveAndCheck(run, pin, thread)
  } finally {
    await thread.close()
  }
}

/** Each segment is compared with its blobs as soon as they are there, while the next are coming. */
async function receiveAndCheck(
  { store, target, ledger, coming, plans, options }: PullRun,
  pin: WriterPin,
  thread?: LookThread,
): Promise<ReceivedBlobs> {
  const { onProgress, signal, keyServer } = options
  const states = coming.map(({ state, manifest }) => ({ manifest, domain: state.domain }))
  const here = hashingOf(
    coming.map(({ manifest }) => manifest.state),
    undefined,
  )
  const arriving = new BlobArrivals(here && thread ? { ...here, digests: thread.digests } : here)
  const stop = new AbortController()
  const checking = checkPlans(store, plans, arriving)
  // What does not fit need not come to its end.
  checking.catch((error: unknown) => stop.abort(error))
  try {
    return await receiveSealed(target, store.environment.store, states, {
      ledger,
      pin,
      keyServer,
      beginLook: thread?.begin ?? lookHere,
      onArrived: (ref, arrived) => arriving.add(ref, arrived),
      signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
      ...(onProgress === undefined ? {} : { onProgress }),
    })
  } catch (error) {
    arriving.fail(error)
    throw error
  } finally {
    await checking
  }
}
