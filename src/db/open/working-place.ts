import { join, resolve } from 'node:path'
import { createSharedLogs } from '../../audit/shared-logs.ts'
import { hasCode } from '../../errors/errors.ts'
import { boundedOf } from '../../storage/bounded-get.ts'
import { createCachedStore } from '../../storage/cache/cached-store.ts'
import { openFsStore } from '../../storage/fs-store.ts'
import type { ObjectStore, SealedStore } from '../../storage/object-store.ts'
import { LOG_KEY } from '../../trust/key-store.ts'
import type { OpenOptions } from '../api/api.ts'
import type { StoreFile } from '../states/store-file.ts'
import { bucketIdentity } from './bucket-identity.ts'
import { CACHE_FOLDER, makeLogKey } from './bucket-state.ts'
import { openKeys } from './state-keys.ts'
import { bucketStateFolder, type StorePlace } from './store-place.ts'

/** Folder of the state folder in which blobs lie until they are in the bucket. */
const SPOOL_FOLDER = 'spool'

export const spoolOf = (stateFolder: string): ObjectStore =>
  openFsStore(join(stateFolder, SPOOL_FOLDER), { mode: 'write' })

interface WorkingBucket {
  readonly file: StoreFile
  readonly options: OpenOptions
  /** Settles when it is known that nothing sealed lies there. */
  readonly sealed: Promise<void>
}

/**
 * A working store in a bucket that machines share. This machine's part of it, keys, locks, cache,
 * its own audit log, lies in the state folder, `<state home>/akidb/<store id>`.
 */
export async function workingPlace(
  target: SealedStore,
  { file, options, sealed }: WorkingBucket,
): Promise<StorePlace> {
  const stateFolder = bucketStateFolder(file, options)
  // Who changes it is told by init that this machine is one more.
  if (options.mode === 'read') await makeLogKey(stateFolder)
  const logId = await ownLogId(stateFolder)
  const cached = createCachedStore({
    inner: after(sealed, target),
    folder: resolve(stateFolder, CACHE_FOLDER),
    ...(options.cacheBytes === undefined ? {} : { bytesMax: options.cacheBytes }),
    ...(options.onWarning === undefined ? {} : { warn: options.onWarning }),
  })
  const store = createSharedLogs({
    inner: cached,
    state: openFsStore(stateFolder, { mode: 'write' }),
    // Who only reads trusts keys all the same.
    publishes: options.mode === 'write' && (options.keysOnly === true ? 'if allowed' : true),
    ...(logId === undefined ? {} : { logId }),
  })
  return {
    store,
    file,
    stateFolder,
    isShared: true,
    identity: () => bucketIdentity(target),
    pins: () => store,
    log: () => store,
  }
}

async function ownLogId(stateFolder: string): Promise<string | undefined> {
  try {
    return (await openKeys(stateFolder).publicKey(LOG_KEY)).keyId
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return undefined
    throw error
  }
}

/** A store that gives nothing of a blob before `ready`, and does not end well without it. */
const after = (ready: Promise<void>, target: SealedStore): ObjectStore => ({
  url: target.url,
  capabilities: target.capabilities,
  get: async (key, range) => {
    if (key.startsWith('blobs/')) await ready
    return await target.get(key, range)
  },
  ...boundedOf(target),
  read: async function* (key, options) {
    await ready
    yield* target.read(key, options)
  },
  put: (key, body, options) => target.put(key, body, options),
  stage: (options) => target.stage(options),
  head: (key) => target.head(key),
  list: (prefix, options) => target.list(prefix, options),
  delete: (key, options) => target.delete(key, options),
  append: (key, bytes, at) => target.append(key, bytes, at),
  truncate: (key, bytes) => target.truncate(key, bytes),
  nowMs: () => target.nowMs(),
  localPath: () => undefined,
  sweepTemporary: () => target.sweepTemporary(),
  close: async () => {
    try {
      await ready
    } finally {
      await target.close()
    }
  },
})
