import { limits } from '../core/limits.ts'
import { type DoctorCheck, fine, warned } from '../db/doctor/doctor-check.ts'
import { hasCode } from '../errors/errors.ts'
import type { ObjectVersion, SealedStore } from '../storage/object-store.ts'

/** What waits longer to be copied than this is stuck. */
const PENDING_MAX_MS = 3_600_000
const GIB = 1024 ** 3
/** Free of a server's drives, below which it is a warning. */
const FREE_SHARE_MIN = 0.1

/**
 * Where the bucket is copied to, and whether the newest seals are there: what seals speak of was
 * written before them.
 */
export async function checkReplication(target: SealedStore, nowMs: number): Promise<DoctorCheck> {
  const rules = await told(() => target.replicationRules())
  if (rules === undefined) return untold('replication', 's3:GetReplicationConfiguration')
  const counts = await told(() => replicationOf(target))
  if (counts === undefined) return untold('replication', 's3:GetObjectVersion')
  const said = countsText(counts)
  const enabled = rules.filter((rule) => rule.enabled)
  if (counts.FAILED.length > 0) {
    const fix =
      'Look at the target of the rule, then: mc replicate resync start. Or push there too.'
    return warned('replication', `not all seals were copied: ${said}`, fix)
  }
  const stuck = counts.PENDING.filter(({ modifiedMs }) => nowMs - modifiedMs > PENDING_MAX_MS)
  if (stuck.length > 0) {
    const message = `seals have waited for over an hour to be copied: ${said}`
    return warned('replication', message, 'Is the target of the rule up? mc replicate status')
  }
  if (counts.REPLICA.length > 0) return fine('replication', `a copy of another bucket: ${said}`)
  if (enabled.length === 0) {
    const off = rules.length === 0 ? 'no rule' : 'no rule that is switched on'
    return fine('replication', `${off} copies what is sealed elsewhere`)
  }
  const to = [...new Set(enabled.map((rule) => rule.target))].join(', ')
  if (counts.none.length > 0) {
    const fix = 'They are older than the rule: mc replicate resync start. Or push there too.'
    return warned('replication', `to ${to}; not all seals are copied: ${said}`, fix)
  }
  return fine('replication', `to ${to}; of the newest seals: ${said}`)
}

type Counts = Readonly<Record<(typeof STATUSES)[number], ObjectVersion[]>>
const STATUSES = ['COMPLETED', 'PENDING', 'FAILED', 'REPLICA', 'none'] as const

async function replicationOf(target: SealedStore): Promise<Counts> {
  const counts: Counts = { COMPLETED: [], PENDING: [], FAILED: [], REPLICA: [], none: [] }
  for (const version of await newestSeals(target)) {
    const info = await target.headVersion(version.key, version.versionId)
    const said = info?.replication === 'COMPLETE' ? 'COMPLETED' : info?.replication
    counts[STATUSES.find((status) => status === said) ?? 'none'].push(version)
  }
  return counts
}

/** Seals and their proofs, the newest first; never more of them in memory than are looked at. */
async function newestSeals(target: SealedStore): Promise<ObjectVersion[]> {
  const newest: ObjectVersion[] = []
  for await (const version of target.versions('seals/')) {
    if (version.isDeleteMarker) continue
    newest.push(version)
    if (newest.length > 2 * limits.doctorSealsMax) cutToNewest(newest)
  }
  return cutToNewest(newest)
}

const cutToNewest = (versions: ObjectVersion[]): ObjectVersion[] => {
  versions.sort((a, b) => b.modifiedMs - a.modifiedMs)
  versions.length = Math.min(versions.length, limits.doctorSealsMax)
  return versions
}

const countsText = (counts: Counts): string => {
  const found = STATUSES.filter((status) => counts[status].length > 0)
  if (found.length === 0) return 'nothing sealed yet'
  return found
    .map((status) => `${counts[status].length} ${status === 'none' ? 'without a state' : status}`)
    .join(', ')
}

/** Rules that would take or move what is sealed. Those for unfinished uploads are welcome. */
export async function checkLifecycle(target: SealedStore): Promise<DoctorCheck> {
  const rules = await told(() => target.lifecycleRules())
  if (rules === undefined) return untold('lifecycle', 's3:GetLifecycleConfiguration')
  const bad = rules.filter((rule) => rule.enabled && (rule.expires || rule.moves))
  if (bad.length > 0) {
    const does = bad.map(({ id, expires, moves }) => {
      const acts = [expires ? 'hides objects under delete markers' : '', moves ? 'moves them' : '']
      return `"${id}" ${acts.filter((act) => act !== '').join(' and ')}`
    })
    const fix =
      'What is sealed stays, but worm verify reports it as DELETED, or reads wait for cold ' +
      'storage. Switch the rules off, or give them another prefix.'
    return warned('lifecycle', `a rule touches what is sealed: ${does.join('; ')}`, fix)
  }
  const hidden = rules.filter((rule) => rule.enabled && rule.expiresHidden)
  const none = 'no rule takes or moves what is sealed'
  if (hidden.length === 0) return fine('lifecycle', none)
  const ids = hidden.map(({ id }) => `"${id}"`).join(', ')
  return fine('lifecycle', `${none}; ${ids} takes hidden versions when their locks have ended`)
}

/** Room on the server's drives: S3 has no question for it, MinIO answers one of its own. */
export async function checkSpace(target: SealedStore): Promise<DoctorCheck> {
  const space = await told(() => target.freeSpace())
  if (space === undefined) {
    const why = 'the server does not say (MinIO: to whom its policy gives admin:StorageInfo)'
    return fine('space', `unknown: ${why}`)
  }
  const { freeBytes, bytes } = space
  const message = `${gib(freeBytes)} of ${gib(bytes)} GiB are free, before redundancy`
  if (freeBytes >= bytes * FREE_SHARE_MIN) return fine('space', message)
  const fix = 'Add drives: what is locked cannot be taken away to make room.'
  return warned('space', message, fix)
}

const gib = (bytes: number): string => (bytes / GIB).toFixed(1)

/** Undefined where we may not ask. What does not answer at all is said by other checks. */
async function told<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask()
  } catch (error) {
    if (hasCode(error, 'AUTH', 'BAD_INPUT', 'NOT_FOUND', 'UNREACHABLE', 'TIMEOUT')) return undefined
    throw error
  }
}

const untold = (name: string, permission: string): DoctorCheck =>
  warned(name, 'unknown: the server does not tell us', `Allow the user ${permission}.`)
