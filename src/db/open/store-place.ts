import { realpathSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { AkidbError } from '../../errors/errors.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { isS3Url } from '../../storage/s3/s3-url.ts'
import type { OpenOptions } from '../api/api.ts'
import type { Ledger } from '../sealed/ledger.ts'
import { STORE_FILE, type StoreFile } from '../states/store-file.ts'

/** Folder of a local store's state. */
export const STATE_FOLDER = 'local'

/** Where a store lies, and what beside it may be written. */
export interface StorePlace {
  readonly store: ObjectStore
  readonly file: StoreFile
  readonly stateFolder: string
  /** See Environment. */
  readonly isShared: boolean
  /** What tells this store from a copy of it; its state folder remembers it. */
  identity(): Promise<string>
  /** Where who reads keeps his pins; undefined where he needs none, or can write nowhere. */
  pins(): ObjectStore | undefined
  /** Of a sealed store: what was sealed, until when. */
  readonly ledger?: Ledger
  /** Where audit entries go; undefined: into the state folder. */
  log(): ObjectStore | undefined
}

/** @throws USAGE for an address that is no folder */
export const folderOf = (url: string): string => {
  if (typeof url !== 'string' || url === '') {
    throw new AkidbError('USAGE', `a store's url is the path of a folder or s3://bucket/prefix`)
  }
  if (/^s3:/i.test(url) && !isS3Url(url)) {
    throw new AkidbError('USAGE', `"${url.slice(0, 200)}" is no address of a bucket`, {
      hint: 'Write s3://bucket/prefix; a folder of such a name as ./s3:…',
    })
  }
  if (/^[a-z][a-z0-9+]+:\/\//i.test(url)) {
    throw new AkidbError('USAGE', `${url} is no folder`, {
      hint: 'This needs a store in a local folder.',
    })
  }
  return resolve(url)
}

/** One name for one place, whatever links lead there. */
export function placeOf(url: string): string {
  if (isS3Url(url)) return url
  const folder = folderOf(url)
  try {
    return realpathSync(folder)
  } catch {
    return folder
  }
}

export const stateFolderOf = (url: string, state?: string): string =>
  state === undefined ? join(folderOf(url), STATE_FOLDER) : resolve(state)

/** Where keys and cache of a store in a bucket lie on this machine. */
export const bucketStateFolder = (
  file: StoreFile,
  { state, stateHome }: Pick<OpenOptions, 'state' | 'stateHome'>,
): string => resolve(state ?? join(stateFoldersAt(stateHome), file.id))

/** Where the state folders of stores in buckets lie, by the ids of their stores. */
export const stateFoldersAt = (stateHome: string | undefined): string =>
  join(stateHome ?? join(homedir(), '.local/state'), 'akidb')

/**
 * Inode of `akidb.json`: what tells a store that was copied or restored from one that was only
 * mounted elsewhere.
 */
export const inodeOf = (folder: string): string =>
  String(statSync(join(folder, STORE_FILE), { bigint: true }).ino)
