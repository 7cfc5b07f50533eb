import { resolve } from 'node:path'
import { AkidbError } from '../../errors/errors.ts'
import { createCachedStore } from '../../storage/cache/cached-store.ts'
import type { ObjectStore, SealedStore } from '../../storage/object-store.ts'
import { openSealedStore } from '../../storage/s3/open-sealed-store.ts'
import { type ChosenVersion, createVersionView } from '../../storage/version-view.ts'
import { LOG_KEY } from '../../trust/key-store.ts'
import type { OpenOptions } from '../api/api.ts'
import { type Ledger, readLedger } from '../sealed/ledger.ts'
import { STORE_FILE } from '../states/store-file.ts'
import { openKeys } from './state-keys.ts'
import { bucketStateFolder, type StorePlace } from './store-place.ts'

/** Folder of the disk cache in the state folder. */
const CACHE_FOLDER = 'cache'

/**
 * A sealed store in a bucket, to be read where it lies: the versions that a trusted log vouches
 * for, and nothing else that lies there. Blobs are kept in a disk cache in the state folder,
 * `<state home>/akidb/<store id>`, which is made with a log key of its own, so that searches are
 * logged. Nothing is written to the bucket.
 *
 * @throws AUTH for changes; NOT_FOUND, UNTRUSTED, UNREACHABLE
 */
export async function openBucketPlace(options: OpenOptions): Promise<StorePlace> {
  const target = await openSealedStore(options.url, options.s3)
  try {
    return await placeOf(target, options)
  } catch (error) {
    await target.close()
    throw error
  }
}

async function placeOf(target: SealedStore, options: OpenOptions): Promise<StorePlace> {
  const keysOnly = options.keysOnly === true
  if (options.mode === 'write' && !keysOnly) throw sealed(target)
  const ledger = await readLedger(target, (file) =>
    openKeys(bucketStateFolder(file, options)).trusted(),
  )
  if (ledger.seals.length === 0 && !keysOnly) throw untrusted(target)
  const { file } = ledger
  const stateFolder = bucketStateFolder(file, options)
  await makeLogKey(stateFolder)
  const store: ObjectStore = createCachedStore({
    inner: createVersionView(target, chosenVersions(ledger)),
    folder: resolve(stateFolder, CACHE_FOLDER),
    ...(options.cacheBytes === undefined ? {} : { bytesMax: options.cacheBytes }),
  })
  return { store, file, stateFolder, pins: () => undefined, log: () => undefined }
}

/** Where the folder cannot be written, what is read is read without a log. */
async function makeLogKey(stateFolder: string): Promise<void> {
  const keys = openKeys(stateFolder)
  const own = await keys.list()
  if (own.some(({ name }) => name === LOG_KEY)) return
  await keys.generate(LOG_KEY).catch(() => undefined)
}

/** Everything that was sealed, under the keys that a store of one's own would have. */
function chosenVersions({ expected, small }: Ledger): ReadonlyMap<string, ChosenVersion> {
  const chosen = new Map<string, ChosenVersion>()
  const [file] = small.get(STORE_FILE)?.versions ?? []
  if (file !== undefined) chosen.set(STORE_FILE, file)
  for (const { object } of expected.values()) {
    const { key, versionId, bytes } = object
    chosen.set(key.replace(/^blobs\/[^/]+\//, 'blobs/0/'), { key, versionId, bytes })
  }
  return chosen
}

const sealed = (target: SealedStore): AkidbError =>
  new AkidbError('AUTH', `${target.url} is sealed: only push and worm write there`, {
    hint: 'Pull it into a store of your own to change it.',
  })

const untrusted = (target: SealedStore): AkidbError =>
  new AkidbError('UNTRUSTED', `no trusted key vouches for what lies in ${target.url}`, {
    hint: `akidb --store ${target.url} keys trust <public key of the site that sealed it>`,
  })
