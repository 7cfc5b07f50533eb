import { constants } from 'node:fs'
import { lstat, mkdir, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AkidbError } from '../errors/errors.ts'
import { fromFsError, fsCode } from './fs-errors.ts'
import { makeFolders } from './make-folders.ts'

/**
 * Makes the entries of a folder durable: names created, renamed or removed in it.
 * @throws AUTH where the file system cannot do that
 */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } catch (error) {
    if (fsCode(error) !== 'EINVAL') throw error
    throw new AkidbError('AUTH', `cannot make ${path} durable: this file system cannot`, {
      hint: 'Keep the store on ext4, xfs, btrfs or zfs; "akidb doctor" tells what is missing.',
      cause: error,
    })
  } finally {
    await handle.close()
  }
}

/**
 * Makes a folder and all that are missing above it, each durable in its parent.
 * @param mode permission bits of new folders
 */
export async function makeFolder(folder: string, mode: number): Promise<void> {
  const first = await makeFolders(folder, mode)
  if (!(await stat(folder)).isDirectory()) throw linkError(folder)
  const top = first ?? folder
  for (let path = folder; path.length >= top.length; path = dirname(path)) {
    if (dirname(path) === path) break
    await syncParent(path)
  }
}

/**
 * The folders under one root that are known to be real (no symbolic links) and durable.
 * Each is looked at once in the life of a store, so this costs nothing later.
 */
export class FolderTree {
  readonly root: string
  /** Whether a file that is still being written is brought to the disk at this moment. */
  isSyncing = false
  readonly #durable = new Set<string>()
  readonly #real = new Set<string>()

  constructor(root: string) {
    this.root = root
  }

  /**
   * Makes a folder and those above it, each durable in its parent. A folder that another process
   * has just made is synced too: that process may not have come so far, and what we put inside must
   * not vanish with it.
   */
  async ensure(path: string): Promise<void> {
    if (this.#durable.has(path)) return
    if (path === this.root) return this.#ensureRoot()
    await this.ensure(dirname(path))
    await mkdirIfAbsent(path)
    await this.#assertReal(path)
    await syncFolder(dirname(path))
    this.#durable.add(path)
  }

  /** Forgets what was known: somebody removed folders. */
  forget(): void {
    this.#durable.clear()
    this.#real.clear()
  }

  /**
   * Refuses a path that leads through a symbolic link inside the root. Missing folders are no error
   * here.
   * @throws INTEGRITY
   */
  async assertRealPath(path: string): Promise<void> {
    if (path === this.root || this.#real.has(path)) return
    await this.assertRealPath(dirname(path))
    await this.#assertReal(path)
  }

  async #assertReal(path: string): Promise<void> {
    try {
      const info = await lstat(path)
      if (info.isSymbolicLink()) throw linkError(path)
      if (info.isDirectory()) this.#real.add(path)
    } catch (error) {
      if (fsCode(error) !== 'ENOENT' && fsCode(error) !== 'ENOTDIR') throw error
    }
  }

  /**
   * The root may be reached through links; the folders above it that we make are made durable as
   * well.
   */
  async #ensureRoot(): Promise<void> {
    await makeFolder(this.root, 0o777)
    this.#durable.add(this.root)
  }
}

/** A parent above the store may be closed to us; then its durability is not ours to give. */
async function syncParent(path: string): Promise<void> {
  try {
    await syncFolder(dirname(path))
  } catch (error) {
    if (fsCode(error) !== 'EACCES' && fsCode(error) !== 'EPERM') throw error
  }
}

async function mkdirIfAbsent(path: string): Promise<void> {
  try {
    await mkdir(path)
  } catch (error) {
    if (fsCode(error) !== 'EEXIST') throw fromFsError(error, 'cannot make the folder', path)
  }
}

const linkError = (path: string): AkidbError =>
  new AkidbError('INTEGRITY', `${path} is a symbolic link or no folder`, {
    hint: 'Links inside a store are not followed; move the whole store instead.',
  })
