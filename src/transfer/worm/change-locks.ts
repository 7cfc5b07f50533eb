import { limits } from '../../core/limits.ts'
import { eachAtOnce } from '../../core/slots.ts'
import type { OnProgress } from '../../db/api/api.ts'
import {
  type Ledger,
  readLedger,
  type SealedState,
  witnessRetention,
} from '../../db/sealed/ledger.ts'
import type { SealedCollection, SealedObject, SealHead } from '../../db/sealed/seal-record.ts'
import { runAct } from '../../db/states/acts.ts'
import type { OpenedStore } from '../../db/store.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { Retention, SealedStore } from '../../storage/object-store.ts'
import { type RetentionWish, retainUntilMs, retentionChange } from '../sealed/retention.ts'
import {
  checkOwnLog,
  encryptionOf,
  extendWitness,
  holdWitness,
  writeLedger,
} from '../sealed/write-ledger.ts'
import { chosenStates, closureKeys, heldManifests, type StateChoice } from './sealed-closure.ts'

export interface LockOptions extends StateChoice {
  readonly act: 'extend' | 'hold' | 'release'
  /** For 'extend'. */
  readonly retain?: RetentionWish
  readonly dryRun?: boolean
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

export interface LockResult {
  readonly url: string
  readonly act: LockOptions['act']
  readonly states: readonly {
    readonly collection: string
    readonly version: number
    readonly labels: readonly string[]
  }[]
  readonly objects: { readonly changed: number; readonly kept: number }
  /** ISO 8601 UTC; null where retention is not what was changed. */
  readonly until: string | null
  readonly mode: Retention['mode'] | null
  readonly seals: readonly string[]
}

/**
 * Extends the retention of sealed states, puts a legal hold on them or releases it, object by
 * object, and tells so in the ledger. Retention only grows; an object that another state holds
 * keeps its hold.
 *
 * @throws NOT_FOUND, RETENTION, INTEGRITY where a sealed version is gone, AUDIT_BROKEN where a log
 *   of the store was cut or rewritten, AUTH, UNREACHABLE
 */
export async function changeLocks(
  store: OpenedStore,
  target: SealedStore,
  options: LockOptions,
): Promise<LockResult> {
  const ledger = await readLedger(target, await store.environment.keys.trusted())
  await checkOwnLog(store, target, ledger)
  const states = chosenStates(ledger, target, options)
  const keys = await keysToChange(target, ledger, states, options.act)
  const { retain } = options
  const retention =
    retain === undefined
      ? undefined
      : { mode: retain.mode, untilMs: retainUntilMs(await target.nowMs(), retain.forMs) }
  const run = { store, target, ledger, states, keys, retention, options }
  const changed = options.dryRun === true ? await changeAll(run) : await lockAct(run)
  return {
    url: target.url,
    act: options.act,
    states: states.map(({ name, version, labels }) => ({ collection: name, version, labels })),
    objects: {
      changed: changed.objects.length,
      kept: keys.length - changed.objects.length,
    },
    until: retention === undefined ? null : new Date(retention.untilMs).toISOString(),
    mode: retention?.mode ?? null,
    seals: changed.seals,
  }
}

async function keysToChange(
  target: SealedStore,
  ledger: Ledger,
  states: readonly SealedState[],
  act: LockOptions['act'],
): Promise<string[]> {
  const keys = new Set<string>()
  for (const state of states) {
    for (const key of await closureKeys(target, ledger, state)) keys.add(key)
  }
  if (act !== 'release') return [...keys]
  const released = new Set(states.map(({ manifest }) => manifest))
  const held = heldManifests(ledger)
  for (const state of chosenStates(ledger, target, {})) {
    if (!held.has(state.manifest) || released.has(state.manifest)) continue
    for (const key of await closureKeys(target, ledger, state)) keys.delete(key)
  }
  return [...keys]
}

interface LockRun {
  readonly store: OpenedStore
  readonly target: SealedStore
  readonly ledger: Ledger
  readonly states: readonly SealedState[]
  readonly keys: readonly string[]
  readonly retention: Retention | undefined
  readonly options: LockOptions
}

interface Changed {
  readonly objects: readonly SealedObject[]
  readonly seals: readonly string[]
}

async function lockAct(run: LockRun): Promise<Changed> {
  const { store, target, ledger, states, retention, options } = run
  const facts = {
    url: target.url,
    states: states.map(({ name, version, stateRoot }) => ({ name, version, stateRoot })),
    ...(retention === undefined ? {} : { retention: asText(retention) }),
  }
  const act = { act: `worm.${options.act}`, details: { ...facts, target: ledger.file.id } }
  return await runAct(store.environment, act, async () => {
    const { objects } = await changeAll(run)
    if (objects.length === 0) return { result: { objects, seals: [] }, outcome: facts }
    const witness = witnessRetention(ledger.seals, retention)
    if (witness !== undefined) await extendWitness(target, ledger, witness)
    const legalHold = isAnyHeld(run)
    if (options.act !== 'extend') await holdWitness(target, ledger, legalHold)
    const seal = {
      ...(witness === undefined ? {} : { retention: witness }),
      ...(legalHold ? { legalHold } : {}),
      ...encryptionOf(ledger),
    }
    const writer = { environment: store.environment, target, ledger, seal }
    const head = { act: options.act, collections: states.map(asCollection), ...changeOf(run) }
    const mark = await writeLedger(writer, { head, objects, details: facts })
    const outcome = { ...facts, target: ledger.file.id, ...mark }
    return { result: { objects, seals: mark.seals }, outcome }
  })
}

/** Whether any state is held after this act. */
function isAnyHeld({ ledger, states, options }: LockRun): boolean {
  if (options.act === 'hold') return true
  const released = options.act === 'release' ? states.map(({ manifest }) => manifest) : []
  return [...heldManifests(ledger)].some((manifest) => !released.includes(manifest))
}

const asText = ({ mode, untilMs }: Retention) => ({ mode, until: new Date(untilMs).toISOString() })

const changeOf = ({ retention, options }: LockRun): Pick<SealHead, 'retention' | 'legalHold'> => {
  if (options.act !== 'extend') return { legalHold: options.act === 'hold' }
  return retention === undefined ? {} : { retention: asText(retention) }
}

const asCollection = ({ seal: _, ...collection }: SealedState): SealedCollection => collection

async function changeAll(run: LockRun): Promise<Changed> {
  const objects: SealedObject[] = []
  let done = 0
  await eachAtOnce(run.keys, limits.s3RequestsMax, async (key) => {
    run.options.signal?.throwIfAborted()
    const object = await changeOne(run, key)
    if (object !== undefined) objects.push(object)
    done++
    const { onProgress } = run.options
    onProgress?.({ stage: run.options.act, done, total: run.keys.length, unit: 'blobs', item: key })
  })
  return { objects, seals: [] }
}

/** @returns the object where something about it changes */
async function changeOne(run: LockRun, key: string): Promise<SealedObject | undefined> {
  const { target, ledger, retention, options } = run
  const object = ledger.expected.get(key)?.object
  const info = object && (await target.headVersion(key, object.versionId))
  if (object === undefined || info === undefined) {
    throw new AkidbError('INTEGRITY', `the sealed version of ${key} is gone`, {
      hint: `Nothing more was changed. See: akidb worm verify ${target.url}`,
      details: { key },
    })
  }
  if (options.act === 'extend') {
    const { change, retention: wanted } = retentionChange(key, info.retention, retention)
    // An act that was killed extended it, and did not tell.
    const told = ledger.expected.get(key)?.retention?.untilMs ?? 0
    if (change === 'kept' && told >= (retention?.untilMs ?? 0)) return undefined
    if (options.dryRun !== true && wanted !== undefined) {
      await target.setRetention(key, object.versionId, wanted)
    }
    return object
  }
  const on = options.act === 'hold'
  const told = ledger.expected.get(key)?.legalHold === on
  if (info.legalHold === on && told) return undefined
  if (options.dryRun !== true) await target.setLegalHold(key, object.versionId, on)
  return object
}
