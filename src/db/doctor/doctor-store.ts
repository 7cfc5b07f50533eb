import { stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import { probeFs } from '../../storage/probe-fs.ts'
import { isS3Url } from '../../storage/s3/s3-url.ts'
import { LOG_KEY } from '../../trust/key-store.ts'
import { collectionNames } from '../collection/lifecycle.ts'
import { halfDoneIngests } from '../ingest/ledger.ts'
import { type OpenEnvironment, openEnvironment } from '../open/open-environment.ts'
import { folderOf } from '../open/store-place.ts'
import type { StoreRequest } from '../open/store-request.ts'
import { ManifestStore } from '../states/manifest-store.ts'
import { livePins } from '../states/pins.ts'
import { RESERVE_FILE } from '../states/reserve.ts'
import { readPlace } from '../states/store-file.ts'
import { type DoctorCheck, failed, fine, warned } from './doctor-check.ts'
import { auditStatus } from './status.ts'

/** Free bytes below which a warning is due: room for one large segment and its merge. */
const FREE_BYTES_WARN = 1024 ** 3
/** A commit this far in the future means that a clock was wrong. */
const CLOCK_AHEAD_MS = 5 * 60_000
/** Permission bits of group and others on a private key. */
const OTHERS = 0o077

/** What depends on a store: it, its state folder, and the disks that they are on. */
export async function checkPlaceOf(request: StoreRequest): Promise<DoctorCheck[]> {
  if (isS3Url(request.url)) return await checkBucketOf(request)
  const folder = await look('folder', async () => folderOf(request.url))
  if (typeof folder !== 'string') return [folder]
  const disks = [await checkFs(folder), await checkSpace(folder)]
  const environment = await look('store', () => openEnvironment({ ...request, mode: 'read' }))
  if (!('store' in environment)) return [...disks, environment]
  try {
    return [...disks, ...(await checkStoreParts(environment))]
  } finally {
    await environment.close()
  }
}

/** A working store in a bucket, and this machine's state folder for it. */
async function checkBucketOf(request: StoreRequest): Promise<DoctorCheck[]> {
  const { checkBucket, checkPublished } = await import('./doctor-bucket.ts')
  const bucket = await look('bucket', () => checkBucket(request))
  const environment = await look('store', () => openEnvironment({ ...request, mode: 'read' }))
  if (!('store' in environment)) return [bucket, environment]
  try {
    const space = await checkSpace(environment.stateFolder)
    const published = await look('state folder', () => checkPublished(request, environment))
    return [bucket, space, ...(await checkStoreParts(environment)), published]
  } finally {
    await environment.close()
  }
}

async function checkStoreParts(environment: OpenEnvironment): Promise<DoctorCheck[]> {
  const checks = [fine('store', `store ${environment.file.id} in ${environment.store.url}`)]
  for (const [name, check] of PARTS) checks.push(await look(name, () => check(environment)))
  return checks
}

/** A check that fails to look says so as its finding. */
async function look<T>(name: string, work: () => Promise<T>): Promise<T | DoctorCheck> {
  try {
    return await work()
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const hint = error instanceof AkidbError ? error.hint : undefined
    return failed(name, message, hint ?? 'Run akidb check; restore what it names from a copy.')
  }
}

const PARTS: readonly (readonly [string, (e: OpenEnvironment) => Promise<DoctorCheck>])[] = [
  ['place', checkPlace],
  ['reserve', checkReserve],
  ['keys', checkKeys],
  ['collections', checkHeads],
  ['clock', checkClock],
  ['audit', checkAuditLog],
  ['locks', checkLocks],
  ['leftovers', checkLeftovers],
]

async function checkFs(folder: string): Promise<DoctorCheck> {
  const { writable, hardLinks, folderSync, message } = await probeFs(folder)
  if (writable && hardLinks && folderSync) return fine('file system', message)
  const fix =
    'Reading works. To write, use a local disk (ext4, xfs, btrfs, zfs) that you may write.'
  return warned('file system', message, fix)
}

async function checkSpace(folder: string): Promise<DoctorCheck> {
  const found = await statfs(folder).catch(() => undefined)
  if (found === undefined)
    return warned('disk space', `${folder} cannot be asked`, 'Check the path.')
  const free = found.bavail * found.bsize
  const message = `${Math.floor(free / 1024 ** 2)} MiB free in ${folder}`
  const fix = 'Free some space: akidb gc removes old states, also on a full disk.'
  if (free < limits.reserveBytes) return failed('disk space', message, fix)
  return free < FREE_BYTES_WARN ? warned('disk space', message, fix) : fine('disk space', message)
}

async function checkPlace(environment: OpenEnvironment): Promise<DoctorCheck> {
  const place = await readPlace(environment.state)
  const { stateFolder, file } = environment
  if (place === undefined) return fine('place', `${stateFolder} has belonged to no store yet`)
  if (place.storeId !== file.id) {
    return failed('place', `${stateFolder} belongs to store ${place.storeId}`, 'Give its --state.')
  }
  if (place.inode === (await environment.identity())) {
    return fine('place', 'the store is where it was')
  }
  const fix = 'akidb adopt --moved where the old one is gone, akidb adopt --copy where it goes on.'
  return failed('place', 'the store was moved or copied', fix)
}

async function checkReserve({ state, isShared }: OpenEnvironment): Promise<DoctorCheck> {
  // From a state folder that init has not made nothing is changed.
  if (isShared === true && (await readPlace(state)) === undefined) {
    return fine('reserve', 'a machine that only reads needs none')
  }
  const held = (await state.head(RESERVE_FILE))?.bytes
  if (held === limits.reserveBytes) return fine('reserve', 'gc and drop have their reserve')
  const fix = 'Free some space, and run akidb gc.'
  if (held === undefined) {
    return warned('reserve', 'gc and drop have no reserve for a full disk', fix)
  }
  const [part, whole] = [held, limits.reserveBytes].map((bytes) => Math.floor(bytes / 1_024))
  return warned('reserve', `gc and drop have ${part} of ${whole} KiB for a full disk`, fix)
}

async function checkKeys(environment: OpenEnvironment): Promise<DoctorCheck> {
  const own = (await environment.keys.list()).filter(({ hasPrivate }) => hasPrivate)
  const open: string[] = []
  for (const { name } of own) {
    const path = join(environment.stateFolder, 'keys', `${name}.key.json`)
    const { mode } = await stat(path)
    if ((mode & OTHERS) !== 0) open.push(path)
  }
  if (open.length > 0) {
    const message = `others can read ${open.join(', ')}`
    return failed('keys', message, `chmod 600 ${open.join(' ')}`)
  }
  if (own.some(({ name }) => name === LOG_KEY)) {
    return fine('keys', `own keys: ${own.map(({ name }) => name).join(', ')}`)
  }
  const fix = 'akidb keys import <backup> brings it back; akidb init begins a new log.'
  return failed('keys', `there is no key "${LOG_KEY}" in ${environment.stateFolder}`, fix)
}

/** Commit times of all heads that open. @throws INTEGRITY, FORMAT_VERSION for one that does not */
async function headTimes(environment: OpenEnvironment): Promise<number[]> {
  const times: number[] = []
  for (const name of await collectionNames(environment)) {
    const head = await new ManifestStore(environment.store, name).newest()
    if (head !== undefined) times.push(Date.parse(head.commit.committedAt))
  }
  return times
}

async function checkHeads(environment: OpenEnvironment): Promise<DoctorCheck> {
  const times = await headTimes(environment)
  return fine('collections', `the newest states of ${times.length} collections open`)
}

async function checkClock(environment: OpenEnvironment): Promise<DoctorCheck> {
  const newest = (await headTimes(environment)).reduce((a, b) => Math.max(a, b), 0)
  const aheadMs = newest - environment.clock.nowMs()
  if (aheadMs <= CLOCK_AHEAD_MS) return fine('clock', 'no commit lies in the future')
  const minutes = Math.round(aheadMs / 60_000)
  const fix =
    'Set the clock. A clock that was ahead is no harm: commit times only go on from there.'
  return warned('clock', `the newest commit lies ${minutes} minutes in the future`, fix)
}

async function checkAuditLog(environment: OpenEnvironment): Promise<DoctorCheck> {
  const found = await auditStatus(environment)
  const fix = 'akidb audit verify says what is wrong; keep the folder as evidence.'
  if (found === null) return failed('audit', 'there is no key of the audit log', 'See "keys".')
  if (found.problem !== undefined) return failed('audit', found.problem, fix)
  return fine('audit', `log ${found.logId.slice(0, 12)} opens with ${found.entries} entries`)
}

async function checkLocks({ locks }: OpenEnvironment): Promise<DoctorCheck> {
  const held: string[] = []
  for (const name of await locks.list('')) {
    const holder = await locks.holder(name)
    if (holder === undefined) continue
    held.push(`${name} by ${holder.command} (pid ${holder.pid} on ${holder.host})`)
  }
  return fine('locks', held.length === 0 ? 'nobody holds a lock' : `held: ${held.join('; ')}`)
}

async function checkLeftovers(environment: OpenEnvironment): Promise<DoctorCheck> {
  const { store, state, locks } = environment
  const found: string[] = []
  const ingests = (await halfDoneIngests(state)).length
  if (ingests > 0) found.push(`half-done ingests: ${ingests}`)
  let acts = 0
  for (const name of await locks.list('act-')) if (!(await locks.isHeld(name))) acts++
  if (acts > 0) found.push(`killed commands without an outcome: ${acts}`)
  let records = 0
  for await (const _ of store.list('gc/')) records++
  if (records > 0) found.push(`lists of an unfinished gc: ${records}`)
  const pins = (await livePins(environment, { sweep: false })).length
  const rest = pins === 0 ? 'none' : `nothing but pins of the last day: ${pins}`
  if (found.length === 0) return fine('leftovers', rest)
  const fix = 'Ingest the same files again to finish them; the next command and gc clear the rest.'
  return warned('leftovers', found.join(', '), fix)
}
