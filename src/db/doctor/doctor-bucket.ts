import { checkOwnLog } from '../../audit/shared-logs.ts'
import { hasCode } from '../../errors/errors.ts'
import { openSealedStore } from '../../storage/s3/open-sealed-store.ts'
import { LOG_KEY } from '../../trust/key-store.ts'
import { probeWorkingBucket } from '../open/init-bucket.ts'
import type { OpenEnvironment } from '../open/open-environment.ts'
import type { StoreRequest } from '../open/store-request.ts'
import { type DoctorCheck, fine, warned } from './doctor-check.ts'

/** Clocks that are so far apart make servers refuse requests. Source: S3's RequestTimeTooSkewed. */
const CLOCK_APART_MS = 5 * 60_000

/**
 * Whether this machine's audit log goes on from what it published: a state folder that was restored
 * from an older copy, or that two machines share, does not.
 */
export async function checkPublished(
  { url, s3 }: StoreRequest,
  { keys, state, stateFolder }: Pick<OpenEnvironment, 'keys' | 'state' | 'stateFolder'>,
): Promise<DoctorCheck> {
  const target = await openSealedStore(url, s3)
  try {
    const { keyId } = await keys.publicKey(LOG_KEY)
    await checkOwnLog({ inner: target, state }, keyId)
    return fine('state folder', `${stateFolder} has all that it published`)
  } catch (error) {
    // Of a key that is not there the keys are told of.
    if (hasCode(error, 'NOT_FOUND')) return fine('state folder', `${stateFolder} has no log yet`)
    throw error
  } finally {
    await target.close()
  }
}

/** Whether a bucket still does what a working store relies on. Writes a probe, and removes it. */
export async function checkBucket({ url, s3 }: StoreRequest): Promise<DoctorCheck> {
  const target = await openSealedStore(url, s3)
  try {
    await probeWorkingBucket(target)
    const apartMs = Math.abs((await target.nowMs()) - Date.now())
    const clocks = `its clock is ${Math.round(apartMs / 1_000)} s from ours`
    if (apartMs < CLOCK_APART_MS) {
      return fine('bucket', `conditional writes and consistency are as they must be; ${clocks}`)
    }
    return warned('bucket', clocks, 'Set the clocks of both machines by one source.')
  } finally {
    await target.close()
  }
}
