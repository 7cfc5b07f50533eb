import { open } from 'node:fs/promises'
import { AkidbError } from '../errors/errors.ts'

/**
 * The bytes of a file or pipe with a secret in it, and one more where it has more than `bytesMax`.
 *
 * @param what what it is called in messages
 * @throws AUTH where others can read it, or we cannot; NOT_FOUND; USAGE for a folder
 */
export async function readSecretFile(
  path: string,
  what: string,
  bytesMax: number,
): Promise<Buffer> {
  const file = await openSecret(path, what)
  try {
    const status = await file.stat()
    if (status.isDirectory()) throw new AkidbError('USAGE', `the ${what} "${path}" is a folder`)
    if ((status.mode & 0o077) !== 0 && status.isFile()) {
      throw new AkidbError('AUTH', `others can read the ${what} "${path}"`, {
        hint: `chmod 600 ${path}`,
        details: { file: path, mode: (status.mode & 0o777).toString(8) },
      })
    }
    const buffer = Buffer.alloc(bytesMax + 1)
    let bytes = 0
    // A pipe gives what has come, not all that comes; a terminal gives a line.
    for (;;) {
      const { bytesRead } = await file.read(buffer, bytes, buffer.length - bytes)
      bytes += bytesRead
      if (bytesRead === 0 || status.isCharacterDevice()) return buffer.subarray(0, bytes)
    }
  } finally {
    await file.close()
  }
}

const openSecret = async (path: string, what: string) => {
  try {
    return await open(path, 'r')
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === 'ENOENT'
    const message = `cannot read the ${what} "${path}"`
    throw new AkidbError(absent ? 'NOT_FOUND' : 'AUTH', message, { cause: error })
  }
}
