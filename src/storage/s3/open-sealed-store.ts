import { createMemoryStore } from '../memory-store.ts'
import type { SealedStore } from '../object-store.ts'
import { systemClock } from '../system-clock.ts'
import { systemRandom } from '../system-random.ts'
import type { S3Access } from './s3-access.ts'
import { openS3Store } from './s3-store.ts'

/**
 * A bucket by the clock and chance of this machine. Nothing large is staged: all that is sealed
 * lies in a store already, or is small.
 *
 * @throws USAGE for addresses that are none
 */
export const openSealedStore = (url: string, access: S3Access = {}): Promise<SealedStore> =>
  openS3Store(url, {
    ...access,
    clock: systemClock,
    random: systemRandom,
    spool: createMemoryStore({ clock: systemClock }),
  })
