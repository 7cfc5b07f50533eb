import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { link, lstat, open, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AkidbError } from '../errors/errors.ts'
import { fsCode } from './fs-errors.ts'
import { type FolderTree, syncFolder } from './fs-folders.ts'
import { TEMPORARY_FOLDER } from './keys.ts'
import type { PutResult } from './object-store.ts'
import { temporaryName } from './process-identity.ts'

const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants

/** Longest piece of one write system call. */
const WRITE_BYTES_MAX = 4 * 1024 * 1024

export interface TemporaryFile {
  readonly path: string
  readonly handle: FileHandle
}

/** A new empty file under a temporary name, beside all objects on their file system. */
export async function openTemporary(tree: FolderTree): Promise<TemporaryFile> {
  const flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW
  return await inTemporary(tree, async (path) => ({ path, handle: await open(path, flags, 0o666) }))
}

/** Makes a file of a temporary name, in a folder that is there. */
export async function inTemporary<T>(
  tree: FolderTree,
  make: (path: string) => Promise<T>,
): Promise<T> {
  const folder = join(tree.root, TEMPORARY_FOLDER)
  return await withFolder(tree, folder, () => make(join(folder, temporaryName())))
}

/** Writes all of `bytes` from `position`, in pieces; short writes are continued. */
export async function writeFully(
  handle: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const length = Math.min(WRITE_BYTES_MAX, bytes.length - at)
    at += (await handle.write(bytes, at, length, position + at)).bytesWritten
  }
}

/**
 * Gives a written temporary file its name, never over another. The temporary name is left to the
 * caller.
 * @param durable whether the name outlives a power failure; then the file is to be synced already
 */
export async function linkInto(
  tree: FolderTree,
  path: string,
  key: string,
  durable = true,
): Promise<PutResult> {
  const target = join(tree.root, key)
  const folder = dirname(target)
  const result = await withFolder(tree, folder, () => linkIfAbsent(path, target))
  // After 'exists' as well: who linked it may not have synced the folder yet.
  if (durable) await syncFolder(folder)
  return result
}

/** Moves a written temporary file over what bears the name; `durable` as for linkInto. */
export async function renameInto(
  tree: FolderTree,
  path: string,
  key: string,
  durable = true,
): Promise<void> {
  const target = join(tree.root, key)
  const folder = dirname(target)
  await withFolder(tree, folder, () => rename(path, target))
  if (durable) await syncFolder(folder)
}

/** Removes a temporary name; it is no error where it is gone, and what stays is swept later. */
export async function discard(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch {
    // Nothing depends on it: `sweepTemporary` takes it when this process is gone.
  }
}

/** Somebody may remove an empty folder that we believed to be there: it is made again, once. */
async function withFolder<T>(
  tree: FolderTree,
  folder: string,
  operation: () => Promise<T>,
): Promise<T> {
  await tree.ensure(folder)
  try {
    return await operation()
  } catch (error) {
    if (fsCode(error) !== 'ENOENT') throw error
    tree.forget()
    await tree.ensure(folder)
    return operation()
  }
}

async function linkIfAbsent(path: string, target: string): Promise<PutResult> {
  try {
    await link(path, target)
    return 'created'
  } catch (error) {
    if (fsCode(error) === 'EEXIST') return assertFile(target)
    if (NO_LINKS.has(fsCode(error) ?? '')) throw noLinksError(target, error)
    throw error
  }
}

async function assertFile(target: string): Promise<PutResult> {
  if ((await lstat(target)).isFile()) return 'exists'
  throw new AkidbError('INTEGRITY', `${target} is a folder or link where a file belongs`, {
    hint: 'Run "akidb check".',
  })
}

/** What link(2) says on FAT, exFAT and some network mounts. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])

const noLinksError = (target: string, cause: unknown): AkidbError =>
  new AkidbError('AUTH', `cannot write ${target}: no hard links on this file system`, {
    hint: 'Keep the store on ext4, xfs, btrfs or zfs; "akidb doctor" tells what is missing.',
    cause,
  })
