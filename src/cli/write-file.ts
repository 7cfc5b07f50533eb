import { randomBytes } from 'node:crypto'
import { link, open, rename, rm } from 'node:fs/promises'
import { AkidbError } from '../errors/errors.ts'

/** A file made under a temporary name; it gets its own name only when it is whole. */
export interface NewFile {
  write(chunk: string | Uint8Array): Promise<void>
  /**
   * Makes it durable and gives it its name. EXISTS where the name is taken and `force` is false.
   */
  finish(): Promise<void>
  /** Removes what was written, unless it was finished. */
  discard(): Promise<void>
}

/**
 * Opens an output file beside its final place. EXISTS at once where the name is taken, so that no
 * work is wasted; NOT_FOUND, AUTH and NO_SPACE for what the system says.
 */
export async function createFile(path: string, force: boolean): Promise<NewFile> {
  if (!force) await refuseExisting(path)
  const temporary = `${path}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`
  const file = await guarded(path, () => open(temporary, 'wx', 0o644))
  let finished = false
  return {
    async write(chunk) {
      await guarded(path, async () => {
        await file.appendFile(chunk)
      })
    },
    async finish() {
      await guarded(path, async () => {
        await file.sync()
        await file.close()
        if (force) {
          await rename(temporary, path)
        } else {
          await link(temporary, path)
          await rm(temporary)
        }
      })
      finished = true
    },
    async discard() {
      if (finished) return
      await file.close().catch(() => undefined)
      await rm(temporary, { force: true })
    },
  }
}

/** Writes a whole small file. */
export async function writeNewFile(
  path: string,
  bytes: string | Uint8Array,
  force: boolean,
): Promise<void> {
  const file = await createFile(path, force)
  try {
    await file.write(bytes)
    await file.finish()
  } finally {
    await file.discard()
  }
}

const refuseExisting = async (path: string): Promise<void> => {
  try {
    await (await open(path, 'r')).close()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw fileError(path, error)
  }
  throw existsError(path)
}

const existsError = (path: string): AkidbError =>
  new AkidbError('EXISTS', `the file "${path}" exists`, {
    hint: 'Say --force to replace it.',
    details: { file: path },
  })

const guarded = async <T>(path: string, act: () => Promise<T>): Promise<T> => {
  try {
    return await act()
  } catch (error) {
    throw fileError(path, error)
  }
}

const fileError = (path: string, error: unknown): unknown => {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'EEXIST') return existsError(path)
  const options = { cause: error, details: { file: path } }
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new AkidbError('NOT_FOUND', `there is no folder for "${path}"`, options)
  }
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new AkidbError('NO_SPACE', `cannot write "${path}": the disk is full`, options)
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'EISDIR') {
    const hint = 'Choose a file in a folder that you may write.'
    return new AkidbError('AUTH', `cannot write "${path}" (${code})`, { ...options, hint })
  }
  return error
}
