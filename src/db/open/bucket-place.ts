import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { ObjectStore, SealedStore } from '../../storage/object-store.ts'
import { openSealedStore } from '../../storage/s3/open-sealed-store.ts'
import type { OpenOptions } from '../api/api.ts'
import { type Ledger, readLedger } from '../sealed/ledger.ts'
import { readStoreFile, STORE_FILE, type StoreFile } from '../states/store-file.ts'
import { sealedError } from './bucket-state.ts'
import { sealedPlace } from './sealed-place.ts'
import { openKeys } from './state-keys.ts'
import { bucketStateFolder, type StorePlace } from './store-place.ts'
import { spoolOf, workingPlace } from './working-place.ts'

/**
 * A store in a bucket: sealed collections, which are read where they lie, or a working store, which
 * is read and changed.
 *
 * @throws AUTH for changes of what is sealed; NOT_FOUND, UNTRUSTED, UNREACHABLE
 */
export async function openBucketPlace(options: OpenOptions): Promise<StorePlace> {
  let spool: ObjectStore | undefined
  const target = await openSealedStore(options.url, options.s3, () => {
    if (spool === undefined) throw new AkidbError('INTERNAL', 'nothing may be staged yet')
    return spool
  })
  try {
    const place = await placeOf(target, options)
    if (place.isShared) spool = spoolOf(place.stateFolder)
    return place
  } catch (error) {
    await target.close()
    throw error
  }
}

/**
 * Which kind it is says the store file, whose newest version whoever can write to the bucket may
 * have put there: what a trusted log has sealed is sealed, whatever that file says.
 */
async function placeOf(target: SealedStore, options: OpenOptions): Promise<StorePlace> {
  const file = readStoreFile(target).catch((error: unknown) => error as Error)
  const alone = isAlone(target)
  alone.catch(() => undefined)
  const ledger = readLedger(target, (known) =>
    openKeys(bucketStateFolder(known, options)).trusted(),
  )
  ledger.catch(() => undefined)
  const newest = await file
  const isHiding = isWorkingFile(newest) && !(await alone) && (await isSealed(ledger))
  const found = isHiding ? hidden(target) : newest
  const isWorking = isWorkingFile(found)
  const keysOnly = options.keysOnly === true
  if (!isWorking) {
    const isChange = options.mode === 'write' && !keysOnly
    if (isChange) throw found instanceof Error ? found : sealedError(target)
    return await sealedPlace(target, await ledgerOr(found, ledger), options)
  }
  const sealed = sealedUnder(target, ledger)
  sealed.catch(() => undefined)
  // A reader goes on meanwhile, and is stopped before he is given anything of a blob.
  if (options.mode === 'write') await sealed
  return await workingPlace(target, { file: found, options, sealed })
}

const isWorkingFile = (found: StoreFile | Error): found is StoreFile =>
  !(found instanceof Error) && found.kind === 'working'

/** Whether the store file has no other version under it, nor a marker. */
async function isAlone(target: SealedStore): Promise<boolean> {
  let count = 0
  for await (const { key } of target.versions(STORE_FILE)) {
    if (key !== STORE_FILE || ++count > 1) break
  }
  return count <= 1
}

/** Whether a version of the store file is that of a sealed store. @throws AUTH, UNREACHABLE */
async function isSealed(ledger: Promise<Ledger>): Promise<boolean> {
  try {
    return (await ledger).file.kind === 'sealed'
  } catch (error) {
    if (hasCode(error, 'CONFLICT')) return false
    throw error
  }
}

/** @throws NOT_FOUND that names what can be made there, where there is neither kind of store */
async function ledgerOr(file: unknown, ledger: Promise<Ledger>): Promise<Ledger> {
  try {
    return await ledger
  } catch (error) {
    const isNone = hasCode(file, 'NOT_FOUND') && hasCode(error, 'NOT_FOUND')
    throw isNone ? file : error
  }
}

/** Resolves where nothing there was sealed by anybody whom we trust. @throws AUTH, UNREACHABLE */
async function sealedUnder(target: SealedStore, ledger: Promise<Ledger>): Promise<void> {
  try {
    if ((await ledger).seals.length === 0) return
  } catch (error) {
    // As it should be: no version of the store file is that of a sealed store.
    if (hasCode(error, 'CONFLICT')) return
    throw error
  }
  throw hidden(target)
}

const hidden = (target: SealedStore): AkidbError =>
  new AkidbError('INTEGRITY', `${target.url} was sealed, and a newer store file hides that`, {
    hint: `akidb worm verify ${target.url} tells when. What was sealed can be read all the same.`,
  })
