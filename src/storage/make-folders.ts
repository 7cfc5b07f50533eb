import { mkdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { AkidbError } from '../errors/errors.ts'
import { fromFsError, fsCode } from './fs-errors.ts'

/** Others may remove an empty folder just when we put another into it, or look what it is. */
const TRIES_MAX = 8

/**
 * Makes a folder and all that are missing above it; one that is there is left as it is. Not made
 * durable: see makeFolder.
 *
 * Node's own recursive mkdir asks for ever where the system answers that a folder does not exist
 * whose parent does: so does /proc. This one ends.
 *
 * @param mode permission bits of new folders
 * @returns the first of them that was made; undefined: all were there
 * @throws AUTH, NOT_FOUND, NO_SPACE, LIMIT; the system's EEXIST where a file stands in its place
 */
export async function makeFolders(folder: string, mode = 0o777): Promise<string | undefined> {
  const path = resolve(folder)
  let above: string | undefined
  for (let tries = 1; ; tries++) {
    try {
      await mkdir(path, { mode })
      return above ?? path
    } catch (error) {
      const code = fsCode(error)
      if (code !== 'ENOENT' || dirname(path) === path) {
        if (await isFolder(path)) return above
        // It was there, so it may have been taken away since.
        if (code === 'EEXIST' && tries < TRIES_MAX) continue
        throw fromFsError(error, 'cannot make the folder', path)
      }
      if (tries === TRIES_MAX) throw noFolders(path, error)
    }
    above ??= await makeFolders(dirname(path), mode)
  }
}

const isFolder = async (path: string): Promise<boolean> => {
  const found = await stat(path).catch(() => undefined)
  return found?.isDirectory() === true
}

const noFolders = (path: string, cause: unknown): AkidbError =>
  new AkidbError('AUTH', `cannot make the folder ${path}: ${dirname(path)} takes no folders`, {
    hint: 'Name a folder on a disk; /proc and the like keep none.',
    details: { path },
    cause,
  })
