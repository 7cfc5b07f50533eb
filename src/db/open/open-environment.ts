import { statSync } from 'node:fs'
import { availableParallelism, hostname, totalmem } from 'node:os'
import { join } from 'node:path'
import { createWorkerPool, type WorkerPool } from '../../ann/worker-pool.ts'
import { type AuditLog, openAuditLog } from '../../audit/log.ts'
import { withWayOut } from '../../audit/shared-logs.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import { openFsStore } from '../../storage/fs-store.ts'
import type { LockManager } from '../../storage/locks.ts'
import { createMemoryLocks } from '../../storage/memory-locks.ts'
import { createMemoryStore } from '../../storage/memory-store.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { openSqliteLocks } from '../../storage/sqlite-locks.ts'
import { systemClock } from '../../storage/system-clock.ts'
import { systemRandom } from '../../storage/system-random.ts'
import { type KeyStore, LOG_KEY } from '../../trust/key-store.ts'
import type { Signer } from '../../trust/signer.ts'
import type { OpenOptions } from '../api/api.ts'
import { collectionNames } from '../collection/lifecycle.ts'
import type { Ledger } from '../sealed/ledger.ts'
import { currentActor } from '../states/actor.ts'
import type { Environment } from '../states/environment.ts'
import { ManifestStore } from '../states/manifest-store.ts'
import { defaultMemoryBytes, MemoryBudget } from '../states/memory-budget.ts'
import { ResultCache } from '../states/result-cache.ts'
import type { StoreFile } from '../states/store-file.ts'
import { openPlace } from './open-place.ts'
import { openKeys } from './state-keys.ts'
import type { StorePlace } from './store-place.ts'

export const AUDIT_LOCK = 'audit'

/** A store's folders, opened, and everything that belongs to this process. */
export interface OpenEnvironment extends Environment {
  readonly file: StoreFile
  readonly stateFolder: string
  readonly keys: KeyStore
  /** See StorePlace. */
  readonly identity: () => Promise<string>
  /** Of a sealed store. */
  readonly ledger?: Ledger
  /** Whether the audit log was opened, so that a checkpoint is due at the end. */
  readonly auditOpened: () => boolean
  close(): Promise<void>
}

/**
 * Opens a store and its state folder for one process.
 *
 * @throws NOT_FOUND, FORMAT_VERSION, INTEGRITY (store file); USAGE for an option that does not fit
 *   where it lies; later uses throw what their operations
 *   throw
 */
export async function openEnvironment(options: OpenOptions): Promise<OpenEnvironment> {
  const place = await openPlace(options)
  const { store, file, stateFolder } = place
  await checkDurability(options, place)
  const state = openState(stateFolder, options.mode)
  const holder = lockHolder(options.command ?? 'akidb')
  const locks = openLocks(stateFolder, state, holder)
  const keys = openKeys(stateFolder)
  const command = options.command ?? 'akidb'
  const lockWaitMs = options.lockWaitMs ?? limits.lockWaitMs
  const warn = options.onWarning ?? (() => undefined)
  let audit: Promise<AuditLog> | undefined
  let pool: WorkerPool | undefined
  const workers = (): WorkerPool => {
    pool ??= createWorkerPool({
      threads: options.threads ?? defaultThreads(),
      processors: availableParallelism(),
      buildModule: buildModule(),
    })
    return pool
  }
  let pins: ObjectStore | undefined
  const environment: OpenEnvironment = {
    mode: options.mode,
    store,
    state,
    locks,
    isShared: place.isShared,
    ...(options.durability === undefined ? {} : { durability: options.durability }),
    identity: () => place.identity(),
    clock: systemClock,
    random: systemRandom,
    actor: currentActor(options.sudoUser),
    command,
    reason: options.reason,
    lockWaitMs,
    headAgeMaxMs: place.isShared ? SHARED_HEAD_AGE_MAX_MS : HEAD_AGE_MAX_MS,
    pinStore: () => {
      pins ??= place.pins()
      return pins
    },
    warn,
    file,
    stateFolder,
    keys,
    audit: () => {
      audit ??= openLog(environment, place.log() ?? state).catch((error: unknown) => {
        // On a full disk it is tried again, when gc has given up its reserve.
        audit = undefined
        const isOwn = place.isShared && hasCode(error, 'AUDIT_BROKEN')
        throw isOwn ? withWayOut(error, stateFolder) : error
      })
      return audit
    },
    auditOpened: () => audit !== undefined,
    builder: workers,
    workers,
    memory: new MemoryBudget(options.memoryBytes ?? machineMemoryBytes(), systemClock),
    ...(place.ledger === undefined ? {} : { ledger: place.ledger }),
    results: new ResultCache(options.resultCacheBytes),
    close: async () => {
      await pool?.close()
      await locks.close()
      await state.close()
      await store.close()
    },
  }
  return environment
}

async function checkDurability({ durability }: OpenOptions, place: StorePlace): Promise<void> {
  if (durability !== 'local' || place.isShared) return
  await place.store.close()
  throw new AkidbError('USAGE', 'durability "local" is for a working store in a bucket', {
    hint: 'A store in a folder acknowledges what is fsynced there: leave the option out.',
  })
}

/**
 * A look at the head costs as much as a search; another process's commit is seen this much later at
 * most.
 */
const HEAD_AGE_MAX_MS = 40

/** The same in a bucket, where a look is a request. */
const SHARED_HEAD_AGE_MAX_MS = 1_000

/** More threads than this do not make one build faster, and a search needs but one. */
const DEFAULT_THREADS_MAX = 8

const machineMemoryBytes = (): number => defaultMemoryBytes(totalmem(), process.constrainedMemory())

/** Sources run as .ts, the package as .js. */
const buildModule = (): URL =>
  new URL(
    import.meta.url.endsWith('.ts') ? './quiet-build-worker.ts' : './quiet-build-worker.js',
    import.meta.url,
  )

const defaultThreads = (): number => Math.min(availableParallelism(), DEFAULT_THREADS_MAX)

/** A reader of a medium without a state folder keeps its state in memory. */
function openState(stateFolder: string, mode: 'read' | 'write'): ObjectStore {
  if (mode === 'write' || exists(stateFolder)) return openFsStore(stateFolder, { mode: 'write' })
  return createMemoryStore({ clock: systemClock })
}

function openLocks(
  stateFolder: string,
  state: ObjectStore,
  holder: ReturnType<typeof lockHolder>,
): LockManager {
  if (state.capabilities.localFiles) {
    return openSqliteLocks(join(stateFolder, 'locks'), { holder, clock: systemClock })
  }
  return createMemoryLocks({ clock: systemClock }).forProcess('reader', holder)
}

const lockHolder = (command: string) => {
  const host = hostname()
  const startedMs = Date.now() - process.uptime() * 1_000
  return { host, pid: process.pid, command, startedAt: new Date(startedMs).toISOString() }
}

const exists = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

/** Opens this state folder's log; the heads that name it say how long it must be. */
async function openLog(environment: OpenEnvironment, store: ObjectStore): Promise<AuditLog> {
  const signer = await loadLogKey(environment)
  const logId = signer.key.keyId
  const log = await openAuditLog({
    store,
    prefix: `audit/${logId}`,
    origin: `akidb/${environment.file.id}`,
    signer,
    lock: () => environment.locks.acquire(AUDIT_LOCK, environment.lockWaitMs),
    clock: environment.clock,
    named: await namedPositions(environment, logId),
  })
  for (const { code, message } of log.warnings) environment.warn({ code, message })
  return log
}

/** @throws NOT_FOUND where the state folder lost its keys, with the two ways out */
async function loadLogKey({ keys, stateFolder }: OpenEnvironment): Promise<Signer> {
  try {
    return await keys.load(LOG_KEY)
  } catch (error) {
    if (!hasCode(error, 'NOT_FOUND')) throw error
    throw new AkidbError('NOT_FOUND', `state folder ${stateFolder} has no key for the audit log`, {
      hint: 'akidb keys import <backup> brings it back; akidb init begins a new log that says so.',
      cause: error,
    })
  }
}

/** What the collections' heads say of a log. */
export async function namedPositions(
  environment: Pick<Environment, 'store'>,
  logId: string,
): Promise<{ size: number; root: string; where: string }[]> {
  const named: { size: number; root: string; where: string }[] = []
  for (const name of await collectionNames(environment)) {
    const head = await new ManifestStore(environment.store, name).newest()
    if (head?.commit.audit.logId !== logId) continue
    const { size, root } = head.commit.audit
    named.push({ size, root, where: `manifest ${head.commit.version} of "${name}"` })
  }
  return named
}

/** Logs that the collections' heads name: one that was removed as a whole is among them. */
export async function namedLogIds(environment: Pick<Environment, 'store'>): Promise<string[]> {
  const named = new Set<string>()
  for (const name of await collectionNames(environment)) {
    const head = await new ManifestStore(environment.store, name).newest()
    if (head !== undefined) named.add(head.commit.audit.logId)
  }
  return [...named]
}
