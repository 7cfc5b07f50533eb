import { certificateKey } from '../../audit/layout.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { AuditPosition } from '../../format/manifest.ts'
import { openFsStore } from '../../storage/fs-store.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { probeFs } from '../../storage/probe-fs.ts'
import { isS3Url } from '../../storage/s3/s3-url.ts'
import { systemClock } from '../../storage/system-clock.ts'
import { systemRandom } from '../../storage/system-random.ts'
import { DEFAULT_KEY, type KeyStore, LOG_KEY } from '../../trust/key-store.ts'
import { certifyLogKey } from '../../trust/log-key.ts'
import { checkRequest } from '../api/check-call.ts'
import { collectionNames } from '../collection/lifecycle.ts'
import { type Environment, isoTime } from '../states/environment.ts'
import { ManifestStore } from '../states/manifest-store.ts'
import { ensureReserve } from '../states/reserve.ts'
import {
  readPlace,
  readStoreFile,
  STORE_FILE,
  type StoreFile,
  writePlace,
} from '../states/store-file.ts'
import { bucketIdentity } from './bucket-identity.ts'
import { sealedError } from './bucket-state.ts'
import { openEnvironment } from './open-environment.ts'
import { openKeys } from './state-keys.ts'
import { bucketStateFolder, folderOf, inodeOf, stateFolderOf } from './store-place.ts'
import type { StoreRequest } from './store-request.ts'

/** A store to make. */
export interface InitRequest extends StoreRequest {
  /** Make the key `log` only. */
  readonly noKey?: boolean
  /** Passphrase of the key `default`; absent: none. */
  readonly passphrase?: string
}

/** The store, whether it was made now, and its own keys by fingerprint. */
export interface InitResult {
  /** Its folder, or its address in a bucket. */
  readonly store: string
  readonly id: string
  /** Its state folder. */
  readonly state: string
  readonly created: boolean
  readonly keys: readonly { readonly name: string; readonly keyId: string }[]
}

/**
 * Makes a store with its state folder and keys. One that is there is left alone, but for keys that
 * are missing, so that an interrupted init is finished by the next.
 *
 * @throws AUTH where the place cannot be written; USAGE where a folder lacks hard links or folder
 *   fsync, or a bucket what probeWorkingBucket tries
 */
export async function initStore(options: InitRequest): Promise<InitResult> {
  checkRequest('initStore', options)
  const made = isS3Url(options.url) ? await makeInBucket(options) : await makeInFolder(options)
  const { file, stateFolder } = made
  const keys = openKeys(stateFolder)
  const created = await ensureKeys(keys, options)
  await ensureState(stateFolder, file, made.identity)
  const logId = (await keys.publicKey(LOG_KEY)).keyId
  if (created) await firstEntry(options, keys, logId)
  const names = (await keys.list()).filter((key) => key.hasPrivate)
  return {
    store: made.store,
    id: file.id,
    state: stateFolder,
    created: made.created,
    keys: names.map(({ name, keyId }) => ({ name, keyId })),
  }
}

/** A store that is there now. */
interface MadeStore {
  readonly store: string
  readonly file: StoreFile
  readonly stateFolder: string
  /** See StorePlace. */
  readonly identity: string
  readonly created: boolean
}

async function makeInFolder(options: InitRequest): Promise<MadeStore> {
  const folder = folderOf(options.url)
  const store = openFsStore(folder, { mode: 'write' })
  const present = await store.head(STORE_FILE)
  if (present === undefined) await probe(folder)
  const file = present === undefined ? await createStoreFile(store) : await readStoreFile(store)
  const stateFolder = stateFolderOf(options.url, options.state)
  const identity = inodeOf(folder)
  return { store: folder, file, stateFolder, identity, created: present === undefined }
}

/** One that another machine made is left alone: this machine becomes one more that works on it. */
async function makeInBucket(options: InitRequest): Promise<MadeStore> {
  // Loaded when a bucket is named: every other command would wait for it.
  const { openSealedStore } = await import('../../storage/s3/open-sealed-store.ts')
  const { probeWorkingBucket } = await import('./init-bucket.ts')
  const target = await openSealedStore(options.url, options.s3)
  try {
    const present = await target.head(STORE_FILE)
    if (present === undefined) await probeWorkingBucket(target)
    const file = present === undefined ? await createStoreFile(target) : await readStoreFile(target)
    if (file.kind === 'sealed') throw sealedError(target)
    const stateFolder = bucketStateFolder(file, options)
    const identity = await bucketIdentity(target)
    return { store: target.url, file, stateFolder, identity, created: present === undefined }
  } finally {
    await target.close()
  }
}

async function probe(folder: string): Promise<void> {
  const found = await probeFs(folder)
  if (found.writable && found.hardLinks && found.folderSync) return
  throw new AkidbError(
    found.writable ? 'USAGE' : 'AUTH',
    `cannot keep a store in ${folder}: ${found.message}`,
    {
      hint: 'Choose a folder on a local disk that you can write to (ext4, xfs, btrfs, zfs).',
    },
  )
}

async function createStoreFile(store: ObjectStore): Promise<StoreFile> {
  const file: StoreFile = {
    format: 'akidb-store/1',
    id: Buffer.from(systemRandom(16)).toString('hex'),
    kind: 'working',
    createdAt: isoTime(systemClock.nowMs()),
  }
  const put = await store.put(STORE_FILE, Buffer.from(`${JSON.stringify(file)}\n`))
  return put === 'created' ? file : await readStoreFile(store)
}

/** @returns whether one was made: then the log begins, or has somebody who vouches for it */
async function ensureKeys(keys: KeyStore, options: InitRequest): Promise<boolean> {
  const present = new Set((await keys.list()).map((key) => key.name))
  if (!present.has(LOG_KEY)) await keys.generate(LOG_KEY)
  const wanted = options.noKey !== true && !present.has(DEFAULT_KEY)
  if (wanted) {
    const { passphrase } = options
    await keys.generate(DEFAULT_KEY, passphrase === undefined ? {} : { passphrase })
  }
  return wanted || !present.has(LOG_KEY)
}

async function ensureState(stateFolder: string, file: StoreFile, inode: string): Promise<void> {
  const state = openFsStore(stateFolder, { mode: 'write' })
  if ((await readPlace(state)) === undefined) await writePlace(state, { storeId: file.id, inode })
  await ensureReserve(state)
}

/** The log begins with the store, and `default` vouches for the log's key. */
async function firstEntry(options: InitRequest, keys: KeyStore, logId: string): Promise<void> {
  const environment = await openEnvironment({ ...options, mode: 'write' })
  try {
    const audit = await environment.audit()
    if (options.noKey !== true) await certify(environment.store, keys, options.passphrase)
    const former = await formerLogs(environment, logId)
    const store = environment.file.id
    if (audit.size === 0) {
      await audit.append([
        {
          // A store whose state folder was lost goes on with a new log, which says what it follows.
          act: former.length === 0 ? 'init' : 'continues',
          phase: 'event',
          actor: environment.actor,
          ...(options.reason === undefined ? {} : { reason: options.reason }),
          details: { store, logId, ...(former.length === 0 ? {} : { former }) },
        },
      ])
    }
    await audit.checkpoint()
  } finally {
    await environment.close()
  }
}

/** Where the heads of the collections stand in logs other than this one. */
async function formerLogs(
  environment: Pick<Environment, 'store'>,
  logId: string,
): Promise<AuditPosition[]> {
  const former = new Map<string, AuditPosition>()
  for (const name of await collectionNames(environment)) {
    const audit = (await new ManifestStore(environment.store, name).newest())?.commit.audit
    if (audit === undefined || audit.logId === logId) continue
    const known = former.get(audit.logId)
    if (known === undefined || known.size < audit.size) former.set(audit.logId, audit)
  }
  return [...former.values()]
}

/** Writes `audit/<log id>/key.dsse`: who trusts `default` trusts this log's checkpoints. */
export async function certify(
  store: ObjectStore,
  keys: KeyStore,
  passphrase: string | undefined,
): Promise<void> {
  const logKey = await keys.publicKey(LOG_KEY)
  const signer = await keys.load(DEFAULT_KEY, passphrase === undefined ? {} : { passphrase })
  await store.put(certificateKey(logKey.keyId), certifyLogKey(logKey, [signer]))
}
