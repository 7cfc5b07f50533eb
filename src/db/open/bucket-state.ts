import { AkidbError } from '../../errors/errors.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
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

/** The refusal of every change to what was sealed. */
export const sealedError = (target: Pick<ObjectStore, 'url'>): AkidbError =>
  new AkidbError('AUTH', `${target.url} is sealed: only push and worm write there`, {
    hint: 'Pull it into a store of your own to change it.',
  })
