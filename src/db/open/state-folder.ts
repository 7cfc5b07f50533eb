import { resolve } from 'node:path'
import { hasCode } from '../../errors/errors.ts'
import { isS3Url } from '../../storage/s3/s3-url.ts'
import { targetFile } from '../sealed/target.ts'
import { readStoreFile } from '../states/store-file.ts'
import { bucketStateFolder, stateFolderOf } from './store-place.ts'
import type { StoreRequest } from './store-request.ts'

/** A store that is asked for nothing but the keys that are trusted for it. */
export type KeysOf = Pick<StoreRequest, 'url' | 'state' | 'stateHome' | 's3'>

/** What is only good for more keys is not waited for long. */
const RETRY_MS_MAX = 5_000

/**
 * The state folder of a store. Of one in a bucket it goes by the store's id, which is read there,
 * unless the folder is named.
 *
 * @throws NOT_FOUND where no store is; USAGE, AUTH, UNREACHABLE
 */
export async function stateFolderFor({ url, state, stateHome, s3 = {} }: KeysOf): Promise<string> {
  if (!isS3Url(url)) return stateFolderOf(url, state)
  if (state !== undefined) return resolve(state)
  const { openSealedStore } = await import('../../storage/s3/open-sealed-store.ts')
  const retryForMs = Math.min(s3.retryForMs ?? RETRY_MS_MAX, RETRY_MS_MAX)
  const target = await openSealedStore(url, { ...s3, retryForMs })
  try {
    const sealed = await targetFile(target).catch((error: unknown) => {
      if (hasCode(error, 'CONFLICT')) return undefined
      throw error
    })
    const file = sealed ?? (await readStoreFile(target))
    return bucketStateFolder(file, stateHome === undefined ? {} : { stateHome })
  } finally {
    await target.close()
  }
}
