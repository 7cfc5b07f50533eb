import { resolve } from 'node:path'
import { AkidbError } from '../../errors/errors.ts'
import { createCachedStore } from '../../storage/cache/cached-store.ts'
import type { ObjectStore, SealedStore } from '../../storage/object-store.ts'
import { type ChosenVersion, createVersionView } from '../../storage/version-view.ts'
import type { OpenOptions } from '../api/api.ts'
import type { Ledger } from '../sealed/ledger.ts'
import { STORE_FILE } from '../states/store-file.ts'
import { CACHE_FOLDER, makeLogKey } from './bucket-state.ts'
import { bucketStateFolder, type StorePlace } from './store-place.ts'

/**
 * A sealed store in a bucket, to be read where it lies: the versions that a trusted log vouches
 * for, and nothing else that lies there. Blobs are kept in a disk cache in the state folder,
 * `<state home>/akidb/<store id>`, which is made with a log key of its own, so that searches are
 * logged. Nothing is written to the bucket.
 *
 * @throws UNTRUSTED
 */
export async function sealedPlace(
  target: SealedStore,
  ledger: Ledger,
  options: OpenOptions,
): Promise<StorePlace> {
  if (ledger.seals.length === 0 && options.keysOnly !== true) throw untrusted(target)
  const { file } = ledger
  const stateFolder = bucketStateFolder(file, options)
  await makeLogKey(stateFolder)
  const store: ObjectStore = createCachedStore({
    inner: createVersionView(target, chosenVersions(ledger)),
    folder: resolve(stateFolder, CACHE_FOLDER),
    ...(options.cacheBytes === undefined ? {} : { bytesMax: options.cacheBytes }),
  })
  return {
    store,
    file,
    stateFolder,
    isShared: false,
    identity: async () => target.url,
    pins: () => undefined,
    log: () => undefined,
  }
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

const untrusted = (target: SealedStore): AkidbError =>
  new AkidbError('UNTRUSTED', `no trusted key vouches for what lies in ${target.url}`, {
    hint: `akidb --store ${target.url} keys trust <public key of the site that sealed it>`,
  })
