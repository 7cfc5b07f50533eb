import { join } from 'node:path'
import { openPrivateFiles } from '../../storage/private-files.ts'
import { systemClock } from '../../storage/system-clock.ts'
import { systemRandom } from '../../storage/system-random.ts'
import { type KeyStore, openKeyStore } from '../../trust/key-store.ts'

/** The keys in a state folder. */
export const openKeys = (stateFolder: string): KeyStore =>
  openKeyStore(openPrivateFiles(join(stateFolder, 'keys')), {
    random: systemRandom,
    clock: systemClock,
  })
