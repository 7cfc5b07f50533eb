import { LOG_KEY } from '../../trust/key-store.ts'
import { openKeys } from './state-keys.ts'

/** Folder of the disk cache in the state folder. */
export const CACHE_FOLDER = 'cache'

/** Where the folder cannot be written, what is read is read without a log. */
export async function makeLogKey(stateFolder: string): Promise<void> {
  const keys = openKeys(stateFolder)
  const own = await keys.list()
  if (own.some(({ name }) => name === LOG_KEY)) return
  await keys.generate(LOG_KEY).catch(() => undefined)
}
