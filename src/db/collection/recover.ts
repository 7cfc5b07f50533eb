import type { ActEntries } from '../../audit/read.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import type { LockHandle } from '../../storage/locks.ts'
import { endActLock } from '../states/acts.ts'
import type { Environment } from '../states/environment.ts'
import { ManifestStore } from '../states/manifest-store.ts'
import { listReplays, parseReplayName, replayFolder } from '../states/replays.ts'
import { collectionNames } from './lifecycle.ts'

const ACT_LOCK = /^act-([0-9a-f]{16})$/

/**
 * Ends what killed commands left open (design §4). An act whose lock is free and that has an intent
 * but no outcome gets one: `recovered` where its manifest is there, `aborted` where it is not.
 *
 * @returns how many outcomes were written
 */
export async function recoverActs(environment: Environment): Promise<number> {
  const held = await lockFreeActs(environment)
  if (held.size === 0) return 0
  let written = 0
  try {
    const audit = await environment.audit()
    // Whoever held these locks may have written to the log since it was opened here.
    await audit.refresh()
    const found = await audit.findActs(held.keys())
    for (const [id, lock] of held) {
      const entries = found.get(id)
      if (entries?.intent !== undefined && entries.outcome === undefined) {
        await writeOutcome(environment, id, entries)
        written++
      }
      await endActLock(environment, lock)
    }
  } finally {
    for (const lock of held.values()) await lock.release()
  }
  return written
}

/**
 * Locks of acts that ended without an outcome, taken: of two that open the store one ends an act.
 */
async function lockFreeActs(environment: Environment): Promise<ReadonlyMap<string, LockHandle>> {
  const held = new Map<string, LockHandle>()
  for (const name of await environment.locks.list('act-')) {
    const id = ACT_LOCK.exec(name)?.[1]
    if (id === undefined || (await environment.locks.isHeld(name))) continue
    const lock = await lockIfFree(environment, name)
    if (lock !== undefined) held.set(id, lock)
  }
  return held
}

async function lockIfFree(environment: Environment, name: string): Promise<LockHandle | undefined> {
  try {
    return await environment.locks.acquire(name, 0)
  } catch (error) {
    if (hasCode(error, 'LOCKED')) return undefined
    throw error
  }
}

async function writeOutcome(
  environment: Environment,
  id: string,
  { intent }: ActEntries,
): Promise<void> {
  if (intent === undefined) return
  const details =
    intent.act === 'replay'
      ? await replayOutcome(environment, id, intent)
      : await commitOutcome(environment, id, intent)
  const { collection } = intent
  const audit = await environment.audit()
  await audit.append([
    {
      act: intent.act,
      phase: 'outcome',
      actId: id,
      actor: environment.actor,
      ...(collection === undefined ? {} : { collection }),
      details,
    },
  ])
}

type Details = Readonly<Record<string, unknown>>
type Intent = NonNullable<ActEntries['intent']>

/** @param isKnown whether what it had sent would be there by now */
const notCommitted = (isKnown: boolean): Details => ({
  result: isKnown ? 'aborted' : 'unknown',
  code: 'INTERRUPTED',
})

async function commitOutcome(
  environment: Environment,
  id: string,
  intent: Intent,
): Promise<Details> {
  const audit = await environment.audit()
  const committed: CommittedManifest[] = []
  let isKnown = true
  for (const name of await collectionsOf(environment, intent)) {
    const sought = { id, logId: audit.logId, seq: intent.seq, time: intent.time }
    const { found, isWhole } = await manifestOfAct(environment, name, sought)
    isKnown &&= isWhole && !isRecent(environment, intent.time)
    if (found === undefined) continue
    const { version, stateRoot } = found.commit
    committed.push({ collection: name, version, manifest: found.digest, stateRoot })
  }
  return outcomeOf(intent.collection, committed, isKnown)
}

/** States of a bundle that a killed replay had opened: the log has to say what their bytes are. */
async function replayOutcome(
  environment: Environment,
  id: string,
  { time }: Intent,
): Promise<Details> {
  const replays: { name: string; stateRoot: string; manifest: string }[] = []
  for (const address of await listReplays(environment)) {
    const replay = parseReplayName(address)
    if (replay === undefined) continue
    const folder = replayFolder(replay)
    const found = await new ManifestStore(environment.store, replay.name, folder)
      .newest()
      .catch(damagedIsNone)
    if (found?.commit.actId !== id) continue
    replays.push({ name: address, stateRoot: found.commit.stateRoot, manifest: found.digest })
  }
  if (replays.length === 0) return notCommitted(!isRecent(environment, time))
  return { result: 'recovered', replays }
}

/** `akidb check` says what is wrong with it; that must not keep a store from being opened. */
function damagedIsNone(error: unknown): undefined {
  if (!hasCode(error, 'NOT_FOUND', 'INTEGRITY', 'FORMAT_VERSION')) throw error
}

interface CommittedManifest {
  readonly collection: string
  readonly version: number
  readonly manifest: string
  readonly stateRoot: string
}

function outcomeOf(
  collection: string | undefined,
  committed: readonly CommittedManifest[],
  isKnown: boolean,
): Details {
  const [first] = committed
  if (first === undefined) return notCommitted(isKnown)
  if (collection === undefined) return { result: 'recovered', manifests: committed }
  const { version, manifest, stateRoot } = first
  return { result: 'recovered', version, manifest, stateRoot }
}

/** An import names no collection: it may commit to several. */
async function collectionsOf(environment: Environment, intent: Intent): Promise<readonly string[]> {
  if (intent.collection !== undefined) return [intent.collection]
  return intent.act === 'import' ? await collectionNames(environment) : []
}

/** Whether what was sent may still arrive, where it goes over a network. */
const isRecent = ({ isShared, clock }: Environment, time: string): boolean =>
  isShared === true && clock.nowMs() - Date.parse(time) < limits.commitLifeMs

/** Acts that began before another one, and committed after it: no more than run at once. */
const OVERTAKEN_MAX = 1_000

interface SoughtAct {
  readonly id: string
  readonly logId: string
  readonly seq: number
  /** ISO 8601: when its intent was written. */
  readonly time: string
}

/**
 * The manifest that an act committed, if it did: its log position is beyond the act's intent.
 * `isWhole`: had it been there, it would have been found. Machines that share a store do not see
 * each other's open acts, so that one may have collected the garbage of another's.
 */
async function manifestOfAct(
  environment: Environment,
  collection: string,
  act: SoughtAct,
): Promise<{ readonly found?: Manifest; readonly isWhole: boolean }> {
  let overtaken = 0
  let [isWhole, below] = [environment.isShared !== true, 0]
  for await (const manifest of new ManifestStore(environment.store, collection).history()) {
    const { audit, actId, version, committedAt } = manifest.commit
    if (actId === act.id) return { found: manifest, isWhole: true }
    // Commit times grow with the versions: no later version of this act lies below that.
    const isNext = below === 0 || version === below
    if (isNext && (version === 1 || committedAt < act.time)) isWhole = true
    below = isNext ? version - 1 : Number.NaN
    // Not the end yet: an act with an older intent may have committed after this one.
    const before = audit.logId === act.logId && audit.size <= act.seq
    if (before && ++overtaken >= OVERTAKEN_MAX) break
  }
  return { isWhole }
}

/** Outcomes looked at when a store is opened for writing; `akidb audit verify` looks at all. */
const OUTCOMES_CHECKED = 64

/**
 * An outcome whose manifest is gone although nothing newer is there: the store lost a commit that
 * the log has.
 *
 * @throws AUDIT_BROKEN
 */
export async function checkOutcomes(environment: Environment): Promise<void> {
  const audit = await environment.audit()
  const newest = new Map<string, number>()
  for (const name of await collectionNames(environment)) {
    newest.set(name, await new ManifestStore(environment.store, name).newestVersion())
  }
  let checked = 0
  for await (const entry of audit.newestFirst()) {
    if (checked++ >= OUTCOMES_CHECKED) return
    const version = entry.details?.version
    if (entry.phase !== 'outcome' || typeof version !== 'number') continue
    if (entry.collection === undefined || version <= (newest.get(entry.collection) ?? 0)) continue
    throw new AkidbError(
      'AUDIT_BROKEN',
      `version ${version} of "${entry.collection}" is gone: audit entry ${entry.seq} committed it`,
      { hint: 'Manifests were removed or an older copy put back. Run akidb audit verify.' },
    )
  }
}
