import { createMemoryStore } from '../memory-store.ts'
import type { ObjectStore, SealedStore } from '../object-store.ts'
import { systemClock } from '../system-clock.ts'
import { systemRandom } from '../system-random.ts'
import type { S3Access } from './s3-access.ts'
import { openS3Store } from './s3-store.ts'

/**
 * A bucket by the clock and chance of this machine.
 *
 * @param spool holds bodies while they are staged; by default memory, since all that is sealed lies
 *   in a store already, or is small
 * @throws USAGE for addresses that are none
 */
export const openSealedStore = (
  url: string,
  access: S3Access = {},
  spool: () => ObjectStore = inMemory,
): Promise<SealedStore> =>
  openS3Store(url, { ...access, clock: systemClock, random: systemRandom, spool })

const inMemory = (): ObjectStore => createMemoryStore({ clock: systemClock })
