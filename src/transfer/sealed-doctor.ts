import type { DoctorResult } from '../db/doctor/doctor.ts'
import { type DoctorCheck, failed, fine, warned } from '../db/doctor/doctor-check.ts'
import { targetFile } from '../db/sealed/target.ts'
import { AkidbError } from '../errors/errors.ts'
import type { LockState, SealedStore } from '../storage/object-store.ts'
import { systemClock } from '../storage/system-clock.ts'
import { systemRandom } from '../storage/system-random.ts'
import { type TargetRequest, withTarget } from './sealed/open-target.ts'
import { probeBucket } from './sealed/probe.ts'
import { checkLifecycle, checkReplication, checkSpace } from './sealed-doctor-bucket.ts'

/** Servers refuse signatures of clocks that are 15 minutes off; half of it is a warning. */
const SKEW_WARN_MS = 7.5 * 60_000

/**
 * Looks whether a bucket can seal: reachable, clocks, versions, object lock, what it locks by
 * itself, conditional writes, checksums, what lies under the prefix, where it is copied to, what
 * lifecycle rules would do to it, and the server's free space. Writes one small object and removes
 * it again. Never throws for what it finds.
 */
export async function doctorTarget(request: TargetRequest): Promise<DoctorResult> {
  const checks: DoctorCheck[] = []
  try {
    await withTarget(request, async (target) => {
      const nowMs = await look('server', () => target.nowMs())
      if (typeof nowMs !== 'number') return void checks.push(nowMs)
      checks.push(fine('server', `${target.url} answers`), checkClock(nowMs))
      const lock = await look('bucket', () => target.lockState())
      if (!('versioned' in lock)) return void checks.push(lock)
      checks.push(...checkLock(lock))
      checks.push(await checkWrites(target), await checkPrefix(target))
      checks.push(await checkReplication(target, nowMs), await checkLifecycle(target))
      checks.push(await checkSpace(target))
    })
  } catch (error) {
    checks.push(finding('address', error))
  }
  return { ok: checks.every(({ status }) => status !== 'fail'), checks }
}

const finding = (name: string, error: unknown): DoctorCheck => {
  const hint = error instanceof AkidbError ? error.hint : undefined
  const message = error instanceof Error ? error.message : String(error)
  return failed(name, message, hint ?? 'See docs/worm.md for what a bucket must have.')
}

async function look<T>(name: string, work: () => Promise<T>): Promise<T | DoctorCheck> {
  try {
    return await work()
  } catch (error) {
    return finding(name, error)
  }
}

function checkClock(serverMs: number): DoctorCheck {
  const skewMs = Math.abs(serverMs - systemClock.nowMs())
  const seconds = Math.round(skewMs / 1_000)
  if (skewMs < SKEW_WARN_MS) {
    return fine('clock', `the server's clock is within ${seconds + 1} s of ours`)
  }
  const message = `its clock and ours are ${seconds} s apart; from 900 s on it refuses us`
  return warned('clock', message, 'Set both clocks. Retention ends by the clock of the server.')
}

function checkLock({ versioned, locked, defaultRetention }: LockState): DoctorCheck[] {
  const lock =
    versioned && locked
      ? fine('object lock', 'versions and object lock are on')
      : failed(
          'object lock',
          versioned ? 'versions are on, object lock is not' : 'the bucket keeps no versions',
          'Make another bucket, with object lock: it cannot be switched on later.',
        )
  const own =
    defaultRetention === undefined
      ? fine('default retention', 'none: what is locked is what push locks')
      : warned(
          'default retention',
          `${defaultRetention.mode}, ${defaultRetention.days} days, for all that comes without one`,
          'Leave it where that is meant; what a stopped push leaves is held by it too.',
        )
  return [lock, own]
}

async function checkWrites(target: SealedStore): Promise<DoctorCheck> {
  const name = Buffer.from(systemRandom(8)).toString('hex')
  const probe = await look('writes', () => probeBucket(target, name))
  if (!('conditionalPut' in probe)) return probe
  if (!probe.conditionalPut) {
    const message = 'If-None-Match is ignored: what is sealed would be overwritten'
    return failed('writes', message, 'Use a server that honours conditional PUTs.')
  }
  if (!probe.checksums) {
    const message = 'conditional writes work; the server says no checksums'
    return warned('writes', message, 'Give worm verify --read-data: nothing else shows the bytes.')
  }
  const left = probe.removed ? '' : `; probe-${name} could not be removed again`
  return fine('writes', `conditional writes and checksums work${left}`)
}

async function checkPrefix(target: SealedStore): Promise<DoctorCheck> {
  const file = await look('prefix', async () => ({ found: await targetFile(target) }))
  if (!('found' in file)) return file
  const { found } = file
  if (found === undefined) return fine('prefix', 'nothing was sealed there yet')
  return fine('prefix', `sealed store ${found.id} of ${found.createdAt}`)
}
