import { randomBytes } from 'node:crypto'
import { type FileHandle, link, lstat, open, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { AkidbError } from '../errors/errors.ts'
import { DirectFile, readAhead, readDirect } from '../storage/direct-file.ts'
import { fromFsError, fsCode, withFsErrors } from '../storage/fs-errors.ts'

/** Bytes of a piece; two buffers of this size are held while a bundle is read. */
const PIECE_BYTES = 1024 * 1024

/**
 * A bundle's bytes from a file, a device or a pipe. The next piece is read while the last one is
 * used, into the other of two buffers: a piece is valid until the next one is asked for. A regular
 * file is read past the page cache where that is possible.
 *
 * @throws NOT_FOUND, AUTH, INTEGRITY (the medium cannot be read)
 */
export async function* readBundleFile(path: string): AsyncGenerator<Uint8Array> {
  const handle = await withFsErrors('cannot read', path, () => open(path, 'r'))
  try {
    const info = await handle.stat()
    yield* info.isFile() ? readDirect(handle, path) : readPieces(handle, null)
  } catch (error) {
    throw fromFsError(error, 'cannot read', path)
  } finally {
    await handle.close()
  }
}

/**
 * A file's bytes from `offset` on, through the page cache; pieces are valid as those of a bundle
 * are.
 */
export async function* readFileFrom(path: string, offset: number): AsyncGenerator<Uint8Array> {
  const handle = await withFsErrors('cannot read', path, () => open(path, 'r'))
  try {
    yield* readPieces(handle, offset)
  } catch (error) {
    throw fromFsError(error, 'cannot read', path)
  } finally {
    await handle.close()
  }
}

/** @param from null for what has no positions: it is read on from where it is */
function readPieces(handle: FileHandle, from: number | null): AsyncGenerator<Uint8Array> {
  const buffers = [Buffer.allocUnsafeSlow(PIECE_BYTES), Buffer.allocUnsafeSlow(PIECE_BYTES)]
  let position = from
  const read = async (turn: 0 | 1): Promise<Uint8Array> => {
    const buffer = buffers[turn] as Buffer
    const { bytesRead } = await handle.read(buffer, 0, PIECE_BYTES, position)
    if (position !== null) position += bytesRead
    return buffer.subarray(0, bytesRead)
  }
  return readAhead(read, async () => {})
}

/**
 * A bundle being written under a temporary name beside its own. Exactly one of `commit` and `abort`
 * ends it.
 */
export interface BundleFileWriter {
  /** Takes a copy of the bytes. */
  write(bytes: Uint8Array): Promise<void>
  /**
   * Makes it durable under its name. @throws EXISTS where the name is taken and `replace` was not
   * given
   */
  commit(): Promise<void>
  /** Removes what was written. */
  abort(): Promise<void>
}

/**
 * Opens a file for a bundle. Nothing stands under its name before `commit`.
 *
 * @throws EXISTS, NOT_FOUND (no such folder), AUTH, NO_SPACE
 */
export async function createBundleFile(
  path: string,
  options: { readonly replace?: boolean } = {},
): Promise<BundleFileWriter> {
  const target = resolve(path)
  if (options.replace !== true) await refuseExisting(target)
  const name = `.${basename(target).slice(0, 200)}.${randomBytes(8).toString('hex')}.partial`
  const temporary = join(dirname(target), name)
  const guard = <T>(operation: () => Promise<T>): Promise<T> =>
    withFsErrors('cannot write', target, operation)
  const file = await guard(() => DirectFile.create(temporary, 0o644))
  return {
    write: (bytes) => guard(() => file.write(bytes)),
    commit: () =>
      guard(async () => {
        await file.finish()
        await publish(temporary, target, options.replace === true)
        await syncFolder(dirname(target))
      }),
    abort: async () => {
      await file.close().catch(() => {})
      await unlink(temporary).catch(() => {})
    },
  }
}

async function publish(temporary: string, target: string, replace: boolean): Promise<void> {
  if (replace) return rename(temporary, target)
  try {
    await link(temporary, target)
    await unlink(temporary)
  } catch (error) {
    if (fsCode(error) === 'EEXIST') throw exists(target)
    if (!NO_LINKS.has(fsCode(error) ?? '')) throw error
    // FAT, which many sticks have, knows no links: the check and the rename are two steps there.
    await refuseExisting(target)
    await rename(temporary, target)
  }
}

const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])

async function refuseExisting(target: string): Promise<void> {
  try {
    await lstat(target)
  } catch (error) {
    if (fsCode(error) === 'ENOENT') return
    throw error
  }
  throw exists(target)
}

/** Some file systems cannot sync a folder; the file itself has been synced. */
async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle | undefined
  try {
    handle = await open(folder, 'r')
    await handle.sync()
  } catch (error) {
    if (!['EINVAL', 'EPERM', 'EACCES', 'ENOTSUP'].includes(fsCode(error) ?? '')) throw error
  } finally {
    await handle?.close()
  }
}

const exists = (target: string): AkidbError =>
  new AkidbError('EXISTS', `${target} exists`, {
    hint: 'Choose another name, or replace it with --force.',
    details: { path: target },
  })
