import { constants } from 'node:fs'
import { chmod, link, open, readdir, rename, unlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { AkidbError } from '../errors/errors.ts'
import { fsCode, withFsErrors } from './fs-errors.ts'
import { makeFolder, syncFolder } from './fs-folders.ts'
import { discard, writeFully } from './fs-publish.ts'
import { isAbandoned, temporaryName } from './process-identity.ts'

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/
/** Longest file here: keys are small. */
const FILE_BYTES_MAX = 1024 * 1024
/** Mode bits of group and others. */
const OTHERS = 0o077

export interface WriteFileOptions {
  /** Permission bits, for example 0o600. */
  readonly mode: number
  /** false: an existing file is left alone. */
  readonly replace: boolean
}

/** Small files with permissions in one folder, such as keys. */
export interface PrivateFiles {
  /**
   * @param options.secret refuse a file that others may read (AUTH)
   * @returns undefined where there is none
   */
  read(name: string, options: { readonly secret: boolean }): Promise<Uint8Array | undefined>
  /** Whole or not at all, durable. */
  write(name: string, bytes: Uint8Array, options: WriteFileOptions): Promise<'created' | 'exists'>
  /** Names in bytewise order. */
  list(): Promise<readonly string[]>
  /** True where it existed. */
  remove(name: string): Promise<boolean>
}

/** The files of a folder, which is made (0700) at the first write. */
export function openPrivateFiles(path: string): PrivateFiles {
  const folder = resolve(path)
  return {
    read: (name, options) =>
      withFsErrors('cannot read', pathOf(folder, name), () =>
        readPrivate(pathOf(folder, name), options.secret),
      ),
    write: (name, bytes, options) =>
      withFsErrors('cannot write', pathOf(folder, name), () =>
        writePrivate(folder, pathOf(folder, name), { ...options, bytes }),
      ),
    list: () => withFsErrors('cannot list', folder, () => listNames(folder)),
    remove: (name) =>
      withFsErrors('cannot remove', pathOf(folder, name), () =>
        removeFile(folder, pathOf(folder, name)),
      ),
  }
}

function pathOf(folder: string, name: string): string {
  if (!FILE_NAME.test(name)) throw new AkidbError('INTERNAL', `bad file name ${name}`)
  return join(folder, name)
}

async function readPrivate(path: string, secret: boolean): Promise<Uint8Array | undefined> {
  const handle = await openIfPresent(path)
  if (handle === undefined) return undefined
  try {
    const info = await handle.stat()
    if (!info.isFile() || info.size > FILE_BYTES_MAX) {
      throw new AkidbError('INTEGRITY', `${path} is no key file`, { details: { path } })
    }
    if (secret && (info.mode & OTHERS) !== 0) throw openToOthers(path, info.mode)
    return new Uint8Array(await handle.readFile())
  } finally {
    await handle.close()
  }
}

async function openIfPresent(path: string) {
  try {
    return await open(path, O_RDONLY | O_NOFOLLOW)
  } catch (error) {
    if (fsCode(error) === 'ENOENT') return undefined
    throw error
  }
}

async function writePrivate(
  folder: string,
  path: string,
  file: WriteFileOptions & { readonly bytes: Uint8Array },
): Promise<'created' | 'exists'> {
  await makeFolder(folder, 0o700)
  const temporary = join(folder, `.${temporaryName()}`)
  try {
    await writeTemporary(temporary, file)
    if (file.replace) await rename(temporary, path)
    else if (!(await linkIfAbsent(temporary, path))) return 'exists'
    await syncFolder(folder)
    return 'created'
  } finally {
    await discard(temporary)
  }
}

async function writeTemporary(
  path: string,
  file: WriteFileOptions & { readonly bytes: Uint8Array },
): Promise<void> {
  const handle = await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, file.mode)
  try {
    // The umask may have taken more than it should.
    await chmod(path, file.mode)
    await writeFully(handle, file.bytes, 0)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function linkIfAbsent(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (fsCode(error) === 'EEXIST') return false
    throw error
  }
}

/** What a killed writer left may hold a key: it goes as soon as somebody looks. */
async function listNames(folder: string): Promise<string[]> {
  let names: string[]
  try {
    names = await readdir(folder)
  } catch (error) {
    if (fsCode(error) === 'ENOENT') return []
    throw error
  }
  for (const name of names) {
    if (name.startsWith('.') && isAbandoned(name.slice(1), 0)) await discard(join(folder, name))
  }
  return names.filter((name) => FILE_NAME.test(name)).sort()
}

async function removeFile(folder: string, path: string): Promise<boolean> {
  try {
    await unlink(path)
  } catch (error) {
    if (fsCode(error) === 'ENOENT') return false
    throw error
  }
  await syncFolder(folder)
  return true
}

const openToOthers = (path: string, mode: number): AkidbError =>
  new AkidbError('AUTH', `${path} can be read by others (mode ${(mode & 0o777).toString(8)})`, {
    hint: `chmod 600 ${path}`,
    details: { path },
  })
