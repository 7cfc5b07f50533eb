import { openAuditLog } from '../../audit/log.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import type { LockHolder } from '../../storage/locks.ts'
import { type KeyStore, LOG_KEY } from '../../trust/key-store.ts'
import { collectionNames } from '../collection/lifecycle.ts'
import { type HalfDoneIngest, halfDoneIngests } from '../ingest/ledger.ts'
import { AUDIT_LOCK } from '../open/open-environment.ts'
import { type Environment, isoTime } from '../states/environment.ts'
import { ManifestStore } from '../states/manifest-store.ts'
import type { StoreFile } from '../states/store-file.ts'
import { claimOf } from '../wal/claim.ts'
import { readLog } from '../wal/log-file.ts'
import { OWNER_LOCK } from '../wal/log-owner.ts'
import { unsentFiles, unsentRows } from '../wal/outbox-settle.ts'
import { type TiersEnvironment, type TiersOptions, type TiersStatus, tiersStatus } from './tiers.ts'

/** What `status` looks at beside the store itself. */
export interface StatusEnvironment extends Environment, TiersEnvironment {
  readonly file: StoreFile
  readonly stateFolder: string
  readonly keys: Pick<KeyStore, 'publicKey'>
}

/** Where a store stands now; from manifests and a listing, without reading a blob. */
export type StoreStatus = {
  readonly store: string
  readonly id: string
  readonly state: string
  /** Who takes single writes now; null where nobody does. */
  readonly owner: LockHolder | null
  readonly collections: readonly CollectionStatus[]
  /** Ingests that were interrupted; the same command goes on with them. */
  readonly ledger: readonly HalfDoneIngest[]
  /** Rows that are in the write-ahead logs alone: durable here, in no manifest yet. */
  readonly walRows: number
  /** Single writes that were acknowledged in this state folder and are not in the bucket yet. */
  readonly rowsAtRisk: number
  /** When the oldest of them was acknowledged, ISO 8601; null: none, or not known. */
  readonly rowsAtRiskSince: string | null
  /** Files with writes that did not get there before another owner came; keys in `state`. */
  readonly unsentFiles: readonly string[]
  readonly audit: AuditStatus | null
  /** Where imported collections come from. */
  readonly origins: readonly OriginStatus[]
  readonly tiers: TiersStatus
}

export interface CollectionStatus {
  readonly name: string
  readonly version: number
  readonly committedAt: string
  readonly stateRoot: string
  /** Live rows in segments. */
  readonly rows: number
  readonly segments: number
  readonly walRows: number
  /**
   * In a bucket: who took its single writes last, maybe on another machine, and may have ended
   * since. Absent where nobody has.
   */
  readonly writer?: Writer
}

export interface Writer {
  readonly host: string
  readonly command: string
  /** Whether it was from this state folder. */
  readonly here: boolean
}

export interface AuditStatus {
  readonly logId: string
  readonly entries: number
  /** What is wrong with it, where it does not open. */
  readonly problem?: string
}

export interface OriginStatus {
  readonly collection: string
  readonly headDigest: string
  readonly logId: string
  readonly sequence: number
  /** The origin's own commit time. */
  readonly committedAt: string
  /** false after `--diverge`. */
  readonly following: boolean
}

/**
 * Looks at everything that moves, and at what lies where (see tiersStatus).
 *
 * @throws INTEGRITY where a head or a write-ahead log is damaged; BAD_INPUT
 */
export async function storeStatus(
  environment: StatusEnvironment,
  options: TiersOptions = {},
): Promise<StoreStatus> {
  const { store, state, locks, file } = environment
  const collections: CollectionStatus[] = []
  const origins: OriginStatus[] = []
  const heads = new Map<string, Manifest>()
  const audit = await auditStatus(environment)
  for (const name of await collectionNames(environment)) {
    const head = await new ManifestStore(store, name).newest()
    if (head === undefined || head.state.dropped === true) continue
    const status = await collectionStatus(environment, name, head)
    const writer = await writerOf(environment, { name, head, logId: audit?.logId })
    collections.push(writer === undefined ? status : { ...status, writer })
    origins.push(...originOf(name, head))
    heads.set(name, head)
  }
  return {
    store: store.url,
    id: file.id,
    state: environment.stateFolder,
    owner: (await locks.holder(OWNER_LOCK)) ?? null,
    collections,
    ledger: await halfDoneIngests(state),
    walRows: collections.reduce((sum, { walRows }) => sum + walRows, 0),
    ...(await riskStatus(environment, heads)),
    audit,
    origins,
    tiers: await tiersStatus(environment, heads, options),
  }
}

export type RiskStatus = Pick<StoreStatus, 'rowsAtRisk' | 'rowsAtRiskSince' | 'unsentFiles'>

/** @param heads none: what is committed, and not yet said to be so, counts as well */
export async function riskStatus(
  environment: Pick<Environment, 'state'>,
  heads: ReadonlyMap<string, Manifest>,
): Promise<RiskStatus> {
  const unsent = await unsentRows(environment, heads)
  const since = unsent.map(({ sinceMs }) => sinceMs).filter((ms) => ms > 0)
  return {
    rowsAtRisk: unsent.reduce((sum, { rows }) => sum + rows, 0),
    rowsAtRiskSince: since.length === 0 ? null : isoTime(Math.min(...since)),
    unsentFiles: await unsentFiles(environment),
  }
}

async function collectionStatus(
  environment: StatusEnvironment,
  name: string,
  { commit, state }: Manifest,
): Promise<CollectionStatus> {
  const folded = commit.log?.folded ?? 0
  const entries = await readLog(environment, commit)
  const { segments } = state
  return {
    name,
    version: commit.version,
    committedAt: commit.committedAt,
    stateRoot: commit.stateRoot,
    rows: segments.reduce((sum, { rows, tombstones }) => sum + rows - (tombstones?.count ?? 0), 0),
    segments: segments.length,
    walRows: entries.filter(({ end }) => end > folded).length,
  }
}

/** In a folder the lock tells. */
async function writerOf(
  environment: StatusEnvironment,
  {
    name,
    head,
    logId,
  }: { readonly name: string; readonly head: Manifest; readonly logId: string | undefined },
): Promise<Writer | undefined> {
  const { epoch } = head.commit
  if (environment.isShared !== true || epoch === 0) return undefined
  const claim = await claimOf({ name, environment }, epoch)
  if (claim === undefined || claim.ends === true) return undefined
  const { host, command } = claim
  return { host, command, here: claim.logId !== undefined && claim.logId === logId }
}

function originOf(collection: string, { commit }: Manifest): OriginStatus[] {
  if (commit.origin === undefined) return []
  const { headDigest, logId, sequence, committedAt, diverged } = commit.origin
  return [{ collection, headDigest, logId, sequence, committedAt, following: diverged !== true }]
}

/** Opened without its private key, so that nothing is locked, cut or written. */
export async function auditStatus(
  environment: Pick<
    StatusEnvironment,
    'store' | 'keys' | 'locks' | 'clock' | 'file' | 'lockWaitMs'
  >,
): Promise<AuditStatus | null> {
  const { store, keys, locks, clock, file } = environment
  let logId: string | undefined
  try {
    const key = await keys.publicKey(LOG_KEY)
    logId = key.keyId
    const log = await openAuditLog({
      store,
      prefix: `audit/${logId}`,
      origin: `akidb/${file.id}`,
      key,
      lock: () => locks.acquire(AUDIT_LOCK, environment.lockWaitMs),
      clock,
    })
    return { logId, entries: log.size }
  } catch (error) {
    if (!(error instanceof AkidbError)) throw error
    return logId === undefined ? null : { logId, entries: 0, problem: error.message }
  }
}
