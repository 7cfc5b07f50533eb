import { accessSync, constants } from 'node:fs'
import { openFsStore } from '../../storage/fs-store.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { isS3Url } from '../../storage/s3/s3-url.ts'
import type { OpenOptions } from '../api/api.ts'
import { readStoreFile } from '../states/store-file.ts'
import { folderOf, inodeOf, type StorePlace, stateFolderOf } from './store-place.ts'

/**
 * Finds a store by its address.
 *
 * @throws NOT_FOUND, FORMAT_VERSION, INTEGRITY (store file); of buckets also UNTRUSTED, UNREACHABLE
 */
export async function openPlace(options: OpenOptions): Promise<StorePlace> {
  if (isS3Url(options.url))
    return await (await import('./bucket-place.ts')).openBucketPlace(options)
  const { mode } = options
  const folder = folderOf(options.url)
  const store = openFsStore(folder, { mode })
  const beside = () => (mode === 'write' ? store : writableStore(folder))
  return {
    store,
    file: await readStoreFile(store),
    stateFolder: stateFolderOf(options.url, options.state),
    isShared: false,
    identity: async () => inodeOf(folder),
    pins: beside,
    log: beside,
  }
}

/** A reader's way to write its pins and audit entries beside a store, where it may. */
const writableStore = (folder: string): ObjectStore | undefined =>
  isWritable(folder) ? openFsStore(folder, { mode: 'write' }) : undefined

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK)
    return true
  } catch {
    return false
  }
}
