import { limits } from '../../core/limits.ts'
import { eachAtOnce } from '../../core/slots.ts'
import type { OnProgress } from '../../db/api/api.ts'
import { type Ledger, readLedger, sealedStates, witnessRetention } from '../../db/sealed/ledger.ts'
import type { SealedCollection, SealedObject } from '../../db/sealed/seal-record.ts'
import { newTargetFile, targetFile, unreadFailure } from '../../db/sealed/target.ts'
import { runAct } from '../../db/states/acts.ts'
import { isoTime, randomHex } from '../../db/states/environment.ts'
import { createWriterPin, type WriterPin } from '../../db/states/pins.ts'
import { STORE_FILE } from '../../db/states/store-file.ts'
import type { OpenedStore } from '../../db/store.ts'
import { AkidbError } from '../../errors/errors.ts'
import { closureOf } from '../../format/closure.ts'
import type { LockState, Retention, SealedStore, SealOptions } from '../../storage/object-store.ts'
import { requireConditionalPut } from '../sealed/probe.ts'
import { type RetentionWish, retainUntilMs } from '../sealed/retention.ts'
import {
  checkOwnLog,
  extendWitness,
  holdWitness,
  type LedgerMark,
  smallBody,
  writeLedger,
} from '../sealed/write-ledger.ts'
import { checkBorn } from './check-born.ts'
import { blobDomain, type EncryptionOptions, tryEnvelopes, warnOfPlain } from './encryption.ts'
import { checkPlaceable, placeObject } from './place-object.ts'
import type { Placed } from './placed.ts'
import { type PushPlan, planPush, type Wanted } from './push-plan.ts'

export interface PushOptions extends EncryptionOptions {
  /** Absent: every collection. */
  readonly collections?: readonly string[]
  /** Absent: nothing is locked. */
  readonly retain?: RetentionWish
  readonly legalHold?: boolean
  readonly onProgress?: OnProgress
}

export interface PushResult {
  readonly url: string
  readonly blobs: { readonly present: number; readonly uploaded: number }
  /** Sent, or to be sent: blobs, manifests and snapshots. */
  readonly bytes: number
  readonly retention: {
    readonly set: number
    readonly extended: number
    readonly kept: number
    /** ISO 8601 UTC; null where nothing is locked. */
    readonly until: string | null
    readonly mode: Retention['mode'] | null
  }
  readonly legalHold: boolean
  readonly kmsKey: string | null
  /** Key of the key server that akidb encrypted the blobs under. */
  readonly envelopeKey: string | null
  readonly manifests: readonly {
    readonly collection: string
    readonly version: number
    readonly versionId: string
  }[]
  /** Digests of the records that tell of it; none where nothing was new. */
  readonly seals: readonly string[]
  /** What the bytes cost: GiB × years of retention. */
  readonly gibYears: number
  readonly elapsedMs: number
}

/**
 * Seals collections in a bucket: each object is born locked and encrypted, in one request. The
 * manifests come last, and a record that the audit log names makes it count. What is there already
 * is not sent again; its retention is extended where it is shorter.
 *
 * @throws NOT_FOUND (collection, bucket, key), RETENTION (no object lock), CONFLICT, AUTH,
 *   INTEGRITY, AUDIT_BROKEN where the store's log was cut or rewritten, UNREACHABLE: another push
 *   goes on where this one ended
 */
export async function pushCollections(
  store: OpenedStore,
  target: SealedStore,
  options: PushOptions,
): Promise<PushResult> {
  const startedMs = performance.now()
  const pin = createWriterPin(store.environment)
  try {
    const run = await beginPush(store, target, options, pin)
    const done = options.dryRun === true ? await placeAll(run) : await pushAct(run)
    return resultOf(run, done, Math.round(performance.now() - startedMs))
  } finally {
    await pin.release()
  }
}

/** Everything that a running push knows. */
interface PushRun {
  readonly store: OpenedStore
  readonly target: SealedStore
  readonly options: PushOptions
  readonly plan: PushPlan
  readonly ledger: Ledger | undefined
  /** Of the target. */
  readonly id: string
  readonly seal: SealOptions
  readonly nowMs: number
}

async function beginPush(
  store: OpenedStore,
  target: SealedStore,
  options: PushOptions,
  pin: WriterPin,
): Promise<PushRun> {
  const { environment } = store
  const { retain, kmsKey, envelope, legalHold, signal } = options
  const nowMs = await target.nowMs()
  checkLock(store, target, await target.lockState(), options)
  const file = await targetFile(target)
  const trusted = await environment.keys.trusted()
  const ledger = file === undefined ? undefined : await readLedger(target, trusted)
  if (ledger !== undefined) {
    checkOwner(ledger, target)
    warnOfPlain(store, ledger, options)
    await checkOwnLog(store, target, ledger)
  }
  const names = options.collections ?? (await store.list()).map(({ collection }) => collection)
  if (names.length === 0) {
    throw new AkidbError('NOT_FOUND', 'the store has no collection to push')
  }
  const id = ledger?.file.id ?? randomHex(environment, 16)
  await tryEnvelopes(options)
  const plan = await planPush(store, {
    collections: names,
    domain: blobDomain(options),
    pin,
    ...(envelope === undefined ? {} : { envelope: { ...envelope, storeId: id } }),
    settle: options.dryRun !== true,
    ...(signal === undefined ? {} : { signal }),
  })
  checkNames(plan, ledger, target)
  const until =
    retain === undefined
      ? {}
      : { retention: { mode: retain.mode, untilMs: retainUntilMs(nowMs, retain.forMs) } }
  const seal: SealOptions = {
    ...until,
    ...(legalHold === true ? { legalHold } : {}),
    ...(kmsKey === undefined
      ? {}
      : { encryption: { keyId: kmsKey, context: { 'akidb-store': id } } }),
    ...(signal === undefined ? {} : { signal }),
  }
  const expected = ledger?.expected ?? new Map()
  for (const wanted of [...plan.blobs, ...plan.names]) {
    checkPlaceable(target, wanted, { ...seal, expected })
  }
  return { store, target, options, plan, ledger, id, seal, nowMs }
}

/** @throws RETENTION where something is to be locked, and cannot be */
function checkLock(
  { environment }: OpenedStore,
  target: SealedStore,
  { versioned, locked, defaultRetention }: LockState,
  { retain, legalHold }: PushOptions,
): void {
  if ((retain !== undefined || legalHold === true) && !(versioned && locked)) {
    throw new AkidbError('RETENTION', `the bucket of ${target.url} has no object lock`, {
      hint: 'Object lock is switched on when a bucket is made: mc mb --with-lock.',
    })
  }
  if (retain !== undefined) return
  const said =
    defaultRetention === undefined
      ? 'nothing is locked: no --retain was given'
      : `the bucket locks objects by itself: ${defaultRetention.mode}, ${defaultRetention.days} d`
  environment.warn({ code: 'NOT_LOCKED', message: said })
  if (!versioned) {
    const message = 'the bucket keeps no versions: whoever can write there can replace anything'
    environment.warn({ code: 'NOT_VERSIONED', message })
  }
}

/** @throws CONFLICT where others have sealed, and none of them is trusted here */
function checkOwner({ seals, unproven, unread }: Ledger, target: SealedStore): void {
  if (seals.length > 0 || unproven.size === 0) return
  const lost = unreadFailure(unread)
  if (lost !== undefined) throw lost
  const message = `another site seals its collections in ${target.url}, and its key is not trusted`
  throw new AkidbError('CONFLICT', message, {
    hint: 'Push to another prefix, or trust its key first: akidb keys trust.',
    details: { unproven: unproven.size },
  })
}

/** @throws EXISTS where another collection was sealed under one of the names */
function checkNames(plan: PushPlan, ledger: Ledger | undefined, target: SealedStore): void {
  if (ledger === undefined) return
  for (const sealed of sealedStates(ledger)) {
    const own = plan.states.find(({ name }) => name === sealed.name)
    if (own === undefined || own.manifest.commit.collection === sealed.id) continue
    throw new AkidbError('EXISTS', `${target.url} holds another collection "${sealed.name}"`, {
      hint: 'Push to another prefix.',
      details: { collection: sealed.name, sealed: sealed.id },
    })
  }
}

/** What became of the objects, and of the ledger. */
interface Done {
  readonly placed: ReadonlyMap<string, Placed>
  readonly mark: LedgerMark | undefined
}

async function pushAct(run: PushRun): Promise<Done> {
  const { store, target, plan, options, id, seal } = run
  const states = plan.states.map(({ name, manifest: { commit }, labels }) => ({
    name,
    version: commit.version,
    stateRoot: commit.stateRoot,
    ...(labels.length === 0 ? {} : { labels }),
  }))
  const facts = {
    url: target.url,
    ...(seal.retention === undefined
      ? {}
      : { mode: seal.retention.mode, until: isoTime(seal.retention.untilMs) }),
    ...(options.legalHold === true ? { legalHold: true } : {}),
    ...(options.kmsKey === undefined ? {} : { kmsKey: options.kmsKey }),
    ...(options.envelope === undefined ? {} : { envelopeKey: options.envelope.keyId }),
  }
  const details = { ...facts, target: id, states }
  return await runAct(store.environment, { act: 'push', details }, async () => {
    await target.sweepTemporary()
    await placeStoreFile(run)
    const { placed } = await placeAll(run)
    await checkNewNames(run, placed)
    const mark = await tell(run, placed, { ...facts, states })
    return { result: { placed, mark }, outcome: { ...facts, target: id, ...mark } }
  })
}

/** The store file comes first: what lies beside it without one is nobody's. */
async function placeStoreFile({ target, ledger, id, seal, nowMs }: PushRun): Promise<void> {
  if (ledger !== undefined) return
  await requireConditionalPut(target, id)
  const versionId = await target.seal(STORE_FILE, smallBody(newTargetFile(id, nowMs)), seal)
  if (versionId !== undefined) return await checkBorn(target, { key: STORE_FILE, versionId }, seal)
  throw new AkidbError('CONFLICT', `another push made ${target.url} at this moment`, {
    hint: 'Run the command again.',
  })
}

/** Of every push some objects are looked at: the server may have been changed since the last. */
async function checkNewNames(
  { target, plan, seal }: PushRun,
  placed: ReadonlyMap<string, Placed>,
): Promise<void> {
  await eachAtOnce(plan.names, limits.s3RequestsMax, async ({ key }) => {
    const { object, uploaded } = placed.get(key) ?? {}
    if (object !== undefined && uploaded === true) await checkBorn(target, object, seal)
  })
}

/** Blobs, many at once; when all are there, the names of the states. */
async function placeAll(run: PushRun): Promise<Done> {
  const { target, plan, seal, ledger, options } = run
  const placed = new Map<string, Placed>()
  const total = [...plan.blobs, ...plan.names].reduce((sum, { body }) => sum + body.bytes, 0)
  let done = 0
  const expected = ledger?.expected ?? new Map()
  const place = async (wanted: Wanted): Promise<void> => {
    options.signal?.throwIfAborted()
    const dry = options.dryRun === true ? { dryRun: true } : {}
    placed.set(wanted.key, await placeObject(target, wanted, { ...seal, ...dry, expected }))
    done += wanted.body.bytes
    options.onProgress?.({ stage: 'push', done, total, unit: 'bytes', item: wanted.key })
  }
  await eachAtOnce(plan.blobs, limits.s3RequestsMax, place)
  for (const wanted of plan.names) await place(wanted)
  return { placed, mark: undefined }
}

/** Tells of what is new; where nothing is, there is nothing to tell. */
async function tell(
  run: PushRun,
  placed: ReadonlyMap<string, Placed>,
  details: Readonly<Record<string, unknown>>,
): Promise<LedgerMark | undefined> {
  const { store, target, seal, options } = run
  const objects = [...placed.values()].filter(({ news }) => news).map(({ object }) => object)
  const trusted = await store.environment.keys.trusted()
  const ledger = run.ledger ?? (await readLedger(target, trusted))
  const collections = collectionsOf(run, placed)
  if (objects.length === 0 && collections.every((each) => isTold(ledger, each))) return undefined
  const { retention } = seal
  const head = {
    act: 'push',
    collections,
    ...(retention === undefined
      ? {}
      : { retention: { mode: retention.mode, until: isoTime(retention.untilMs) } }),
    ...(options.legalHold === true ? { legalHold: true } : {}),
  } as const
  const witness = witnessRetention(ledger.seals, retention)
  const witnessed = witness === undefined ? seal : { ...seal, retention: witness }
  const writer = { environment: store.environment, target, ledger, seal: witnessed }
  // Before: killed in between, a witness is held longer than it must be, and never shorter.
  if (witness !== undefined) await extendWitness(target, ledger, witness)
  if (options.legalHold === true) await holdWitness(target, ledger, true)
  return await writeLedger(writer, { head, objects, details })
}

const isTold = (ledger: Ledger, { manifest, name, labels }: SealedCollection): boolean =>
  sealedStates(ledger).some(
    (sealed) =>
      sealed.name === name &&
      sealed.manifest === manifest &&
      labels.every((label) => sealed.labels.includes(label)),
  )

function collectionsOf(
  { plan, options }: PushRun,
  placed: ReadonlyMap<string, Placed>,
): SealedCollection[] {
  const manifests = manifestObjects(plan, placed)
  const { envelope } = options
  return plan.states.map(({ name, manifest, labels, rows }, i) => {
    const { commit } = manifest
    const blobs = [...closureOf(manifest).values()]
    return {
      name,
      id: commit.collection,
      version: commit.version,
      committedAt: commit.committedAt,
      stateRoot: commit.stateRoot,
      manifest: manifest.digest,
      labels,
      rows,
      domain: blobDomain(options),
      ...(envelope === undefined ? {} : { envelopeKey: envelope.keyId }),
      objects: blobs.length + 1,
      bytes: blobs.reduce((sum, { bytes }) => sum + bytes, manifests[i]?.bytes ?? 0),
    }
  })
}

/** In the order of the states: the plan names their manifests last. */
const manifestObjects = (
  { states, names }: PushPlan,
  placed: ReadonlyMap<string, Placed>,
): SealedObject[] =>
  names.slice(names.length - states.length).flatMap(({ key }) => placed.get(key)?.object ?? [])

const GIB = 2 ** 30
const YEAR_MS = 365 * 86_400_000

function resultOf(run: PushRun, { placed, mark }: Done, elapsedMs: number): PushResult {
  const { plan, target, seal, options, nowMs } = run
  const all = [...placed.values()]
  const sent = all.filter(({ uploaded }) => uploaded)
  const isBlob = new Set(plan.blobs.map(({ key }) => key))
  const uploaded = sent.filter(({ object }) => isBlob.has(object.key)).length
  const bytes = sent.reduce((sum, { object }) => sum + object.bytes, 0)
  const { retention } = seal
  const count = (change: Placed['retention']) => all.filter((each) => each.retention === change)
  const years = retention === undefined ? 0 : (retention.untilMs - nowMs) / YEAR_MS
  const manifests = manifestObjects(plan, placed)
  return {
    url: target.url,
    blobs: { present: plan.blobs.length - uploaded, uploaded },
    bytes,
    retention: {
      set: count('set').length,
      extended: count('extended').length,
      kept: count('kept').length,
      until: retention === undefined ? null : isoTime(retention.untilMs),
      mode: retention?.mode ?? null,
    },
    legalHold: options.legalHold === true,
    kmsKey: options.kmsKey ?? null,
    envelopeKey: options.envelope?.keyId ?? null,
    manifests: plan.states.map(({ name, manifest }, i) => ({
      collection: name,
      version: manifest.commit.version,
      versionId: manifests[i]?.versionId ?? '',
    })),
    seals: mark?.seals ?? [],
    gibYears: Number(((bytes / GIB) * years).toPrecision(3)),
    elapsedMs,
  }
}
