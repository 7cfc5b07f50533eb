import { resolve } from 'node:path'
import { AkidbError } from '../../errors/errors.ts'
import { blobKey } from '../../format/blob.ts'
import { createCachedStore } from '../../storage/cache/cached-store.ts'
import { blobSubject } from '../../storage/envelope/envelope-head.ts'
import { createEnvelopeView, type EnvelopedBlob } from '../../storage/envelope/envelope-view.ts'
import { lazyKeyServer } from '../../storage/envelope/lazy-key-server.ts'
import type { ObjectStore, SealedStore } from '../../storage/object-store.ts'
import { type ChosenVersion, createVersionView } from '../../storage/version-view.ts'
import type { OpenOptions } from '../api/api.ts'
import type { Ledger } from '../sealed/ledger.ts'
import { unreadFailure } from '../sealed/target.ts'
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
  if (ledger.seals.length === 0 && options.keysOnly !== true) {
    throw unreadFailure(ledger.unread) ?? untrusted(target)
  }
  const { file } = ledger
  const stateFolder = bucketStateFolder(file, options)
  await makeLogKey(stateFolder)
  const { chosen, enveloped } = chosenVersions(ledger)
  const cached: ObjectStore = createCachedStore({
    inner: createVersionView(target, chosen),
    folder: resolve(stateFolder, CACHE_FOLDER),
    ...(options.cacheBytes === undefined ? {} : { bytesMax: options.cacheBytes }),
    ...(options.onWarning === undefined ? {} : { warn: options.onWarning }),
  })
  // Above the cache: on disk there is nothing but ciphertext.
  const store =
    enveloped.size === 0
      ? cached
      : createEnvelopeView(cached, enveloped, lazyKeyServer(options.kes))
  return {
    store,
    file,
    stateFolder,
    ledger,
    isShared: false,
    identity: async () => target.url,
    pins: () => undefined,
    log: () => undefined,
  }
}

interface Chosen {
  readonly chosen: ReadonlyMap<string, ChosenVersion>
  readonly enveloped: ReadonlyMap<string, EnvelopedBlob>
}

/**
 * Everything that was sealed, under the keys that a store of one's own would have. An envelope has
 * the key of a blob of its own digest: of one blob there may be several, and one that is none.
 */
function chosenVersions({ expected, small, file: { id } }: Ledger): Chosen {
  const enveloped = new Map<string, EnvelopedBlob>()
  const chosen = new Map<string, ChosenVersion>()
  const [file] = small.get(STORE_FILE)?.versions ?? []
  if (file !== undefined) chosen.set(STORE_FILE, file)
  for (const { object } of expected.values()) {
    const { key, versionId, bytes, sha256, envelope } = object
    if (envelope === undefined) {
      chosen.set(inOneDomain(key), { key, versionId, bytes })
      continue
    }
    const below = blobKey(sha256)
    const subject = blobSubject(id, key.slice(key.lastIndexOf('/') + 1))
    chosen.set(below, { key, versionId, bytes })
    const blob = { below, sealedBytes: bytes, bytes: envelope.bytes, subject }
    enveloped.set(inOneDomain(key), blob)
  }
  for (const key of enveloped.keys()) if (chosen.has(key)) enveloped.delete(key)
  return { chosen, enveloped }
}

const inOneDomain = (key: string): string => key.replace(/^blobs\/[^/]+\//, 'blobs/0/')

const untrusted = (target: SealedStore): AkidbError =>
  new AkidbError('UNTRUSTED', `no trusted key vouches for what lies in ${target.url}`, {
    hint: `akidb --store ${target.url} keys trust <public key of the site that sealed it>`,
  })
